//! Begins a batch: in one step it is in the write-ahead log and in the account of its session.

use super::apply::apply;
use super::gate::OpenBatch;
use crate::base::error::{Error, Result};
use crate::hybrid_log::Claim;
use crate::store::context::OperationContext;
use crate::store::limits::{key_too_long, value_too_long};
use crate::store::operation::attempt::operation::Operation;
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::operation::future::OperationFuture;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::is_too_long;
use crate::store::record::append::lacking_bytes;
use crate::store::table::{TableInner, TableRef};
use crate::store::wal::{BatchChanges, HeldKeys, KeyChange, WalEntry};
use futures::channel::oneshot;
use kvick_runtime::Handle;
use std::sync::Arc;

/// Makes the changes in `bytes` as one batch of the session of `access`, with its new offset.
/// Waits until they have taken effect, and are durable if the session waits for that.
///
/// # Errors
/// `InvalidArgument` for a batch or an offset that is too long, or if an earlier operation of the
/// session is undone. Those of writes. Then the batch has not begun, except after `Poisoned` and
/// `Closed`.
pub(crate) async fn write_whole(
    table: &Arc<TableInner>,
    mut access: StoreRef<'_>,
    (bytes, offset): (Vec<u8>, &[u8]),
    handle: &Handle,
) -> Result<()> {
    check(table, &bytes)?;
    let ledger = access.ledger().expect("a batch is of a session");
    table.sessions.identify(&ledger);
    let mut begun = None;
    let begin = Begin { table, bytes: &bytes, offset, begun: &mut begun };
    OperationFuture::of_part(access.reborrow(), begin).await?;
    // The same poll in which it has begun.
    let (open, held) = begun.expect("an operation that has ended well has begun it");
    let (ended, end) = oneshot::channel();
    let (applied_to, runtime) = (Arc::clone(table), handle.clone());
    let applying = async move {
        let applied = apply(&applied_to, &bytes, &runtime).await;
        drop((held, open));
        // The caller may have gone.
        ended.send(applied).ok();
    };
    handle.spawn("kvick-batch", applying).detach();
    end.await.unwrap_or_else(|_ended| Err(Error::closed()))?;
    if access.acknowledges_durably() {
        table.store().sync(Some(&ledger)).await?;
    }
    Ok(())
}

/// The attempt that begins a batch.
struct Begin<'b> {
    table: &'b Arc<TableInner>,
    bytes: &'b [u8],
    offset: &'b [u8],
    begun: &'b mut Option<(OpenBatch, Option<HeldKeys>)>,
}

impl Operation for Begin<'_> {
    type Output = ();

    fn attempt(&mut self, core: TableRef<'_>, tools: OperationContext<'_>) -> Result<Attempt<()>> {
        core.check_write()?;
        core.table.check()?;
        if core.must_wait(&tools) {
            return Ok(Attempt::Blocked(Blocked::VersionBarrier));
        }
        // A full log refuses the batch here, where nothing has happened.
        let least = self.bytes.len().min(core.table.limits.inline);
        if let Some(room) = lacking_bytes(core, least, Claim::Value) {
            return Ok(Attempt::Blocked(Blocked::NoSpace(room)));
        }
        let Some(open) = core.store.batches.try_open() else {
            return Ok(Attempt::Blocked(Blocked::BatchPause));
        };
        let wal = core.store.wal.as_ref().filter(|wal| wal.is_live());
        let keys = || BatchChanges::new(self.bytes).map(|(key, _)| core.table.hasher.hash(key));
        let held = match wal.map(|_| HeldKeys::try_hold(self.table.store(), keys())) {
            None => None,
            Some(Ok(held)) => Some(held),
            Some(Err(hash)) => return Ok(Attempt::Blocked(Blocked::HeldKey(hash))),
        };
        let ledger = tools.ledger.as_ref().expect("a batch is of a session");
        let count = BatchChanges::new(self.bytes).count() as u64;
        let table = core.table.number;
        let batch = (core.phase.version(), count, self.offset);
        let changed = core.sessions.add_batch(ledger, batch, |point, begins| {
            let (Some(wal), Some(id)) = (wal, ledger.kept_id()) else {
                return Ok(());
            };
            let changes = self.bytes;
            let entry = WalEntry::Batch { table, id, point, begins, changes };
            wal.log_entry(&entry, tools.guard)
        })?;
        match changed {
            Ok(()) => {
                *self.begun = Some((open, held));
                Ok(Attempt::Done(()))
            }
            Err(why) => why.into_space().map(|space| Attempt::Blocked(Blocked::NoWalSpace(space))),
        }
    }

    fn key(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// The most bytes of a batch.
const MOST: usize = 1 << 20;

/// Refuses keys and values that no record holds, and a batch whose entry does not fit in the
/// write-ahead log.
fn check(table: &TableInner, changes: &[u8]) -> Result<()> {
    let (bytes, limits) = (changes.len(), &table.limits);
    for (key, change) in BatchChanges::new(changes) {
        let KeyChange::Put(value, _) = change else { continue };
        if table.layout.key_width.is_none() && key.len() > limits.key {
            return Err(key_too_long(key.len(), limits));
        }
        if table.layout.value_width.is_none() && value.len() > limits.value {
            return Err(value_too_long(value.len(), limits));
        }
        let is_long = is_too_long(table.with_store(), table.layout, key, value);
        if is_long && table.store().config.disk.is_some() {
            // Its pieces may wait for compaction, whose checkpoint waits for the batch.
            return Err(Error::invalid(format!(
                "a value of {} bytes in a batch: a store with a budget for its disk takes values \
                 there that fit in a page",
                value.len()
            )));
        }
    }
    let logged = table.store().wal.as_ref().map_or(u64::MAX, |wal| wal.longest_pair());
    // The session takes some, too.
    let logged = usize::try_from(logged.saturating_sub(SESSION_MOST)).unwrap_or(usize::MAX);
    let most = MOST.min(logged);
    if bytes <= most {
        return Ok(());
    }
    Err(Error::invalid(format!("a batch of {bytes} bytes: this store takes at most {most}")))
}

/// The bytes of the longest name and offset of a session, and of its numbers.
const SESSION_MOST: u64 = 1 << 10;
