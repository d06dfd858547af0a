//! Fuzzes [`jsp_fuzz::handshake_fragments`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::handshake_fragments::run(data));
