#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gridveil_fuzz::client::meter_ocmf(data));
