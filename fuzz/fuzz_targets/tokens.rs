//! Fuzzes [`jsp_fuzz::tokens`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::tokens::run(data));
