//! The changes of a batch, ready for an attempt.

use crate::base::error::{Error, Result};
use crate::base::hash::KeyHash;
use crate::codec::{Key, Value};
use crate::hybrid_log::LARGEST_INLINE;
use crate::record::{ExpiryWord, NewRecord, RecordKind};
use crate::store::operation::attempt::HashedKey;
use crate::store::operation::upsert::{check_value, hashed, is_too_long};
use crate::store::table::TableRef;
use crate::store::wal::{BatchChanges, KeyChange, append_change, stripes_of};
use std::borrow::Cow;
use std::ops::Range;

/// The most changes of a batch. Others wait for its stripes and entries, some hundred microseconds
/// at most.
const MOST_CHANGES: usize = 4096;

/// Returns the most bytes of the records of a batch, in pages of this capacity: as those of one
/// record. So little of a page is lost at its end, a writer adds no more than [`LARGEST_INLINE`] to
/// the tail, and the budget for the disk has room for the batch beside others.
fn most_bytes(page_capacity: u64) -> u64 {
    (page_capacity / 16 * 8).min(LARGEST_INLINE)
}

/// The changes of a batch, each key once, and what an attempt needs to know of them.
#[derive(Debug)]
pub(in crate::store) struct PreparedBatch<'b> {
    /// In the order of the prefixes of the index.
    pub(super) changes: Vec<PreparedChange<'b>>,
    pub(super) groups: Vec<Group>,
    /// The changes as the write-ahead log has them, in their order.
    pub(super) bytes: Cow<'b, [u8]>,
    /// The stripes of the keys.
    pub(super) stripes: Vec<usize>,
    /// The number of operations, which counts replaced changes, too.
    pub(super) count: u64,
    /// The number of those that are values.
    pub(super) upserts: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PreparedChange<'b> {
    pub(super) key: HashedKey<'b>,
    pub(super) change: KeyChange<'b>,
    /// The place in the batch.
    place: usize,
}

/// The changes that share an index entry.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) hash: KeyHash,
    pub(super) changes: Range<usize>,
    /// Whether one of them is a new value.
    pub(super) has_value: bool,
}

impl<'b> PreparedBatch<'b> {
    /// Prepares the changes in `bytes`, of a table of these types.
    ///
    /// # Errors
    /// `InvalidArgument` for a key or value that is too long, and for a batch that is too large.
    pub(super) fn checked<K: Key + ?Sized, V: Value + ?Sized>(
        core: TableRef<'_>,
        bytes: &'b [u8],
    ) -> Result<Self> {
        let checked = |(place, (key, change))| {
            let hashed = hashed::<K>(core, key)?;
            if let KeyChange::Put(value, _) = change {
                check_value::<V>(core, value)?;
                if is_too_long(core, core.table.layout, key, value) {
                    return Err(too_long(core, value.len()));
                }
            }
            Ok(PreparedChange { key: hashed, change, place })
        };
        let changes: Result<_> = BatchChanges::new(bytes).enumerate().map(checked).collect();
        let batch = Self::of(core, bytes, changes?);
        batch.check(core)?;
        Ok(batch)
    }

    /// Prepares changes that a batch has had before.
    pub(super) fn new(core: TableRef<'_>, bytes: &'b [u8]) -> Self {
        let hashed = |(place, (key, change))| {
            let key = HashedKey { bytes: key, hash: core.table.hasher.hash(key) };
            PreparedChange { key, change, place }
        };
        Self::of(core, bytes, BatchChanges::new(bytes).enumerate().map(hashed).collect())
    }

