//! Fuzzes [`jsp_fuzz::fec`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::fec::run(data));
