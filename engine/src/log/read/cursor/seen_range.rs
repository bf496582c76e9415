//! The range of entries as a cursor has last seen it.

use super::skipped::Skipped;
use crate::base::address::Address;
use crate::log::read::range::ReadableRange;

/// The changes of the range that a cursor has seen, and the entries that it missed by them.
#[derive(Debug, Default)]
pub(super) struct SeenRange {
    /// The count of truncations that the cursor has seen.
    truncations: u64,
    /// The start of the next hole.
    hole: Option<Address>,
    skipped: Skipped,
}

impl SeenRange {
    /// Returns whether the cursor has seen all truncations.
    #[inline(always)]
    pub(super) fn is_current(&self, range: &ReadableRange) -> bool {
        self.truncations == range.holes().truncations()
    }

    /// Looks at the range. Returns its begin. [`clip`](Self::clip) comes next.
    pub(super) fn look(&mut self, range: &ReadableRange) -> Address {
        // Load the count first, so that a later truncation changes it.
        let truncations = range.holes().truncations();
        debug_assert!(self.truncations <= truncations, "truncations are only counted up");
        self.truncations = truncations;
        range.begin()
    }

    /// Returns the first address at or after `at` that is in no hole.
    pub(super) fn clip(&mut self, range: &ReadableRange, at: Address) -> Address {
        let (clipped, hole) = range.holes().clip(at);
        debug_assert!(at <= clipped, "a reader goes forward: {at:?}, {clipped:?}");
        debug_assert!(hole.is_none_or(|hole| clipped < hole), "{clipped:?} is in no hole");
        self.hole = hole;
        clipped
    }

    /// Returns the start of the next hole.
    pub(super) fn hole(&self) -> Option<Address> {
        self.hole
    }

    /// Returns `end`, or the start of the next hole if that is lower.
    pub(super) fn below_hole(&self, end: Address) -> Address {
        self.hole.map_or(end, |hole| hole.min(end))
    }

    pub(super) fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    pub(super) fn skipped_mut(&mut self) -> &mut Skipped {
        &mut self.skipped
    }
}
