#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gridveil_fuzz::operator::data_key_file(data));
