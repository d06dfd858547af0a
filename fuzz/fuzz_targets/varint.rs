//! Fuzzes [`jsp_fuzz::varint`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::varint::run(data));
