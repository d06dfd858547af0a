//! Fuzzes [`jsp_fuzz::reassembly`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jsp_fuzz::reassembly::run(data));
