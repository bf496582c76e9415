//! The scans in progress.

use crate::base::address::Address;
use event_listener::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;

/// The moment of a scan, and the ranges of the log that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Bounds {
    /// The first address that had a record.
    pub(in crate::store) begin: Address,
    /// Records from here on were mutable.
    pub(in crate::store) mutable_from: Address,
    /// The moment: the tail. Its records are below.
    pub(in crate::store) end: Address,
}

/// The scans in progress in one store.
#[derive(Debug, Default)]
pub(in crate::store) struct ActiveScans {
    // Any thread, atomic; written under the lock: the highest end of a moment, 0 without a scan.
    kept_below: AtomicU64,
    // Under its lock.
    scans: Mutex<Scans>,
    /// A scan wants a moment or a thaw.
    demand: Event,
    /// Scans have a moment.
    begun: Event,
}

#[derive(Debug, Default)]
struct Scans {
    next: u64,
    /// By number.
    scans: BTreeMap<u64, Stage>,
    /// The ends of freezes that nothing needs any more.
    thaws: Vec<Address>,
}

/// The progress of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for its moment.
    Waiting,
    /// It reads what was mutable at its moment, which is frozen.
    Frozen(Bounds),
    /// It reads the rest.
    Thawed(Bounds),
}

impl Stage {
    fn bounds(self) -> Option<Bounds> {
        match self {
            Self::Waiting => None,
            Self::Frozen(bounds) | Self::Thawed(bounds) => Some(bounds),
        }
    }
}

impl ActiveScans {
    /// Returns the address below which every record stays in its chain, even if no reader of the
    /// present needs it: a scan may.
    ///
    /// It goes up only during a version barrier. An operation that continues afterwards has loaded
    /// the phase word with Acquire, which pairs with the Release at the end of the barrier. So it
    /// sees at least this address.
    #[inline]
    pub(in crate::store) fn kept_below(&self) -> Address {
        Address::new(self.kept_below.load(Ordering::Relaxed))
    }

    /// Enters a scan, which waits for its moment. Returns its number.
    pub(super) fn enter(&self) -> u64 {
        let mut scans = self.scans();
        let number = scans.next;
        scans.next += 1;
        let before = scans.scans.insert(number, Stage::Waiting);
        debug_assert_eq!(before, None, "each scan has a number of its own");
        drop(scans);
        self.demand.notify(usize::MAX);
        number
    }

    /// Returns the bounds of a scan, if it has its moment.
    pub(super) fn bounds_of(&self, number: u64) -> Option<Bounds> {
        self.scans().scans[&number].bounds()
    }

    /// Lets the driver end the freeze of a scan, if it is frozen.
    pub(super) fn want_thaw(&self, number: u64) {
        let is_wanted = self.scans().want_thaw(number);
        if is_wanted {
            self.demand.notify(usize::MAX);
        }
    }

    /// Ends a scan. The driver ends its freeze, if it is frozen.
    pub(super) fn leave(&self, number: u64) {
        let mut scans = self.scans();
        let is_wanted = scans.want_thaw(number);
        scans.scans.remove(&number);
        self.publish(&scans);
        drop(scans);
        if is_wanted {
            self.demand.notify(usize::MAX);
        }
    }

    /// Returns the event of scans that have begun.
    pub(super) fn begun(&self) -> &Event {
        &self.begun
    }

    /// Returns the event of scans that want a moment or a thaw.
    pub(super) fn demand(&self) -> &Event {
        &self.demand
    }

    /// Returns whether a scan waits for its moment.
    pub(super) fn has_waiting(&self) -> bool {
        self.scans().scans.values().any(|stage| *stage == Stage::Waiting)
    }

    /// Returns whether freezes can end.
    pub(super) fn has_thaws(&self) -> bool {
        !self.scans().thaws.is_empty()
    }

    /// Returns the ends of the freezes that can end.
    pub(super) fn take_thaws(&self) -> Vec<Address> {
        std::mem::take(&mut self.scans().thaws)
    }

    /// Begins all waiting scans at this moment, and freezes once for each by `freeze`. The version
    /// barrier is up.
    pub(super) fn begin_waiting(&self, bounds: Bounds, freeze: impl Fn()) {
        let Bounds { begin, mutable_from, end } = bounds;
        assert!(begin <= mutable_from && mutable_from <= end, "{bounds:?}");
        let mut scans = self.scans();
        for stage in scans.scans.values_mut().filter(|stage| **stage == Stage::Waiting) {
            freeze();
            *stage = Stage::Frozen(bounds);
        }
        self.publish(&scans);
        drop(scans);
        self.begun.notify(usize::MAX);
    }

    fn publish(&self, scans: &Scans) {
        let ends = scans.scans.values().filter_map(|stage| stage.bounds());
        let highest = ends.map(|bounds| bounds.end.raw()).max();
        // Relaxed: see `kept_below`. It comes down at any time, and later is right too.
        self.kept_below.store(highest.unwrap_or(0), Ordering::Relaxed);
    }

    fn scans(&self) -> MutexGuard<'_, Scans> {
        self.scans.lock().expect("nothing panics under it")
    }
}

impl Scans {
    /// Lets the driver end the freeze of a scan, if it is frozen. Returns whether it was.
    fn want_thaw(&mut self, number: u64) -> bool {
        let stage = self.scans.get_mut(&number).expect("a scan has its entry until it ends");
        let Stage::Frozen(bounds) = *stage else {
            return false;
        };
        *stage = Stage::Thawed(bounds);
        self.thaws.push(bounds.end);
        true
    }
}
