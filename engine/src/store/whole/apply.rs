//! Makes the changes of an open batch.

use crate::base::error::Result;
use crate::base::wait::backoff::Backoff;
use crate::record::ExpiryWord;
use crate::store::context::OperationContext;
use crate::store::moment::Moment;
use crate::store::operation::attempt::operation::Operation;
use crate::store::operation::attempt::{Attempt, HashedKey};
use crate::store::operation::delete::delete_unlogged;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::upsert_unlogged;
use crate::store::table::{TableInner, TableRef};
use crate::store::wal::{BatchChanges, KeyChange};
use kvick_runtime::Handle;

/// Makes the changes in `bytes`, in order. Waits for as long as there is no space.
///
/// # Errors
/// `Poisoned`, `Closed`, `ReadOnly`; `InvalidArgument` if the table was dropped meanwhile.
pub(super) async fn apply(table: &TableInner, bytes: &[u8], handle: &Handle) -> Result<()> {
    let mut backoff = Backoff::for_shortage();
    for (key, change) in BatchChanges::new(bytes) {
        let key = HashedKey { bytes: key, hash: table.hasher.hash(key) };
        loop {
            let write = Write { key, change };
            match OperationFuture::of_part(StoreRef::pooled(table), write).await {
                Err(error) if error.is_shortage() => backoff.pause(handle).await,
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
    }
    Ok(())
}

/// A change of an open batch, whose entry the write-ahead log has.
struct Write<'b> {
    key: HashedKey<'b>,
    change: KeyChange<'b>,
}

impl Operation for Write<'_> {
    type Output = ();

    fn attempt(&mut self, core: TableRef<'_>, tools: OperationContext<'_>) -> Result<Attempt<()>> {
        core.check_write()?;
        let (layout, moment) = (core.table.layout, Moment::new(core));
        let tools = (&tools, &moment);
        let step = match self.change {
            KeyChange::Put(value, ExpiryWord::NEVER) => {
                upsert_unlogged(core, layout, self.key, value, tools)?
            }
            KeyChange::Remove => delete_unlogged(core, layout, self.key, tools)?,
            change => unreachable!("a batch has no such change: {change:?}"),
        };
        Ok(match step {
            Attempt::Done(_) => Attempt::Done(()),
            Attempt::Blocked(blocked) => Attempt::Blocked(blocked),
        })
    }

    fn key(&self) -> Result<Vec<u8>> {
        Ok(self.key.bytes.to_vec())
    }
}
