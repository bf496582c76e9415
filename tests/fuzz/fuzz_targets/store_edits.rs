//! See `tests::fuzzing::store_edits`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzzing::store_edits(data));
