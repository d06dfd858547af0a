//! Fuzzes [`jsp_fuzz::params`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::params::run(data));
