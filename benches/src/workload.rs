//! The YCSB core mixes that a hash store can run.
//!
//! | mix | reads | the rest          | keys                    |
//! |-----|-------|-------------------|-------------------------|
//! | A   | 50 %  | update            | as `--distribution`     |
//! | B   | 95 %  | update            | as `--distribution`     |
//! | C   | 100 % |                   | as `--distribution`     |
//! | D   | 95 %  | insert            | the latest, by recency  |
//! | F   | 50 %  | read-modify-write | as `--distribution`     |
//! | U   | 0 %   | update            | as `--distribution`     |
//!
//! U is no mix of YCSB: it has nothing but updates. E consists of short range scans. A hash index
//! has no order to scan, so an error refuses it.

use std::str::FromStr;

use serde::Serialize;

/// One of the YCSB core workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// Half reads, half updates.
    A,
    /// 95 % reads, 5 % updates.
    B,
    /// Reads only.
    C,
    /// 95 % reads of recent records, 5 % inserts.
    D,
    /// Half reads, half read-modify-writes.
    F,
    /// Updates only.
    U,
}

/// The operation of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads a record and verifies it.
    Read,
    /// Overwrites a record that exists.
    Update,
    /// Adds a record.
    Insert,
    /// Replaces a record by a function of its old value.
    ReadModifyWrite,
}

impl Workload {
    /// Returns the percentage of steps that are reads.
    pub fn read_percent(self) -> u32 {
        match self {
            Self::A | Self::F => 50,
            Self::B | Self::D => 95,
            Self::C => 100,
            Self::U => 0,
        }
    }

    /// Returns the operation of the steps that are not reads.
    pub fn other(self) -> Operation {
        match self {
            Self::A | Self::B | Self::U => Operation::Update,
            Self::C => Operation::Read,
            Self::D => Operation::Insert,
            Self::F => Operation::ReadModifyWrite,
        }
    }

    /// Returns whether a step counts back from the newest record instead of naming one.
    pub fn by_recency(self) -> bool {
        self == Self::D
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "a" => Ok(Self::A),
            "b" => Ok(Self::B),
            "c" => Ok(Self::C),
            "d" => Ok(Self::D),
            "e" => Err("E is range scans, and a hash store has no key order to scan".to_owned()),
            "f" => Ok(Self::F),
            "u" => Ok(Self::U),
            _ => Err(format!("`{name}` is none of a, b, c, d, f, u")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_scans_are_refused_with_the_reason() {
        let reason = "e".parse::<Workload>().unwrap_err();
        assert!(reason.contains("range scans"), "{reason}");
    }

    #[test]
    fn every_mix_is_named_by_its_letter() {
        for (name, reads) in [("a", 50), ("B", 95), ("c", 100), ("d", 95), ("F", 50), ("u", 0)] {
            assert_eq!(name.parse::<Workload>().unwrap().read_percent(), reads);
        }
    }
}
