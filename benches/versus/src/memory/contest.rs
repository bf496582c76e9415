//! The contests of the maps, and the loops that all maps share.

use benches::keys::{Step, key_of};
use benches::payload::Payload;
use benches::workload::Operation;
use clap::ValueEnum;
use versus::slices::Walk;

/// A mix of operations on records that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mix {
    /// Reads only.
    Read,
    /// Half reads, half overwrites.
    Half,
    /// Read-modify-writes only.
    Rmw,
}

impl Mix {
    /// Returns the operation of a step. The steps are drawn with one half marked.
    #[inline]
    pub fn operation(self, step: Step) -> Operation {
        match self {
            Self::Read => Operation::Read,
            Self::Half if step.is_other() => Operation::Update,
            Self::Half => Operation::Read,
            Self::Rmw => Operation::ReadModifyWrite,
        }
    }

    /// Returns the name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Half => "50/50",
            Self::Rmw => "RMW",
        }
    }
}

/// A map of words, for the loop below.
pub trait Map {
    /// Returns the value of a key.
    fn read(&self, key: u64) -> Option<u64>;
    /// Sets the value of a key.
    fn write(&self, key: u64, value: u64);
    /// Increments the version of an existing record. Returns `false` if there is none.
    fn count(&self, key: u64) -> bool;
}

/// Takes steps one by one until the slice is over.
#[inline]
pub fn step_by_step(map: &impl Map, mix: Mix, walk: &mut Walk) {
    let mut version = 0;
    while let Some(stretch) = walk.stretch() {
        take_all(map, mix, walk, stretch, &mut version);
    }
}

/// Takes some steps one by one.
#[inline]
pub fn take_all(map: &impl Map, mix: Mix, walk: &mut Walk, steps: &[Step], version: &mut u32) {
    for step in steps {
        let key = key_of(step.target());
        match mix.operation(*step) {
            Operation::Read => walk.saw(map.read(key).map(|value| is_right(key, value))),
            Operation::Update | Operation::Insert => {
                *version = version.wrapping_add(1);
                map.write(key, value_of(key, *version));
            }
            Operation::ReadModifyWrite => {
                if !map.count(key) {
                    walk.saw(None);
                }
            }
        }
    }
}

/// Returns the value of a key at a version.
#[inline]
pub fn value_of(key: u64, version: u32) -> u64 {
    let mut value = 0;
    u64::stamp(&mut value, key, version);
    value
}

/// Returns whether a value belongs to a key.
#[inline]
pub fn is_right(key: u64, value: u64) -> bool {
    u64::verify_owned(&value, key, 8)
}
