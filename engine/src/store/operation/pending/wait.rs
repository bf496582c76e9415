//! The waits of suspended operations.

use super::cached::keep_chain;
use super::{LearntChain, PendingResult, PendingState, Scattered};
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
use crate::base::weak_spot;
use crate::log::Space;
use crate::store::operation::attempt::{Blocked, LongValue};
use crate::store::record::find::find_on_device;
use crate::store::record::overflow::{read_overflow, write_overflow};
use crate::store::record::pieces::is_cut;
use crate::store::table::TableRef;
use kvick_io::BoxFuture;
use std::fmt;
use std::task::{Context, Poll};

/// The state of a suspended operation.
#[derive(Debug)]
pub(in crate::store) struct PendingContext<'a> {
    pub(in crate::store) pending: PendingState,
    pub(in crate::store) wait: PendingWait<'a>,
}

/// A wait in progress.
pub(in crate::store) struct PendingWait<'a>(BoxFuture<'a, Result<PendingResult>>);

impl<'a> PendingWait<'a> {
    /// Starts to wait until `blocked` ends. A read of the device compares keys, and pieces
    /// have the key of their value. The other waits do not call `encode_key`.
    pub(in crate::store) fn for_what(
        core: TableRef<'a>,
        blocked: Blocked,
        encode_key: &dyn Fn() -> Result<Vec<u8>>,
    ) -> Self {
        Self(match blocked {
            Blocked::OnDevice(from) => {
                let (key, waiting) = (encode_key(), core.store.governor.waiting());
                Box::pin(async move {
                    let _waiting = waiting;
                    let (key, begin) = (key?, core.log.pages().begin());
                    let table = (core.table.number, core.table.layout);
                    let found = find_on_device(core.store, table, from, &key).await?;
                    let chain = LearntChain { from, begin, found };
                    keep_chain(core, &key, &chain);
                    Ok(PendingResult::Chain(chain))
                })
            }
            Blocked::NoSpace(room) => Box::pin(async move {
                core.log.allocator().wait_for_space(room).await?;
                Ok(PendingResult::Nothing)
            }),
            Blocked::NoWalSpace(space) => Box::pin(wal_space(core, *space)),
            Blocked::Fuzzy(address) => Box::pin(async move {
                core.log.wait_until_immutable(address).await?;
                Ok(PendingResult::Nothing)
            }),
            Blocked::Frozen(address) => Box::pin(async move {
                if !weak_spot::is_removed_without_drain() {
                    core.log.drain().await;
                }
                Ok(PendingResult::Drained(address))
            }),
            Blocked::VersionBarrier => Box::pin(async move {
                core.cut_over().await?;
                Ok(PendingResult::Nothing)
            }),
            Blocked::Contended | Blocked::Overtaken => Box::pin(async {
                yield_once().await;
                Ok(PendingResult::Nothing)
            }),
            Blocked::LongValueTurn(turn) => Box::pin(async move {
                turn.wait().await;
                Ok(PendingResult::Nothing)
            }),
            Blocked::OverflowValue(list) => Box::pin(async move {
                let ((address, pieces), table) = (*list, core.table.stored());
                let cut = || {
                    let begin = core.readable_from();
                    // A cache copies no piece, so there it is cut for ever.
                    let cut = if core.config.cache {
                        PendingResult::Gathered(address, None)
                    } else {
                        PendingResult::Cut(address, begin)
                    };
                    is_cut(&pieces, begin).then_some(cut)
                };
                if let Some(cut) = cut() {
                    return Ok(cut);
                }
                match read_overflow(core.store, table, address, &pieces).await {
                    Ok(value) => Ok(PendingResult::Gathered(address, Some(value))),
                    Err(error) => cut().ok_or(error),
                }
            }),
            Blocked::NeedsOverflow(value) => {
                let key = encode_key();
                Box::pin(async move { scatter(core, &key?, *value).await })
            }
        })
    }

    pub(in crate::store) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<PendingResult>> {
        self.0.as_mut().poll(context)
    }
}

/// Waits for space in the write-ahead log.
async fn wal_space(core: TableRef<'_>, space: Space) -> Result<PendingResult> {
    core.store.wal()?.wait_for(space).await?;
    Ok(PendingResult::Nothing)
}

/// Stores a long value in pieces.
async fn scatter(core: TableRef<'_>, key: &[u8], value: LongValue) -> Result<PendingResult> {
    let LongValue { version, bytes, is_answer } = value;
    let length = bytes.len();
    let pieces = write_overflow(core, key, &bytes).await?;
    let answer = is_answer.then_some(bytes);
    let refusal = core.config.disk.map(|disk| {
        Error::over_budget(format!(
            "disk = {disk}: there is no space for a value of {length} bytes"
        ))
    });
    Ok(PendingResult::Scattered(Scattered { version, pieces, answer, refusal }))
}

impl fmt::Debug for PendingWait<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PendingWait")
    }
}
