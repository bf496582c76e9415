//! The wait for a page that a record may open within the budget of the device.
//!
//! A task that waits holds nothing. Compaction makes space for it and moves the limits, or refuses
//! it. Each wait has a number, in order. So compaction refuses exactly the waits that began before
//! it did all that it can do, and no later ones.

use super::limits::{Claim, Limits};
use crate::base::error::{Error, Result};
use crate::base::wait::Event;
use crate::hybrid_log::parts::LogParts;
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The waits for pages within the limits.
#[derive(Debug, Default)]
pub(crate) struct QuotaState {
    // Any thread, atomic.
    /// The number of the next wait, which is the number of waits so far.
    next: AtomicU64,
    /// The waits in progress, for values and for deletions.
    values: AtomicU64,
    removals: AtomicU64,
    /// The waits that were refused.
    refused: AtomicU64,
    /// The times that a record of a user was admitted: to a further page, or after a wait.
    admitted: AtomicU64,
    /// The pages that copies have opened, and few more.
    copied: AtomicU64,
    // Under its lock: waits with lower numbers are refused, for this reason.
    refusal: Mutex<Option<(u64, Error)>>,
    /// The limits moved, or waits are refused.
    moved: Event,
    /// A wait began, or limits moved under one.
    demand: Event,
}

/// Numbers of waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QuotaWaits {
    pub(crate) in_progress: u64,
    pub(crate) so_far: u64,
    pub(crate) refused: u64,
}

/// A wait in progress, until it is dropped.
pub(super) struct Waiting<'s> {
    state: &'s QuotaState,
    claim: Claim,
    number: u64,
}

impl QuotaState {
    fn waiting_for(&self, claim: Claim) -> &AtomicU64 {
        match claim {
            Claim::Removal => &self.removals,
            Claim::Value | Claim::Copy | Claim::Commit => &self.values,
        }
    }

    /// Returns the event of moved limits, and of refusals.
    pub(super) fn moved(&self) -> &Event {
        &self.moved
    }

    /// Counts a record that is admitted.
    pub(super) fn admit(&self, claim: Claim) {
        let admitted = if claim == Claim::Copy { &self.copied } else { &self.admitted };
        // Relaxed: the driver of compaction counts before it moves the limits, and after it.
        admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the limits have moved: tasks may have a page, or may not have the page any more
    /// for which the driver of compaction has stopped to work.
    fn note_moved(&self) {
        self.moved.notify(usize::MAX);
        self.demand.notify(usize::MAX);
    }

    /// Begins a wait, which the driver of compaction notices.
    pub(super) fn begin(&self, claim: Claim) -> Waiting<'_> {
        // Relaxed: the notification orders them.
        self.waiting_for(claim).fetch_add(1, Ordering::Relaxed);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.demand.notify(usize::MAX);
        Waiting { state: self, claim, number }
    }
}

impl Waiting<'_> {
    /// Fails if this wait is refused.
    pub(super) fn check(&self) -> Result<()> {
        let refusal = self.state.refusal.lock().expect("nothing panics under it");
        match &*refusal {
            Some((below, error)) if self.number < *below => {
                self.state.refused.fetch_add(1, Ordering::Relaxed);
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.state.waiting_for(self.claim).fetch_sub(1, Ordering::Relaxed);
    }
}

/// The pages that records may open, and the tasks that wait for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota<'l> {
    pub(in crate::hybrid_log) parts: &'l LogParts,
    pub(in crate::hybrid_log) state: &'l QuotaState,
}

impl Quota<'_> {
    /// Sets the limits. An attempt that has loaded the old limits may still open a page by them,
    /// until a drain.
    pub(crate) fn set(self, limits: Limits) {
        self.parts.tail.limits().set(limits);
        self.state.note_moved();
    }

    /// Lets values open only so many further pages within the limits, until this is called again.
    pub(crate) fn pace(self, pages: u64) {
        let page = self.opened().saturating_add(pages);
        let before = self.parts.tail.limits().set_pace(page);
        if page > before {
            self.state.moved.notify(usize::MAX);
        }
    }

    /// Returns the number of pages that were opened, but for copies.
    pub(crate) fn opened_for_values(self) -> u64 {
        self.opened().saturating_sub(self.state.copied.load(Ordering::Relaxed))
    }

    /// Returns the limits.
    pub(crate) fn limits(self) -> Limits {
        self.parts.tail.limits().load()
    }

    /// Returns the first page that is not opened yet.
    pub(crate) fn opened(self) -> u64 {
        self.parts.tail.page() + 1
    }

    /// Returns the number of pages after the tail page that records for `claim` may open.
    pub(crate) fn pages_left(self, claim: Claim) -> u64 {
        self.limits().of(claim).saturating_sub(self.opened())
    }

    /// Returns whether tasks wait for a page, and the limits do not let them have one.
    pub(crate) fn is_pressed(self) -> bool {
        [Claim::Value, Claim::Removal].into_iter().any(|claim| {
            self.state.waiting_for(claim).load(Ordering::Relaxed) > 0 && self.pages_left(claim) == 0
        })
    }

    /// Returns the number of times that a record of a user was admitted.
    pub(crate) fn admitted(self) -> u64 {
        self.state.admitted.load(Ordering::Relaxed)
    }

    /// Returns the event of waits that begin, and of limits that move under them.
    pub(crate) fn demand(&self) -> &Event {
        &self.state.demand
    }

    /// Returns the number of the next wait. All waits before have lower numbers.
    pub(crate) fn next_wait(self) -> u64 {
        self.state.next.load(Ordering::Relaxed)
    }

    /// Refuses the waits with numbers below `below`.
    pub(crate) fn refuse(self, below: u64, error: Error) {
        *self.state.refusal.lock().expect("nothing panics under it") = Some((below, error));
        self.state.moved.notify(usize::MAX);
    }

    /// Returns the numbers of waits.
    pub(crate) fn waits(self) -> QuotaWaits {
        let count = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let QuotaState { next, values, removals, refused, .. } = self.state;
        QuotaWaits {
            in_progress: count(values) + count(removals),
            so_far: count(next),
            refused: count(refused),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::wait::wait_until;
    use futures::FutureExt as _;
    use std::cell::Cell;
    use std::pin::pin;

    /// A lap ended as the limits had gone up. They came down before the task that waited was
    /// polled, and the driver slept on.
    #[test]
    fn the_driver_hears_of_limits_that_move_under_a_wait() {
        let (state, have_moved) = (QuotaState::default(), Cell::new(false));
        let waiting = state.begin(Claim::Value);
        for event in [state.moved(), &state.demand] {
            have_moved.set(false);
            let mut heard = pin!(wait_until(event, || have_moved.get().then_some(())));
            assert!(heard.as_mut().now_or_never().is_none());
            have_moved.set(true);
            state.note_moved();
            assert!(heard.now_or_never().is_some());
        }
        drop(waiting);
    }
}
