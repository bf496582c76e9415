//! The scans in progress.

use super::pulse::Pulse;
use crate::base::address::Address;
use crate::base::wait::Event;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The time after which a scan that is not polled expires, if compaction waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The moment of a scan, and the ranges of the log that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Bounds {
    /// The first address that had a record.
    pub(in crate::store) begin: Address,
    /// Records from here on were mutable.
    pub(in crate::store) mutable_from: Address,
    /// The moment: the tail. Its records are below.
    pub(in crate::store) end: Address,
    /// The highest second that the clock had shown. No operation before the moment knew a later
    /// one.
    pub(in crate::store) second: u32,
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
    /// A scan has ended.
    ended: Event,
    // Any thread, atomic: compaction waits for the scans. A hint.
    is_in_the_way: AtomicBool,
    // Written by the driver of compaction: scans without a moment wait for it.
    are_held_back: AtomicBool,
}

#[derive(Debug, Default)]
struct Scans {
    next: u64,
    /// By number.
    scans: BTreeMap<u64, Scan>,
    /// The ends of freezes that nothing needs any more.
    thaws: Vec<Address>,
}

#[derive(Debug)]
struct Scan {
    stage: Stage,
    /// It reads no record below this address any more.
    needs: Address,
    pulse: Arc<Pulse>,
    /// Its beats when a driver looked last, and the time since which they are the same.
    still: (u64, Duration),
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
    /// It reads nothing any more, and its task does not know yet.
    Expired(Bounds),
}

impl Stage {
    fn bounds(self) -> Option<Bounds> {
        match self {
            Self::Waiting => None,
            Self::Frozen(bounds) | Self::Thawed(bounds) | Self::Expired(bounds) => Some(bounds),
        }
    }

