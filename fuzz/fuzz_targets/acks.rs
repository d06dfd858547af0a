//! Fuzzes [`jsp_fuzz::acks`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::acks::run(data));
