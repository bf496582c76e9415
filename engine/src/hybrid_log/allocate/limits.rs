//! The limits of the pages of a log.
//!
//! A store with a budget for its device opens pages only up to a limit, so that its files stay
//! within the budget. Compaction frees space by copies, which take space first. So copies may go
//! further than deletions, and deletions, of which compaction makes space later, further than
//! values. While a round of compaction makes space, values have a lower limit, their *pace*, which
//! goes up little by little (`compaction/pace.rs`).

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The purpose of a record that is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A value of a user, or an entry.
    Value,
    /// A deletion.
    Removal,
    /// A copy that compaction makes.
    Copy,
    /// A commit record of a log of entries.
    Commit,
}

/// The first page that a record may not open, for each claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) values: u64,
    pub(crate) removals: u64,
    pub(crate) copies: u64,
}

impl Limits {
    /// The limits of a log without a budget.
    pub(crate) const NONE: Self = Self { values: u64::MAX, removals: u64::MAX, copies: u64::MAX };

    /// Returns the limit of a claim.
    pub(crate) fn of(self, claim: Claim) -> u64 {
        match claim {
            Claim::Value => self.values,
            Claim::Removal => self.removals,
            Claim::Copy => self.copies,
            Claim::Commit => u64::MAX,
        }
    }
}

/// The limits that a tail has at present. They may go up and down.
#[derive(Debug)]
pub(crate) struct PageLimits {
    values: AtomicU64,
    removals: AtomicU64,
    copies: AtomicU64,
    /// The limit of values while they have a pace, or `u64::MAX`.
    pace: AtomicU64,
}

impl Default for PageLimits {
    fn default() -> Self {
        let Limits { values, removals, copies } = Limits::NONE;
        let [values, removals, copies, pace] =
            [values, removals, copies, u64::MAX].map(AtomicU64::new);
        Self { values, removals, copies, pace }
    }
}

impl PageLimits {
    /// Sets the limits. An attempt that has loaded the old limits may still open a page by them. No
    /// such attempt is left after a drain.
    pub(super) fn set(&self, limits: Limits) {
        let Limits { values, removals, copies } = limits;
        assert!(values <= removals && removals <= copies, "copies have the most room: {limits:?}");
        // Relaxed: a drain or the notification of the waiting tasks orders them. Each limit counts
        // for itself.
        self.values.store(values, Ordering::Relaxed);
        self.removals.store(removals, Ordering::Relaxed);
        self.copies.store(copies, Ordering::Relaxed);
    }

    /// Returns the limits, each as it is at some moment of this call.
    pub(super) fn load(&self) -> Limits {
        // Relaxed: as above.
        Limits {
            values: self.values.load(Ordering::Relaxed),
            removals: self.removals.load(Ordering::Relaxed),
            copies: self.copies.load(Ordering::Relaxed),
        }
    }

    /// Sets the first page that values may not open at present. Returns the one before.
    pub(super) fn set_pace(&self, page: u64) -> u64 {
        // Relaxed: as above.
        self.pace.swap(page, Ordering::Relaxed)
    }

    /// Returns whether a record for `claim` may open or use `page`.
    pub(super) fn admit(&self, claim: Claim, page: u64) -> bool {
        let is_in_pace = claim != Claim::Value || page < self.pace.load(Ordering::Relaxed);
        page < self.load().of(claim) && is_in_pace
    }
}
