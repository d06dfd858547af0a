//! Fuzzes [`jsp_fuzz::short_header`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::short_header::run(data));
