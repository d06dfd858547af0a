//! Fuzzes [`jsp_fuzz::endpoint_datagrams`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::endpoint_datagrams::run(data));
