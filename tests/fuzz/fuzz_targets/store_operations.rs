//! See `tests::fuzzing::store_operations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzzing::store_operations(data));
