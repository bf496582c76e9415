//! Taking entries away: the oldest, and the newest.

use super::LogAddress;
use super::log::FasterLog;
use super::settled::Commit;
use crate::address::Address;
use crate::error::{Error, Result};

impl FasterLog {
    /// Takes away the entries below `address`, which is the place of an entry, a
    /// [`LogEntry::next`](super::LogEntry::next) or the end. Readers no longer see them. Files go
    /// once no entry of theirs is left and that is durable.
    ///
    /// It is durable with the next commit: every one that is asked for afterwards has it, one that
    /// is on its way may have it, and none is made for it. So `truncate_until(..)` and then
    /// [`commit()`](Self::commit) is what cannot come back; without, the entries are there again
    /// after a crash. On a full medium, where no commit can be written, it becomes durable by
    /// itself as far as the newest commit goes, and the files that it frees make room.
    ///
    /// Iterators with a name do not hold it up: who has one decides.
    ///
    /// # Errors
    /// `InvalidArgument` if no entry begins there, others as [`read`](Self::read). An address that
    /// is truncated already changes nothing.
    ///
    /// # Cancel safety
    /// Dropped before it is ready it has done it, or not.
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

    /// Takes away the entries from `address` on, up to the end as it is now, and makes that
    /// durable: what a consensus log does with entries that were never agreed on. Readers that
    /// have not come there no longer see them. The addresses are not used again.
    ///
    /// # Errors
    /// As [`truncate_until`](Self::truncate_until) and [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
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
                super::voids::add(&mut intent.voids, [start, end]);
                core.source.voids.add([start, end]);
                core.source.note_void([start, end], before.min(start));
            }
        });
        core.source.moved.notify(usize::MAX);
        core.commits.request(end, changes);
        core.settled(end, changes).await
    }

    /// That an entry begins at `address`, or the log ends there.
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
