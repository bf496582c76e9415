//! The cause that makes operations durable, when writes are ready, and the sizes of the
//! write-ahead log.

use super::{ByteSize, Config};
use crate::base::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::time::Duration;

const MEMORY: RangeInclusive<ByteSize> = ByteSize::kib(256)..=ByteSize::gib(64);
const SIZE: RangeInclusive<ByteSize> = ByteSize::kib(16)..=ByteSize::gib(1 << 18);
const KEEP: RangeInclusive<ByteSize> = ByteSize::new(0)..=ByteSize::gib(1 << 18);

/// The bounds of the bytes of an automatic commit.
pub(crate) const COMMIT_BYTES: RangeInclusive<ByteSize> = ByteSize::new(1)..=ByteSize::gib(1 << 18);
const COMMIT_EVERY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The bounds of the bytes of one file, powers of two.
const SEGMENT: [u64; 2] = [2 << 20, 64 << 20];
/// The write-ahead log has about this many files when a checkpoint is due.
const SEGMENTS: u64 = 8;

/// The bytes of an entry beside its key and value, with many excluded operations of its session.
pub(crate) const ENTRY_HEAD: u64 = 4 << 10;

/// The cause that makes the operations of a store durable; in text, its name in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DurableBy {
    /// Checkpoints, which have all operations up to some moment.
    #[default]
    Checkpoint,
    /// A write-ahead log beside checkpoints. Each operation can be durable by itself.
    Wal,
}

/// The moment at which a write is ready; in text, its name in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Acknowledge {
    /// When it has taken effect in memory. A form of it waits until it is durable:
    /// [`durable`](crate::futures::Upsert::durable).
    #[default]
    Memory,
    /// When it survives a crash. A form of it does not wait for that:
    /// [`in_memory`](crate::futures::Upsert::in_memory).
    Durable,
}

impl Config {
    /// Returns whether writes are ready when they are durable.
    #[inline(always)]
    pub(crate) fn acknowledges_durably(&self) -> bool {
        self.acknowledge == Acknowledge::Durable
    }

    /// Returns whether the store has a write-ahead log.
    pub(crate) fn has_wal(&self) -> bool {
        self.durability == DurableBy::Wal
    }

    /// Returns the bytes of one file of a new write-ahead log.
    pub(crate) fn wal_segment(&self) -> ByteSize {
        let part = (self.wal_size.bytes() / SEGMENTS).clamp(SEGMENT[0], SEGMENT[1]);
        ByteSize::new(1 << part.ilog2())
    }

    /// Returns the bytes of the longest key and value together whose entry fits in the write-ahead
    /// log. The log takes an entry of half of its pages at once.
    pub(super) fn wal_pair_most(&self) -> u64 {
        self.wal_memory.bytes() * 3 / 8 - ENTRY_HEAD
    }

    pub(super) fn check_wal(&self) -> Result<()> {
        super::geometry::within("wal_memory", self.wal_memory, &MEMORY)?;
        super::geometry::within("wal_size", self.wal_size, &SIZE)?;
        super::geometry::within("wal_keep", self.wal_keep, &KEEP)?;
        check_commits(self.commit_every, self.commit_bytes)?;
        if self.has_wal() && self.cache {
            let what = "a cache drops keys, so its operations are not durable";
            return Err(Error::invalid(format!("durability = wal: {what}; omit one of them")));
        }
        if self.acknowledges_durably() && !self.has_wal() {
            return Err(Error::invalid(
                "acknowledge = durable: single operations are durable only with a write-ahead \
                 log; add `durability = \"wal\"`",
            ));
        }
        Ok(())
    }
}

/// Checks the settings of automatic commits of a log.
///
/// # Errors
/// `InvalidArgument` if one is out of its bounds.
pub(crate) fn check_commits(every: Option<Duration>, bytes: Option<ByteSize>) -> Result<()> {
    if let Some(every) = every
        && (every.is_zero() || every > COMMIT_EVERY_MAX)
    {
        return Err(Error::invalid(format!(
            "commit_every = {every:?}: must be longer than 0, at most a year, or absent"
        )));
    }
    bytes.map_or(Ok(()), |bytes| super::geometry::within("commit_bytes", bytes, &COMMIT_BYTES))
}
