//! See `tests::fuzzing::log_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzzing::log_frames(data));
