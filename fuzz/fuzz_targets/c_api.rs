//! Fuzzes [`jsp_fuzz::c_api`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::c_api::run(data));
