//! The time at which an attempt happens.
//!
//! An attempt reads the clock once at most, and only if it finds or sets an expiry. So does a hit,
//! and a group of a batch for its keys that are no hits. The clock is code of the user, so it is
//! read before a lock is taken.
//!
//! Between the reading of the clock and the effect of an attempt the second may end. So a change of
//! a key counts as made before its expiry if it began before it, as if it had been a little faster.
//! A reader that sees the next second meanwhile already finds the key absent. No change is lost by
//! that: a writer that finds a key absent replaces the record, and takes the seal, the lock or the
//! index entry for that.

use crate::base::wall_clock::{WallClock, WallTime};
use crate::record::{ExpiryWord, Layout};
use crate::store::table::TableRef;
use std::cell::Cell;
use std::sync::Arc;

/// The present time, once an operation has asked for it. It stays the same under one guard.
#[derive(Debug)]
pub(crate) struct Moment<'c> {
    clock: &'c Arc<WallClock>,
    time: Cell<Option<WallTime>>,
}

impl<'c> Moment<'c> {
    #[inline(always)]
    pub(in crate::store) fn new(core: TableRef<'c>) -> Self {
        Self { clock: &core.store.clock, time: Cell::new(None) }
    }

    /// Returns a moment before every expiry, to repeat changes as they were made.
    pub(in crate::store) fn before_all(core: TableRef<'c>) -> Self {
        let time = WallTime { second: 0, nanos: 0 };
        Self { clock: &core.store.clock, time: Cell::new(Some(time)) }
    }

    /// Returns whether a record with this expiry has expired.
    #[inline(always)]
    pub(in crate::store) fn has_passed(&self, expiry: ExpiryWord) -> bool {
        expiry != ExpiryWord::NEVER && expiry.has_passed(self.time().second)
    }

    /// Reads the clock, if records of this layout expire: a caller is about to take a lock.
    #[inline(always)]
    pub(in crate::store) fn prepare(&self, layout: Layout) {
        if layout.has_expiry {
            self.time();
        }
    }

    /// Returns the present time.
    #[inline]
    pub(in crate::store) fn time(&self) -> WallTime {
        match self.time.get() {
            Some(time) => time,
            None => {
                let time = self.clock.now();
                self.time.set(Some(time));
                time
            }
        }
    }
}
