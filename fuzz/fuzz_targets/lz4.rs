//! Fuzzes [`jsp_fuzz::lz4`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::lz4::run(data));
