//! Fuzzes [`jsp_fuzz::key_id`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::key_id::run(data));
