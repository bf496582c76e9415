//! Removing the oldest or the newest entries.

use super::holes;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::log::commit::state::{Commit, CommitGoal};
use crate::log::inner::LogInner;
use crate::log::read::last;
use crate::log::read::lookup::Lookup;

/// Truncates one log at either end.
#[derive(Debug)]
pub(crate) struct Truncation<'l> {
    log: &'l LogInner,
}

impl<'l> Truncation<'l> {
    pub(crate) fn new(log: &'l LogInner) -> Self {
        Self { log }
    }

    /// Removes the entries below `until`. The next commit makes the removal durable.
    pub(crate) async fn of_prefix(&self, until: Address) -> Result<()> {
        self.log.memory.health().check_write()?;
        let range = self.log.view.range();
        if until <= range.begin() {
            return Ok(());
        }
        let until = self.boundary(until).await?;
        assert!(until <= self.log.memory.log().tail_address(), "{until:?} is in the log");
        // Readers come first: a manifest with this begin may delete the files at once.
        range.truncate_front(until);
        debug_assert!(until <= range.begin(), "the begin goes up: {until:?}");
        self.log.committer.requests().change(|next| next.begin = next.begin.max(until));
        range.changed().notify(usize::MAX);
        Ok(())
    }

    /// Removes the entries from `from` to the current end, and makes the removal durable.
    pub(crate) async fn of_suffix(&self, from: Address) -> Result<Commit> {
        let LogInner { memory, view, committer, .. } = self.log;
        memory.health().check_write()?;
        let from = self.boundary(from).await?;
        let range = view.range();
        let before = last::last_before(view, from).await?;
        debug_assert!(
            before.as_ref().is_none_or(|entry| entry.next.inner() <= from),
            "an entry ends at or before the boundary {from:?}"
        );
        let before = before.map_or(range.begin(), |entry| entry.next.inner());
        let mut until = from;
        let changes = committer.requests().change(|next| {
            until = memory.log().tail_address();
            debug_assert!(from <= until, "the tail only grows: {from:?}, {until:?}");
            let start = from.max(range.begin());
            if start < until {
                holes::add(&mut next.holes, [start, until]);
                range.add_hole([start, until], before.min(start));
            }
        });
        range.changed().notify(usize::MAX);
        committer.requests().request(until, changes);
        committer.wait_for(CommitGoal { until, changes, number: 0 }).await
    }

    /// Checks that an entry begins at `address`, or that the log ends there. For the end of a page,
    /// returns the start of the next page, where the next frame begins.
    async fn boundary(&self, address: Address) -> Result<Address> {
        let end = self.log.memory.log().tail_address();
        if address == end || self.log.view.is_boundary(address) {
            return Ok(address);
        }
        if address > end {
            return Err(Error::invalid(format!(
                "address {}: the log ends at {}",
                address.raw(),
                end.raw()
            )));
        }
        Lookup::new(&self.log.view).check_frame(address).await?;
        let units = self.log.view.units();
        Ok(if units.is_page_end(address) { units.align_up(address) } else { address })
    }
}