    /// Returns the batch of these changes, which are in `bytes`.
    fn of(core: TableRef<'_>, bytes: &'b [u8], mut changes: Vec<PreparedChange<'b>>) -> Self {
        let count = changes.len();
        let upserts = changes.iter().filter(|new| new.is_value()).count() as u64;
        changes.sort_unstable_by_key(|change| {
            let HashedKey { bytes: key, hash } = change.key;
            (core.index.prefix_of(hash), hash.bits(), key, change.place)
        });
        // The last change of a key replaces those before.
        changes.reverse();
        changes.dedup_by(|other, last| other.key.bytes == last.key.bytes);
        changes.reverse();
        let stripes = stripes_of(changes.iter().map(|change| change.key.hash));
        let bytes = if changes.len() == count { Cow::Borrowed(bytes) } else { in_order(&changes) };
        let groups = groups_of(core, &changes);
        Self { changes, groups, bytes, stripes, count: count as u64, upserts }
    }

    /// Refuses a batch that is too large for one attempt.
    fn check(&self, core: TableRef<'_>) -> Result<()> {
        let count = self.changes.len();
        if count > MOST_CHANGES {
            let what = format!("a batch of {count} changes: a batch takes at most {MOST_CHANGES}");
            return Err(Error::invalid(format!("{what}; write several batches")));
        }
        let layout = core.table.layout;
        let needed: usize = self.changes.iter().map(|new| new.record().bytes(layout)).sum();
        let most = most_bytes(core.log.file().units().page_capacity());
        if needed as u64 > most {
            return Err(Error::invalid(format!(
                "a batch whose records take {needed} bytes: they must fit in half a page, at \
                 most {most} bytes; write several batches. A larger `page_size`, fixed at \
                 creation, takes larger ones"
            )));
        }
        let logged = core.store.wal.as_ref().map_or(u64::MAX, |wal| wal.longest_pair());
        let bytes = self.bytes.len();
        if bytes as u64 > logged {
            return Err(Error::invalid(format!(
                "a batch of {bytes} bytes: the write-ahead log takes at most {logged} at once; \
                 write several batches, or set a larger `wal_memory`"
            )));
        }
        Ok(())
    }
}

impl<'b> PreparedChange<'b> {
    /// Returns whether it is a new value, and no removal.
    pub(super) fn is_value(&self) -> bool {
        matches!(self.change, KeyChange::Put(..))
    }

    /// Returns the record that the change may append.
    pub(super) fn record(&self) -> NewRecord<'b> {
        let (key, expiry) = (self.key.bytes, ExpiryWord::NEVER);
        match self.change {
            KeyChange::Put(value, expiry) => {
                NewRecord { key, value, content: RecordKind::Value, expiry }
            }
            KeyChange::Remove => {
                NewRecord { key, value: &[], content: RecordKind::Tombstone, expiry }
            }
            KeyChange::Expire(_) => unreachable!("a batch has no such change"),
        }
    }
}

/// Returns the changes as bytes, in the order of the batch.
fn in_order<'b>(changes: &[PreparedChange<'b>]) -> Cow<'b, [u8]> {
    let (mut changes, mut bytes) = (changes.to_vec(), Vec::new());
    changes.sort_unstable_by_key(|change| change.place);
    for change in &changes {
        let NewRecord { key, value, .. } = change.record();
        append_change(&mut bytes, key, change.is_value().then_some(value));
    }
    Cow::Owned(bytes)
}

fn groups_of(core: TableRef<'_>, changes: &[PreparedChange<'_>]) -> Vec<Group> {
    let mut end = 0;
    let prefix = |change: &PreparedChange<'_>| core.index.prefix_of(change.key.hash);
    let groups = changes.chunk_by(|one, next| prefix(one) == prefix(next)).map(|group| {
        let start = end;
        end += group.len();
        let (hash, has_value) = (group[0].key.hash, group.iter().any(PreparedChange::is_value));
        Group { hash, changes: start..end, has_value }
    });
    groups.collect()
}

#[cold]
fn too_long(core: TableRef<'_>, bytes: usize) -> Error {
    Error::invalid(format!(
        "a value of {bytes} bytes in a batch: its record must fit in {} bytes; write it by itself, \
         or use a larger `page_size`, which is fixed at creation",
        core.table.limits.inline
    ))
}
