//! Removing the oldest or the newest entries.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::log::LogAddress;
use crate::log::commit::state::Commit;
use crate::log::handle::FasterLog;

impl FasterLog {
    /// Removes the entries below `address`: an address of an entry, a
    /// [`LogEntry::next`](crate::log::LogEntry::next) or the end. Readers no longer see them. A
    /// file is deleted after all of its entries are removed and the removal is durable.
    ///
    /// The next commit makes the removal durable. Every commit requested afterwards contains it,
    /// and a commit in flight may contain it. The removal itself requests no commit. So call
    /// [`commit()`](Self::commit) afterwards for a permanent removal; without it, the entries are
    /// back after a crash. On a full medium no commit can be written. There the removal becomes
    /// durable by itself, up to the newest commit, and the deleted files free space.
    ///
    /// Named iterators do not delay the removal: their owner decides.
    ///
    /// # Errors
    /// `InvalidArgument` if no entry begins there, others as [`read`](Self::read). An address that
    /// is truncated already changes nothing.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready may have removed the entries.
    pub async fn truncate_until(&self, address: LogAddress) -> Result<()> {
        self.core.live().log.health().check_write()?;
        let until = address.inner();
        if until <= self.core.source.begin.load() {
            return Ok(());
        }
        self.check_boundary(until).await?;
        self.core.commits.change(|intent| intent.begin = intent.begin.max(until));
        self.core.source.note_front(until);
        self.core.source.begin.raise(until);
        self.core.source.voids.forget_below(until);
        self.core.source.moved.notify(usize::MAX);
        Ok(())
    }

    /// Removes the entries from `address` to the current end, and makes the removal durable. A
    /// consensus log does so with entries that were never agreed on. Readers that have not reached
    /// the entries no longer see them. The addresses are not used again.
    ///
    /// # Errors
    /// As [`truncate_until`](Self::truncate_until) and [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// A removal that was begun continues when the future is dropped.
    pub async fn truncate_suffix(&self, address: LogAddress) -> Result<Commit> {
        let core = &self.core;
        core.live().log.health().check_write()?;
        let from = address.inner();
        self.check_boundary(from).await?;
        let before = core.source.last_before(from).await?;
        let before = before.map_or(core.source.begin.load(), |entry| entry.next.inner());
        let mut end = from;
        let changes = core.commits.change(|intent| {
            let begin = core.source.begin.load();
            end = core.live().log.tail_address();
            let start = from.max(begin);
            if start < end {
                super::holes::add(&mut intent.voids, [start, end]);
                core.source.voids.add([start, end]);
                core.source.note_void([start, end], before.min(start));
            }
        });
        core.source.moved.notify(usize::MAX);
        core.commits.request(end, changes);
        core.settled(end, changes).await
    }

    /// Checks that an entry begins at `address`, or that the log ends there.
    async fn check_boundary(&self, address: Address) -> Result<()> {
        let end = self.core.live().log.tail_address();
        if address == end || self.core.source.is_boundary(address) {
            return Ok(());
        }
        if address > end {
            return Err(Error::invalid(format!(
                "address {}: the log ends at {}",
                address.raw(),
                end.raw()
            )));
        }
        self.frame_at(address).await
    }
}