    /// Returns the bounds of a scan that relies on them.
    fn bounds_in_use(self) -> Option<Bounds> {
        match self {
            Self::Waiting | Self::Expired(_) => None,
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

    /// Enters a scan for each pulse. They wait for their moment, which is the same for all of them.
    /// Returns their numbers.
    pub(super) fn enter(&self, pulses: &[Arc<Pulse>]) -> Range<u64> {
        let mut scans = self.scans();
        let numbers = scans.next..scans.next + pulses.len() as u64;
        scans.next = numbers.end;
        for (number, pulse) in numbers.clone().zip(pulses) {
            let (stage, needs, still) = (Stage::Waiting, Address::NONE, (0, Duration::MAX));
            let scan = Scan { stage, needs, pulse: Arc::clone(pulse), still };
            let before = scans.scans.insert(number, scan);
            debug_assert!(before.is_none(), "each scan has a number of its own");
        }
        drop(scans);
        self.demand.notify(usize::MAX);
        numbers
    }

    /// Returns the bounds of a scan, if it has its moment.
    pub(super) fn bounds_of(&self, number: u64) -> Option<Bounds> {
        self.scans().scans[&number].stage.bounds()
    }

    /// Notes that a scan reads no record below `address` any more.
    pub(super) fn pass(&self, number: u64, address: Address) {
        let mut scans = self.scans();
        let scan = scans.scans.get_mut(&number).expect("a scan has its entry until it ends");
        debug_assert!(scan.needs <= address, "a scan goes up: {scan:?}, {address:?}");
        scan.needs = address;
    }

    /// Returns the number of scans that have their moment, and the lowest address that one of them
    /// still reads.
    pub(in crate::store) fn needs(&self) -> (usize, Option<Address>) {
        let scans = self.scans();
        let needs = scans.needs();
        (needs.clone().count(), needs.min())
    }

    /// Returns whether a scan holds compaction up.
    pub(in crate::store) fn hold_up(&self) -> bool {
        self.kept_below() > Address::NONE
    }

    /// Notes that compaction waits for the scans in progress, so that those that are not polled
    /// expire. Returns whether there are scans.
    pub(in crate::store) fn press(&self) -> bool {
        let hold_up = self.hold_up();
        if hold_up && !self.is_in_the_way.swap(true, Ordering::Relaxed) {
            self.demand.notify(usize::MAX);
        }
        hold_up
    }

    /// Sets whether scans are held back: then those that have no moment yet wait for it, and the
    /// others go on.
    pub(in crate::store) fn hold_back(&self, are_held_back: bool) {
        // Relaxed: a scan that begins in the same moment is one more to wait for.
        self.are_held_back.store(are_held_back, Ordering::Relaxed);
        if !are_held_back {
            self.demand.notify(usize::MAX);
        }
    }

    /// Returns whether scans without a moment wait for it.
    pub(super) fn are_held_back(&self) -> bool {
        self.are_held_back.load(Ordering::Relaxed)
    }

    /// Looks at the scans that have their moment. Returns the time since which one of them was not
    /// used, the earliest one, as far as looks have shown it.
    pub(in crate::store) fn still_since(&self, now: Duration) -> Option<Duration> {
        let mut scans = self.scans();
        let begun = scans.scans.values_mut().filter(|scan| scan.stage.bounds_in_use().is_some());
        begun.map(|scan| scan.still_since(now)).min()
    }

    /// Returns whether compaction waits for scans.
    pub(super) fn are_in_the_way(&self) -> bool {
        self.is_in_the_way.load(Ordering::Relaxed)
    }

    /// Expires the scans that have not been used for [`PATIENCE`], and returns their numbers. They
    /// are let go after a drain.
    pub(super) fn expire(&self, now: Duration) -> Vec<u64> {
        let mut scans = self.scans();
        let begun = scans.scans.iter_mut().filter(|(_, scan)| scan.stage.bounds_in_use().is_some());
        let expired = begun.filter_map(|(number, scan)| scan.expire(now).then_some(*number));
        expired.collect()
    }

    /// Lets go of what expired scans need, drops their work, and wakes their tasks. The caller has
    /// drained the epoch since they expired.
    pub(super) fn let_go(&self, expired: &[u64]) {
        let mut scans = self.scans();
        let ended: Vec<_> = expired.iter().filter_map(|number| scans.let_go(*number)).collect();
        self.publish(&scans);
        drop(scans);
        self.ended.notify(usize::MAX);
        for pulse in ended {
            // The work lets its entry and its memory go.
            drop(pulse.take_work());
            pulse.wake();
        }
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
        self.ended.notify(usize::MAX);
        if is_wanted {
            self.demand.notify(usize::MAX);
        }
    }

    /// Returns the event of scans that have ended.
    pub(in crate::store) fn ended(&self) -> &Event {
        &self.ended
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
        self.scans().scans.values().any(|scan| scan.stage == Stage::Waiting)
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
    pub(super) fn begin_waiting(&self, bounds: impl FnOnce() -> Bounds, freeze: impl Fn()) {
        let mut scans = self.scans();
        // Under the lock: the begin of the log does not pass a scan that has begun.
        let bounds = bounds();
        let Bounds { begin, mutable_from, end, .. } = bounds;
        assert!(begin <= mutable_from && mutable_from <= end, "{bounds:?}");
        for scan in scans.scans.values_mut().filter(|scan| scan.stage == Stage::Waiting) {
            freeze();
            (scan.stage, scan.needs) = (Stage::Frozen(bounds), begin);
        }
        self.publish(&scans);
        drop(scans);
        self.begun.notify(usize::MAX);
    }

    /// Moves the begin of the log by `raise`, which gets the first address that a scan in progress
    /// needs. No scan begins meanwhile.
    pub(in crate::store) fn raise_begin<T>(&self, raise: impl FnOnce(Option<Address>) -> T) -> T {
        let scans = self.scans();
        raise(scans.needs().min())
    }

    fn publish(&self, scans: &Scans) {
        let ends = scans.scans.values().filter_map(|scan| scan.stage.bounds_in_use());
        let highest = ends.map(|bounds| bounds.end.raw()).max();
        if highest.is_none() {
            self.is_in_the_way.store(false, Ordering::Relaxed);
        }
        // Relaxed: see `kept_below`. It comes down at any time, and later is right too.
        self.kept_below.store(highest.unwrap_or(0), Ordering::Relaxed);
    }

    fn scans(&self) -> MutexGuard<'_, Scans> {
        self.scans.lock().expect("nothing panics under it")
    }
}

impl Scan {
    /// Needs its freeze no more. Returns the end of the freeze, if the scan was frozen.
    fn thaw(&mut self) -> Option<Address> {
        let Stage::Frozen(bounds) = self.stage else {
            return None;
        };
        self.stage = Stage::Thawed(bounds);
        Some(bounds.end)
    }

    /// Looks whether it has been used since the last look. Returns the time since which it has not.
    fn still_since(&mut self, now: Duration) -> Duration {
        let (beats, since) = self.still;
        if beats != self.pulse.beats() || since == Duration::MAX {
            self.still = (self.pulse.beats(), now);
        }
        self.still.1
    }

    /// Expires if it has not been used for [`PATIENCE`]. Returns whether it has.
    fn expire(&mut self, now: Duration) -> bool {
        let is_idle = now.saturating_sub(self.still_since(now)) >= PATIENCE;
        if is_idle {
            self.pulse.expire();
        }
        is_idle
    }
}

impl Scans {
    /// Ends the freeze of an expired scan, and forgets what it needs. Returns its pulse.
    fn let_go(&mut self, number: u64) -> Option<Arc<Pulse>> {
        // It may have been dropped meanwhile.
        let scan = self.scans.get_mut(&number)?;
        self.thaws.extend(scan.thaw());
        scan.stage = Stage::Expired(scan.stage.bounds().expect("a scan expires after its moment"));
        Some(Arc::clone(&scan.pulse))
    }

    /// Returns the first address that each scan needs that has begun.
    fn needs(&self) -> impl Iterator<Item = Address> + Clone {
        let begun = self.scans.values().filter(|scan| scan.stage.bounds_in_use().is_some());
        begun.map(|scan| scan.needs)
    }

    /// Lets the driver end the freeze of a scan, if it is frozen. Returns whether it was.
    fn want_thaw(&mut self, number: u64) -> bool {
        let scan = self.scans.get_mut(&number).expect("a scan has its entry until it ends");
        let end = scan.thaw();
        self.thaws.extend(end);
        end.is_some()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn bounds(end: u64) -> Bounds {
        let [begin, mutable_from, end] = [64, 1000, end].map(Address::new);
        Bounds { begin, mutable_from, end, second: 0 }
    }

    fn pulses(count: usize) -> Vec<Arc<Pulse>> {
        (0..count).map(|_| Arc::default()).collect()
    }

    #[test]
    fn records_are_kept_for_the_newest_scan() {
        let scans = ActiveScans::default();
        let frozen = Cell::new(0);
        let freeze = || frozen.set(frozen.get() + 1);
        let Range { start: first, end } = scans.enter(&pulses(2));
        let second = first + 1;
        assert_eq!(end, second + 1);
        assert_eq!((scans.needs(), scans.bounds_of(first)), ((0, None), None));
        scans.begin_waiting(|| bounds(2000), freeze);
        let third = scans.enter(&pulses(1)).start;
        scans.begin_waiting(|| bounds(3000), freeze);
        assert_eq!((frozen.get(), scans.has_waiting()), (3, false));
        assert_eq!(scans.bounds_of(second), Some(bounds(2000)));
        assert_eq!(scans.kept_below(), Address::new(3000));
        scans.pass(first, Address::new(500));
        scans.pass(second, Address::new(400));
        scans.pass(third, Address::new(700));
        assert_eq!(scans.needs(), (3, Some(Address::new(400))));
        scans.leave(third);
        assert_eq!(scans.kept_below(), Address::new(2000));
        scans.leave(second);
        assert_eq!(scans.needs(), (1, Some(Address::new(500))));
        scans.leave(first);
        assert_eq!((scans.kept_below(), scans.needs()), (Address::NONE, (0, None)));
    }

    /// A scan thawed twice: once when it had read what was mutable, and once at its end.
    #[test]
    fn each_freeze_thaws_once() {
        let scans = ActiveScans::default();
        let [first, second] = [scans.enter(&pulses(1)).start, scans.enter(&pulses(1)).start];
        scans.want_thaw(first);
        assert!(!scans.has_thaws(), "it is not frozen yet");
        scans.begin_waiting(|| bounds(2000), || ());
        scans.want_thaw(first);
        scans.want_thaw(first);
        scans.leave(first);
        assert_eq!(scans.take_thaws(), [Address::new(2000)]);
        scans.leave(second);
        assert_eq!(scans.take_thaws(), [Address::new(2000)]);
        scans.leave(scans.enter(&pulses(1)).start);
        assert!(!scans.has_thaws() && !scans.has_waiting());
    }

    #[test]
    fn a_scan_that_is_not_used_expires() {
        let scans = ActiveScans::default();
        let pulses = pulses(3);
        let [idle, used, waiting] = [0, 1, 2];
        assert_eq!(scans.enter(&pulses[..2]), idle..waiting);
        scans.begin_waiting(|| bounds(2000), || ());
        assert_eq!(scans.enter(&pulses[2..]).start, waiting);
        assert!(scans.hold_up() && !scans.are_in_the_way(), "nothing waits for them");
        assert!(scans.press() && scans.are_in_the_way());
        let at = |patiences: u32| PATIENCE * patiences;
        assert!(scans.expire(at(5)).is_empty(), "the first look knows nothing");
        pulses[1].beat();
        let before = at(6) - Duration::from_secs(1);
        assert_eq!(scans.still_since(before), Some(at(5)), "the earliest counts");
        assert!(scans.expire(before).is_empty());
        assert_eq!(scans.expire(at(6)), [idle]);
        assert!(pulses[0].check().is_err() && pulses[1].check().is_ok());
        assert_eq!(scans.needs().0, 2, "it is let go after a drain");
        scans.let_go(&[idle]);
        assert_eq!((scans.needs().0, scans.take_thaws().len()), (1, 1));
        assert_eq!(scans.bounds_of(idle), Some(bounds(2000)), "its task may ask late");
        scans.leave(idle);
        scans.leave(used);
        assert!(!scans.are_in_the_way() && scans.take_thaws().len() == 1);
    }
}
