//! Fuzzes [`jsp_fuzz::frame_sequence`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::frame_sequence::run(data));
