//! The readers of the log in progress, and the part of the log that each needs.
//!
//! Compaction may copy what a reader needs, but the log does not begin above it. A reader that is
//! not polled must not keep space for ever. So a reader *lapses* if compaction waits for it and it
//! was not polled for a minute. When it is polled again, it enters again, if the log still has what
//! it needs.
//!
//! A compaction that is refused does not wait: its caller comes again, perhaps much later. So what
//! it wanted counts until each reader has passed it, has ended or has lapsed. The wait of a writer
//! may be over by then. The reader that lapses nevertheless loses nothing before the begin of the
//! log has passed it.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::Event;
use crate::store::scan::Pulse;
use kvick_io::sync::atomic::{AtomicBool, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The readers of the log of one store.
#[derive(Debug, Default)]
pub(in crate::store) struct LogReaders {
    // Under its lock.
    readers: Mutex<Readers>,
    // Any thread, atomic; written under the lock: compaction waits for a reader. A hint.
    are_in_the_way: AtomicBool,
    /// A reader is in the way.
    demand: Event,
    /// A reader that was in the way has moved, ended or lapsed.
    moved: Event,
}

#[derive(Debug, Default)]
struct Readers {
    next: u64,
    /// By number.
    readers: BTreeMap<u64, Reader>,
    /// Compaction has wanted the log to begin here, and a reader still holds it up.
    wanted: Option<Address>,
}

#[derive(Debug)]
struct Reader {
    /// It reads no record below this address any more.
    needs: Address,
    has_lapsed: bool,
    pulse: Arc<Pulse>,
    /// Its beats when they were looked at last, and the time since which they are the same. `None`
    /// while compaction does not wait for it.
    still: Option<(u64, Duration)>,
}

impl LogReaders {
    /// Enters a reader of records from `needs` on. `begin` returns the begin of the log, which does
    /// not pass the reader from now on. Returns its number.
    ///
    /// # Errors
    /// `Truncated` if the log begins above `needs`.
    pub(super) fn enter(
        &self,
        needs: impl FnOnce() -> Address,
        begin: impl FnOnce() -> Address,
        pulse: Arc<Pulse>,
    ) -> Result<u64> {
        let mut readers = self.readers();
        // Under the lock: the begin of the log does not move.
        let needs = needs();
        check(needs, begin())?;
        let number = readers.next;
        readers.next += 1;
        let reader = Reader { needs, has_lapsed: false, pulse, still: None };
        readers.readers.insert(number, reader);
        self.publish(&mut readers);
        Ok(number)
    }

    /// Notes that a reader reads no record below `needs` any more. It enters again if it has
    /// lapsed.
    ///
    /// # Errors
    /// `Truncated` if the log begins above `needs` by now.
    pub(super) fn pass(
        &self,
        number: u64,
        needs: Address,
        begin: impl FnOnce() -> Address,
    ) -> Result<()> {
        let mut readers = self.readers();
        check(needs, begin())?;
        let reader = readers.readers.get_mut(&number).expect("a reader is there until it ends");
        debug_assert!(reader.needs <= needs, "a reader goes up: {reader:?}, {needs:?}");
        (reader.needs, reader.has_lapsed) = (needs, false);
        self.publish_moved(readers);
        Ok(())
    }

    /// Ends a reader.
    pub(super) fn leave(&self, number: u64) {
        let mut readers = self.readers();
        readers.readers.remove(&number);
        self.publish_moved(readers);
    }

    /// Returns the number of readers, and the lowest address that one of them needs.
    pub(in crate::store) fn needs(&self) -> (usize, Option<Address>) {
        let readers = self.readers();
        (readers.readers.len(), readers.lowest())
    }

    /// Returns the lowest address that a reader needs, if it is below `until`, where compaction
    /// wants the log to begin. Then readers that are not polled lapse. This wakes no task that
    /// waits for readers, since such a task calls it.
    pub(in crate::store) fn hold_up(&self, until: Address) -> Option<Address> {
        let mut readers = self.readers();
        let lowest = readers.lowest().filter(|lowest| *lowest < until)?;
        readers.wanted = readers.wanted.max(Some(until));
        let [were, are] = self.publish(&mut readers);
        drop(readers);
        if are && !were {
            self.demand.notify(usize::MAX);
        }
        Some(lowest)
    }

    /// Moves the begin of the log by `raise`, which gets the lowest address that a reader needs. No
    /// reader begins meanwhile.
    pub(in crate::store) fn raise_begin<T>(&self, raise: impl FnOnce(Option<Address>) -> T) -> T {
        let readers = self.readers();
        raise(readers.lowest())
    }

    /// Lets the readers lapse that have not been polled for `patience` while compaction waited for
    /// them. Returns their number.
    pub(in crate::store) fn lapse(&self, now: Duration, patience: Duration) -> usize {
        let mut readers = self.readers();
        let Some(wanted) = readers.wanted else {
            return 0;
        };
        let mut lapsed = 0;
        for reader in readers.readers.values_mut().filter(|reader| !reader.has_lapsed) {
            if reader.needs >= wanted {
                reader.still = None;
                continue;
            }
            let beats = reader.pulse.beats();
            match reader.still {
                Some((before, since)) if before == beats => {
                    reader.has_lapsed = now.saturating_sub(since) >= patience;
                    lapsed += usize::from(reader.has_lapsed);
                }
                Some(_) | None => reader.still = Some((beats, now)),
            }
        }
        self.publish_moved(readers);
        lapsed
    }

    /// Returns whether compaction waits for readers.
    pub(in crate::store) fn are_in_the_way(&self) -> bool {
        self.are_in_the_way.load(Ordering::Relaxed)
    }

    /// Returns the event of readers that got in the way.
    pub(in crate::store) fn demand(&self) -> &Event {
        &self.demand
    }

    /// Returns the event of readers that were in the way and have moved, ended or lapsed.
    pub(in crate::store) fn moved(&self) -> &Event {
        &self.moved
    }

    /// Shows whether readers are in the way, and wakes the tasks that wait for them if they were: a
    /// reader has moved, ended or lapsed.
    fn publish_moved(&self, mut readers: MutexGuard<'_, Readers>) {
        let [were, _are] = self.publish(&mut readers);
        drop(readers);
        if were {
            self.moved.notify(usize::MAX);
        }
    }

    /// Shows whether readers are in the way. Returns whether they were, and are.
    fn publish(&self, readers: &mut Readers) -> [bool; 2] {
        let wanted = readers.wanted;
        let are_in_the_way =
            readers.lowest().is_some_and(|lowest| wanted.is_some_and(|wanted| lowest < wanted));
        let were = self.are_in_the_way.swap(are_in_the_way, Ordering::Relaxed);
        if !are_in_the_way {
            readers.wanted = None;
            readers.readers.values_mut().for_each(|reader| reader.still = None);
        }
        [were, are_in_the_way]
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().expect("nothing panics under it")
    }
}

impl Readers {
    fn lowest(&self) -> Option<Address> {
        let holding = self.readers.values().filter(|reader| !reader.has_lapsed);
        holding.map(|reader| reader.needs).min()
    }
}

fn check(needs: Address, begin: Address) -> Result<()> {
    if needs < begin { Err(Error::taken_from_reader(needs.raw())) } else { Ok(()) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn at(raw: u64) -> Address {
        Address::new(raw)
    }

    fn entered(readers: &LogReaders, needs: u64, pulse: &Arc<Pulse>) -> u64 {
        readers.enter(|| at(needs), || at(64), Arc::clone(pulse)).expect("the log has it")
    }

    #[test]
    fn the_lowest_reader_counts_until_it_passes_or_leaves() {
        let (readers, pulse) = (LogReaders::default(), Arc::default());
        assert_eq!((readers.hold_up(at(4096)), readers.needs()), (None, (0, None)));
        let [first, second] = [1000, 2000].map(|needs| entered(&readers, needs, &pulse));
        assert_eq!(readers.hold_up(at(1000)), None, "it is not below");
        assert!(!readers.are_in_the_way());
        assert_eq!(readers.hold_up(at(4096)), Some(at(1000)));
        assert!(readers.are_in_the_way());
        readers.pass(first, at(5000), || at(64)).expect("the log has it");
        assert_eq!(readers.hold_up(at(4096)), Some(at(2000)));
        assert_eq!(readers.raise_begin(|lowest| lowest), Some(at(2000)));
        readers.leave(second);
        assert!(!readers.are_in_the_way());
        assert_eq!(readers.needs(), (1, Some(at(5000))));
        let refused = readers.enter(|| at(64), || at(4096), pulse).unwrap_err();
        assert_eq!(refused.kind(), crate::ErrorKind::Truncated, "{refused}");
    }

    /// A request was refused for it, and comes again after a minute. Nothing waits meanwhile.
    #[test]
    fn what_was_wanted_counts_until_readers_have_passed_it() {
        let (readers, pulse) = (LogReaders::default(), Arc::<Pulse>::default());
        let number = entered(&readers, 1000, &pulse);
        assert_eq!(readers.hold_up(at(4096)), Some(at(1000)));
        assert_eq!(readers.hold_up(at(500)), None, "another one wants less");
        assert_eq!(readers.lapse(Duration::from_secs(1), PATIENCE), 0, "the first look");
        readers.pass(number, at(2000), || at(64)).expect("the log has it");
        assert!(readers.are_in_the_way(), "it has not passed what was wanted");
        assert_eq!(readers.lapse(Duration::from_secs(61), PATIENCE), 1);
        assert!(!readers.are_in_the_way() && readers.hold_up(at(4096)).is_none());
        readers.pass(number, at(2000), || at(64)).expect("nothing was taken");
        assert!(!readers.are_in_the_way(), "nothing is wanted any more");
    }

    /// A reader that waits for the log, and so is not polled, was in the way long ago.
    #[test]
    fn a_reader_lapses_after_a_minute_in_the_way() {
        let (readers, pulses) = (LogReaders::default(), [(); 3].map(|()| Arc::<Pulse>::default()));
        let [idle, used, ahead] = [1000, 2000, 9000];
        let [idle, used, ahead] = [(idle, 0), (used, 1), (ahead, 2)]
            .map(|(needs, at)| entered(&readers, needs, &pulses[at]));
        let seconds = Duration::from_secs;
        assert_eq!(readers.lapse(seconds(1000), PATIENCE), 0, "nothing waits");
        readers.hold_up(at(4096));
        assert_eq!(readers.lapse(seconds(2000), PATIENCE), 0, "the first look knows nothing");
        pulses[1].beat();
        assert_eq!(readers.lapse(seconds(2059), PATIENCE), 0);
        assert_eq!(readers.lapse(seconds(2060), PATIENCE), 1);
        assert_eq!(readers.hold_up(at(4096)), Some(at(2000)), "the other one is polled");
        readers.pass(used, at(4096), || at(64)).expect("the log has it");
        assert!(!readers.are_in_the_way());
        readers.hold_up(at(10_000));
        assert_eq!(readers.lapse(seconds(3000), PATIENCE), 0, "a first look again");
        // The lapsed reader goes on, unless the log has begun after it.
        readers.pass(idle, at(1000), || at(1000)).expect("the log has it");
        assert_eq!(readers.needs(), (3, Some(at(1000))));
        let refused = readers.pass(idle, at(1008), || at(4096)).unwrap_err();
        assert_eq!(refused.kind(), crate::ErrorKind::Truncated, "{refused}");
        [idle, used, ahead].into_iter().for_each(|number| readers.leave(number));
        assert_eq!(readers.needs(), (0, None));
    }
}
