//! Fuzzes [`jsp_fuzz::long_header`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::long_header::run(data));
