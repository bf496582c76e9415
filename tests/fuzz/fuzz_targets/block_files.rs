//! See `tests::fuzzing::block_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzzing::block_files(data));
