//! Fuzzes [`jsp_fuzz::version_negotiation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::version_negotiation::run(data));
