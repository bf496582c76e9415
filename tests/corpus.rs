//! The fuzz targets without a fuzzer: their inputs in `fuzz/corpus`, and pseudo-random inputs.
//!
//! `SEED=7 cargo test -p tests --test corpus -- NAME` replays one pseudo-random input of a target.

use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;

use kvick::io::sim::Random;
use tests::fuzzing::TARGETS;
use tests::samples::pattern;

/// The number of pseudo-random inputs of one target.
const INPUTS: u64 = 150;

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

targets! {
    manifests block_files log_frames store_edits log_edits store_operations log_operations
}

fn replay(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(it, _)| *it == name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&folder).expect("each target has inputs") {
        let path = entry.expect("a file of this repository").path();
        inputs.push(fs::read(path).expect("a file of this repository"));
    }
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs.iter().for_each(|input| target(input));
    let chosen = std::env::var("SEED").ok().filter(|seed| !seed.is_empty());
    let chosen = chosen.map(|seed| seed.parse::<u64>().expect("SEED is a number"));
    for seed in chosen.map_or(0..INPUTS, |seed| seed..seed + 1) {
        let input = varied(seed, &inputs);
        if let Err(panic) = catch_unwind(|| target(&input)) {
            eprintln!("SEED={seed} cargo test -p tests --test corpus -- {name}");
            resume_unwind(panic);
        }
    }
}

/// Returns an input of pseudo-random bytes, or an input of the corpus with some bytes changed.
fn varied(seed: u64, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut random = Random::new(seed);
    if seed.is_multiple_of(2) {
        let length = random.index(400);
        return pattern(seed, length);
    }
    let mut input = inputs[random.index(inputs.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.index(input.len() + 1);
        match random.below(3) {
            0 => input.truncate(at),
            1 => input.splice(at..at, pattern(random.next_u64(), 3)).for_each(drop),
            _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (seed % 8)),
        }
    }
    input
}
