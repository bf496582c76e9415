//! The attempt of a batch.

use super::link::Records;
use super::prepared::{Group, PreparedBatch};
use crate::base::error::{Error, Result};
use crate::codec::{Key, Value};
use crate::hash_index::Refused;
use crate::hybrid_log::NoRoom;
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::operation::attempt::operation::Operation;
use crate::store::operation::attempt::{Attempt, Blocked, Types};
use crate::store::record::entry::no_index_memory;
use crate::store::sessions::identity::check_offset;
use crate::store::sessions::state::SessionState;
use crate::store::table::TableRef;
use crate::store::wal::{Unlogged, WalEntry, WriteAheadLog};
use std::fmt;
use std::sync::Arc;

/// The result of the changes of a batch, all of which are made or none.
type Changed = Result<(), Box<Unlogged>>;

/// Makes all changes of a batch, and sets the offset of the session after them.
pub(crate) struct WriteWhole<'a, K: Key + ?Sized, V: Value + ?Sized> {
    batch: Box<Result<PreparedBatch<'a>>>,
    offset: &'a [u8],
    _types: Types<K, V>,
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> WriteWhole<'a, K, V> {
    /// Prepares the batch of the changes in `bytes`. The first attempt reports that it is refused.
    pub(crate) fn new(core: TableRef<'_>, bytes: &'a [u8], offset: &'a [u8]) -> Self {
        let checked =
            check_offset(offset).and_then(|()| PreparedBatch::checked::<K, V>(core, bytes));
        let batch = Box::new(checked);
        Self { batch, offset, _types: Types::<K, V>::default() }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Operation for WriteWhole<'_, K, V> {
    type Output = ();

    fn attempt(&mut self, core: TableRef<'_>, tools: OperationContext<'_>) -> Result<Attempt<()>> {
        let batch = self.batch.as_ref().as_ref().map_err(Error::clone)?;
        let session = tools.ledger.as_ref().expect("a batch is of a session");
        let made = make(core, batch, Some((session, self.offset)), &tools)?;
        if let Attempt::Done(()) = made {
            tools.counters.add(Counter::Upserts, batch.upserts);
            tools.counters.add(Counter::Deletes, batch.count - batch.upserts);
        }
        Ok(made)
    }

    fn keys(&self) -> u32 {
        let count = self.batch.as_ref().as_ref().map_or(1, |batch| batch.count);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn key(&self) -> Result<Vec<u8>> {
        unreachable!("no batch reads the device")
    }
}

/// The changes of a batch, which are made again.
#[derive(Debug)]
pub(in crate::store) struct RepeatBatch<'b>(PreparedBatch<'b>);

impl<'b> RepeatBatch<'b> {
    pub(in crate::store) fn new(core: TableRef<'_>, bytes: &'b [u8]) -> Self {
        Self(PreparedBatch::new(core, bytes))
    }

    /// Returns the number of changes.
    pub(in crate::store) fn changes(&self) -> u64 {
        self.0.changes.len() as u64
    }
}

impl Operation for RepeatBatch<'_> {
    type Output = ();

    fn attempt(&mut self, core: TableRef<'_>, tools: OperationContext<'_>) -> Result<Attempt<()>> {
        make(core, &self.0, None, &tools)
    }

    fn key(&self) -> Result<Vec<u8>> {
        unreachable!("no batch reads the device")
    }
}

/// Makes all changes of a batch, or none. Sets the offset of the session, if there is one.
fn make(
    core: TableRef<'_>,
    batch: &PreparedBatch<'_>,
    session: Option<(&Arc<SessionState>, &[u8])>,
    tools: &OperationContext<'_>,
) -> Result<Attempt<()>> {
    core.check_write()?;
    core.table.check()?;
    if core.must_wait(tools) {
        return Ok(Attempt::Blocked(Blocked::VersionBarrier));
    }
    let wal = core.store.wal.as_ref().filter(|wal| wal.is_live());
    let _stripes = wal.map(|wal| wal.lock_all(&batch.stripes));
    // A key that has no entry is absent, and stays absent if it is only removed.
    let needs_entry = |group: &&Group| group.has_value || core.index.find(group.hash).is_some();
    let groups: Vec<&Group> = batch.groups.iter().filter(needs_entry).collect();
    let held = match core.index.hold(groups.iter().map(|group| group.hash)) {
        Ok(held) => held,
        Err(Refused::Contended) => return Ok(Attempt::Blocked(Blocked::Contended)),
        Err(Refused::NoMemory(error)) => return Err(no_index_memory(error)),
    };
    let records = Records::of(core, batch, (&groups, &held), tools.guard);
    if let Some(room) = records.lacking_room(core) {
        return Ok(Attempt::Blocked(Blocked::NoSpace(room)));
    }
    let link = || {
        let linked = records.link(core, held, tools.guard);
        linked.map_err(|NoRoom(room)| Box::new(Unlogged::NoRoom(room)))
    };
    let changed = match session {
        Some(session) => account(core, (batch, wal), session, tools, link)?,
        None => link(),
    };
    match changed {
        Ok(()) => {
            records.count(core, batch.changes.len(), tools.counters);
            Ok(Attempt::Done(()))
        }
        Err(why) => why.blocked().map(Attempt::Blocked),
    }
}

/// Makes the changes by `link`, with their entry, and counts them in the account of the session.
///
/// # Errors
/// As for `SessionState::add_batch`.
fn account(
    core: TableRef<'_>,
    (batch, wal): (&PreparedBatch<'_>, Option<&WriteAheadLog>),
    (session, offset): (&Arc<SessionState>, &[u8]),
    tools: &OperationContext<'_>,
    link: impl FnOnce() -> Changed,
) -> Result<Changed> {
    let id = core.sessions.identify(session);
    let added = (core.phase.version(), batch.count, offset);
    core.sessions.add_batch(session, added, |point, begins| match wal {
        Some(wal) => {
            let (table, changes) = (core.table.number, &batch.bytes[..]);
            let entry = WalEntry::Batch { table, id, point, begins, changes };
            let logged = wal.log_batch(&entry, tools.guard, link);
            logged.unwrap_or_else(|why| Err(Box::new(Unlogged::NotAppended(why))))
        }
        None => link(),
    })
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for WriteWhole<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WriteWhole").field("batch", &self.batch).finish_non_exhaustive()
    }
}
