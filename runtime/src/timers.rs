//! Deadlines in order, each with the waker of the sleeping task.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// The pending deadlines of one executor.
///
/// A map and not a heap: a dropped sleep removes its deadline. So a loop that races long sleeps
/// against short work leaves no entries.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    entries: Mutex<Entries>,
}

/// A registered deadline. The number distinguishes equal deadlines, in order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    deadline: Duration,
    number: u64,
}

#[derive(Debug, Default)]
struct Entries {
    wakers: BTreeMap<TimerKey, Waker>,
    next_number: u64,
}

impl Timers {
    /// Registers a deadline. Returns `true` if it is now the earliest.
    pub(crate) fn insert(&self, deadline: Duration, waker: Waker) -> (TimerKey, bool) {
        let mut entries = self.lock();
        let key = TimerKey { deadline, number: entries.next_number };
        entries.next_number += 1;
        let replaced = entries.wakers.insert(key, waker);
        debug_assert!(replaced.is_none(), "timer numbers are unique");
        let is_earliest = entries.wakers.first_key_value().is_some_and(|(first, _)| *first == key);
        (key, is_earliest)
    }

    /// Replaces the waker of `key`. Returns `false` if it has fired already.
    pub(crate) fn update(&self, key: TimerKey, waker: &Waker) -> bool {
        match self.lock().wakers.get_mut(&key) {
            Some(slot) => {
                slot.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// Removes `key`.
    pub(crate) fn remove(&self, key: TimerKey) {
        let removed = self.lock().wakers.remove(&key);
        // Dropping a waker runs foreign code: not under the lock.
        drop(removed);
    }

    /// Returns the earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Duration> {
        self.lock().wakers.first_key_value().map(|(key, _)| key.deadline)
    }

    /// Wakes all tasks whose deadline is at or before `now`, in order of deadline.
    pub(crate) fn fire(&self, now: Duration) {
        let due = {
            let mut entries = self.lock();
            if entries.wakers.first_key_value().is_none_or(|(first, _)| first.deadline > now) {
                return;
            }
            let pending = entries.wakers.split_off(&TimerKey { deadline: now, number: u64::MAX });
            std::mem::replace(&mut entries.wakers, pending)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing under this lock panics half-way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;
    use std::task::Wake;

    struct Note(Arc<Mutex<Vec<u64>>>, u64);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    #[test]
    fn fires_in_order_and_only_what_is_due() {
        let (timers, log) = (Timers::default(), Arc::new(Mutex::new(Vec::new())));
        let waker = |millis| Waker::from(Arc::new(Note(Arc::clone(&log), millis)));
        for millis in [30, 10, 20, 10] {
            timers.insert(Duration::from_millis(millis), waker(millis));
        }
        timers.fire(Duration::from_millis(20));
        assert_eq!(*log.lock().unwrap(), [10, 10, 20]);
        assert_eq!(timers.earliest(), Some(Duration::from_millis(30)));
    }

    #[test]
    fn removed_deadlines_leave_nothing() {
        let timers = Timers::default();
        let (key, is_earliest) = timers.insert(Duration::from_secs(1), Waker::noop().clone());
        assert!(is_earliest);
        assert!(timers.update(key, Waker::noop()));
        timers.remove(key);
        assert!(!timers.update(key, Waker::noop()));
        assert_eq!(timers.earliest(), None);
    }
}
