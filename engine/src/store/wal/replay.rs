//! Repeats the entries of the write-ahead log that a checkpoint does not have.
//!
//! It runs when the store is open for its drivers, and not for its users yet. The drivers may flush
//! pages, grow the index, compact and take checkpoints meanwhile. Such a checkpoint has the entries
//! that were repeated by then.

use super::entry::{SessionProgress, WalEntry};
use super::key_change::KeyChange;
use crate::base::error::{Error, Result};
use crate::log::LogAddress;
use crate::record::TableNumber;
use crate::store::context::OperationContext;
use crate::store::inner::StoreInner;
use crate::store::moment::Moment;
use crate::store::operation::attempt::operation::Operation;
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey};
use crate::store::operation::delete::delete_in;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::set_expiry::set_expiry_in;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::upsert_in;
use crate::store::sessions::identity::{CommitPoint, SessionId};
use crate::store::table::{TableInner, TableRef};
use crate::store::whole::RepeatBatch;
use futures::StreamExt;
use std::collections::BTreeMap;

/// The number of entries after which checkpoints have the sessions, too.
const AT_ONCE: usize = 256;

/// The tables of a store by their numbers; `None` for those that are dropped.
pub(crate) type ReplayedTables = BTreeMap<TableNumber, Option<TableInner>>;

/// The result of a replay.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The number of changes that were repeated.
    pub(crate) changes: u64,
    /// The number of bytes of the write-ahead log that were read.
    pub(crate) bytes: u64,
}

impl StoreInner {
    /// Repeats every entry from the cut of the recovered checkpoint on. Tells the bytes that were
    /// repeated, and those of all entries.
    ///
    /// # Errors
    /// `Corrupt` if an entry is damaged, missing, or of a table that is not known. The errors of
    /// writes.
    pub(crate) async fn replay(
        &self,
        tables: &ReplayedTables,
        tell: impl Fn(u64, u64),
    ) -> Result<Replayed> {
        let wal = self.wal()?;
        let (begin, end) = (wal.end(), wal.log().committed_until());
        wal.check_whole([begin, end.inner()])?;
        let mut replayed = Replayed { changes: 0, bytes: end.raw().saturating_sub(begin.raw()) };
        let (mut sessions, mut since) = (BTreeMap::new(), 0);
        let mut entries = wal.log().scan(LogAddress::from(begin)..);
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            let change = WalEntry::decode(&entry.payload);
            match change.ok_or_else(|| damaged(entry.address))? {
                WalEntry::Void => {}
                WalEntry::Session { id, point, begins } => {
                    let before = self.point_before(&sessions, id).filter(|_| !begins);
                    sessions.insert(id, later(before, point));
                }
                WalEntry::Change { table, key, change, session } => {
                    match tables.get(&table) {
                        Some(Some(table)) => {
                            repeat(table, key, change).await?;
                            replayed.changes += 1;
                        }
                        // The number of a dropped table is not given again.
                        Some(None) => {}
                        None => return Err(of_no_table(table)),
                    }
                    if let Some(progress) = session {
                        let before = self.point_before(&sessions, progress.id);
                        sessions.insert(progress.id, point_after(before, &progress));
                    }
                }
                WalEntry::Batch { table, id, point, begins, changes } => {
                    match tables.get(&table) {
                        Some(Some(table)) => {
                            replayed.changes += repeat_batch(table, changes).await?;
                        }
                        Some(None) => {}
                        None => return Err(of_no_table(table)),
                    }
                    let before = self.point_before(&sessions, id).filter(|_| !begins);
                    sessions.insert(id, later(before, point));
                }
            }
            since += 1;
            if since == AT_ONCE {
                self.sessions.adopt(std::mem::take(&mut sessions), self.phase.version());
                wal.note_replayed(entry.next.inner());
                tell(entry.next.raw().saturating_sub(begin.raw()), replayed.bytes);
                since = 0;
            }
        }
        tell(replayed.bytes, replayed.bytes);
        self.sessions.adopt(sessions, self.phase.version());
        wal.transition_to_live();
        Ok(replayed)
    }

    /// Returns the point of a session before the next entry.
    fn point_before(
        &self,
        sessions: &BTreeMap<SessionId, CommitPoint>,
        id: SessionId,
    ) -> Option<CommitPoint> {
        sessions.get(&id).cloned().or_else(|| self.sessions.point(id))
    }
}

/// Repeats one change of a key.
async fn repeat(table: &TableInner, key: &[u8], change: KeyChange<'_>) -> Result<()> {
    let hash = table.hasher.hash(key);
    let repeat = Repeat { key: HashedKey { bytes: key, hash }, change };
    OperationFuture::of_part(StoreRef::pooled(table), repeat).await
}

/// Repeats a batch, whole as before. Returns the number of its changes.
async fn repeat_batch(table: &TableInner, changes: &[u8]) -> Result<u64> {
    let repeat = RepeatBatch::new(table.with_store(), changes);
    let count = repeat.changes();
    OperationFuture::of_part(StoreRef::pooled(table), repeat).await?;
    Ok(count)
}

/// A change that is made again.
struct Repeat<'e> {
    key: HashedKey<'e>,
    change: KeyChange<'e>,
}

impl Operation for Repeat<'_> {
    type Output = ();

    fn attempt(
        &mut self,
        core: TableRef<'_>,
        mut tools: OperationContext<'_>,
    ) -> Result<Attempt<()>> {
        core.check_write()?;
        if core.must_wait(&tools) {
            return Ok(Attempt::Blocked(Blocked::VersionBarrier));
        }
        let (layout, moment) = (core.table.layout, Moment::before_all(core));
        Ok(match self.change {
            KeyChange::Put(value, expiry) => {
                let tools = (&tools, &moment);
                done(upsert_in(core, layout, self.key, (value, expiry), tools)?)
            }
            KeyChange::Remove => done(delete_in(core, layout, self.key, (&tools, &moment))?),
            KeyChange::Expire(expiry) => {
                let tools = (&mut tools, &moment);
                done(set_expiry_in(core, layout, (self.key, expiry), tools)?)
            }
        })
    }

    fn key(&self) -> Result<Vec<u8>> {
        Ok(self.key.bytes.to_vec())
    }
}

fn done<T>(step: Attempt<T>) -> Attempt<()> {
    match step {
        Attempt::Done(_) => Attempt::Done(()),
        Attempt::Blocked(blocked) => Attempt::Blocked(blocked),
    }
}

/// Returns the point in an entry, unless the session has come further already.
fn later(before: Option<CommitPoint>, point: CommitPoint) -> CommitPoint {
    before.filter(|before| !point.is_after(before)).unwrap_or(point)
}

/// Returns the point of a session after a change. A checkpoint may have it already: then only the
/// change itself is new.
fn point_after(before: Option<CommitPoint>, progress: &SessionProgress) -> CommitPoint {
    let mut point = before.unwrap_or_default();
    let known = point.until;
    for [first, last] in &progress.excluded {
        for number in (*first).max(known + 1)..=*last {
            point.excluded.insert(number);
            point.until = point.until.max(number);
        }
    }
    if progress.name.is_some() {
        point.name.clone_from(&progress.name);
    }
    point.excluded.remove(progress.serial);
    point.until = point.until.max(progress.serial);
    point
}

#[cold]
fn of_no_table(table: TableNumber) -> Error {
    Error::lost_entries(&format!(
        "the write-ahead log has changes of table number {}, which the manifest does not know",
        table.raw()
    ))
}

#[cold]
pub(super) fn damaged(address: LogAddress) -> Error {
    Error::damaged("an entry of the write-ahead log is of no known kind", "log", address.raw())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
