#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longvu_fuzz::features(data));
