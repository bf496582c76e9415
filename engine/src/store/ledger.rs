//! The account of one session: which numbers its operations have.
//!
//! # Terms
//! * An operation that counts takes a *number* when it takes effect, in the same stretch under one
//!   guard. Numbers begin at 1.
//! * A number is *put off* when an operation that is in flight has it: a key of a batch of
//!   read-modify-writes that waits for the device while others behind it take effect.
//! * A number is *free* below the highest one when nothing has it any more: its batch was dropped,
//!   or failed, or a crash came before it took effect.
//! * What is put off or free is *excluded* from the commit point.
//!
//! # Free numbers are taken first, lowest first
//! So an operation keeps its number for ever, over any number of crashes, and exclusions end: the
//! user does what the number stands for, and the number leaves the list in the version in which
//! that takes effect.
//!
//! # How numbers are counted
//! The hot path only adds one to a counter. With `n` free numbers below the highest one `top`, the
//! counter starts at `top - n`: up to `top` it counts free numbers that were taken, beyond it is
//! the number itself. Whatever changes the free numbers sets the counter anew, under the lock.
//!
//! # What a version had
//! The first operation of a session in a version notes here, under its guard, how things stood when
//! the version before ended. So the commit points are read after the cut, while operations go on,
//! and only of sessions that did something since the cut before (`sessions`).
//!
//! # Who may touch what
//! Everything is written by the owner: the session's task, or the batch that borrows the session.
//! The driver of checkpoints reads, under the lock; it finds the counter as it was at the end of
//! the version, since an owner takes the lock before it counts in the next one.

use super::identity::{CommitPoint, SessionId};
use super::serials::Serials;
use crate::statistics::Counters;
use crossbeam_utils::CachePadded;
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::{Arc, OnceLock, Weak};

/// The account of one session.
#[derive(Debug)]
pub(crate) struct Ledger {
    // Set once.
    id: OnceLock<SessionId>,
    // The counter is in here, written by the owner.
    counters: Arc<CachePadded<Counters>>,
    // Under its lock.
    state: Mutex<State>,
    /// What the newest checkpoint has; the same one for all who resume the session. Under its lock.
    durable: Arc<Mutex<CommitPoint>>,
}

#[derive(Debug)]
struct State {
    numbers: Numbers,
    /// The version of the newest operation that has begun.
    version: u64,
    /// How things stood when the version before that one ended.
    before: CommitPoint,
    /// Where it is among the sessions that did something since the last cut.
    listed: Option<usize>,
    /// It was given its identity while a checkpoint was being taken, so the next one is to have it
    /// in any case.
    is_news: bool,
}

/// Which numbers operations have, as of some moment.
#[derive(Debug)]
struct Numbers {
    /// The highest one taken.
    top: u64,
    /// Below `top`, of no operation.
    free: Serials,
    /// Of operations in flight.
    put_off: Serials,
}

/// A session that is not open, and waits to be resumed.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) point: CommitPoint,
    durable: Arc<Mutex<CommitPoint>>,
    /// Its account while it was open, if something of that is still to be in a checkpoint.
    ledger: Weak<Ledger>,
}

impl Ledger {
    pub(crate) fn new(counters: Arc<CachePadded<Counters>>) -> Self {
        let waiting = Waiting::new(CommitPoint::default());
        Self::resume(OnceLock::new(), waiting, counters)
    }

    /// Goes on with a session that waits.
    pub(crate) fn resumed(
        id: SessionId,
        waiting: Waiting,
        counters: Arc<CachePadded<Counters>>,
    ) -> Self {
        Self::resume(OnceLock::from(id), waiting, counters)
    }

    fn resume(
        id: OnceLock<SessionId>,
        Waiting { point, durable, .. }: Waiting,
        counters: Arc<CachePadded<Counters>>,
    ) -> Self {
        let free = point.excluded.clone();
        let numbers = Numbers { top: point.until, free, put_off: Serials::default() };
        counters.set_serial(numbers.start());
        let state =
            State { numbers, version: point.version, before: point, listed: None, is_news: false };
        Self { id, counters, state: Mutex::new(state), durable }
    }

    pub(crate) fn id(&self) -> Option<SessionId> {
        self.id.get().copied()
    }

    /// Gives it an identity, if it has none.
    pub(super) fn identify(&self, make: impl FnOnce() -> SessionId) -> SessionId {
        *self.id.get_or_init(make)
    }

    /// The number of the last operation.
    pub(crate) fn serial(&self) -> u64 {
        self.state().numbers.nth(self.counters.serial())
    }

    /// The number that the next operation will take.
    pub(crate) fn upcoming(&self) -> u64 {
        self.state().numbers.nth(self.counters.serial() + 1)
    }

    /// The numbers that so many of the next operations will take, ascending.
    pub(crate) fn upcoming_many(&self, count: usize) -> Vec<u64> {
        let mut state = self.state();
        let counter = self.counters.serial();
        state.numbers.settle(counter);
        let Numbers { top, free, .. } = &state.numbers;
        free.iter().chain(top + 1..).take(count).collect()
    }

    /// What it has done so far.
    pub(crate) fn present(&self) -> CommitPoint {
        let state = self.state();
        state.present(self.counters.serial())
    }

    /// What it had done when the version before `next` ended.
    pub(super) fn at_end_before(&self, next: u64) -> CommitPoint {
        let state = self.state();
        if state.version >= next {
            return state.before.clone();
        }
        state.present(self.counters.serial())
    }

    /// An operation begins in `version`, under the caller's guard.
    pub(super) fn begin(&self, version: u64) {
        let mut state = self.state();
        if state.version < version {
            state.before = state.present(self.counters.serial());
            state.version = version;
        }
    }

    /// Its commit point is wanted by the next checkpoint, whatever it does.
    pub(super) fn ask_again(&self) {
        self.state().is_news = true;
    }

    /// Whether the checkpoint after that of the version before `next` must have it.
    pub(super) fn is_asked_again(&self, next: u64) -> bool {
        let mut state = self.state();
        std::mem::take(&mut state.is_news) || state.version >= next
    }

    /// Where it is listed; the list's lock is held.
    pub(super) fn listed(&self) -> Option<usize> {
        self.state().listed
    }

    pub(super) fn set_listed(&self, listed: Option<usize>) {
        self.state().listed = listed;
    }

    /// Gives a number to an operation that others will overtake.
    pub(super) fn put_off(&self) -> u64 {
        let mut state = self.state();
        state.numbers.settle(self.counters.serial());
        let serial = state.numbers.put_off();
        self.counters.set_serial(state.numbers.start());
        serial
    }

    /// An operation that was put off takes effect, under the caller's guard.
    pub(super) fn catch_up(&self, serial: u64) {
        let was_put_off = self.state().numbers.put_off.remove(serial);
        assert!(was_put_off, "operation {serial} was put off, once");
    }

    /// An operation that was put off will not take effect: another one may have its number.
    pub(super) fn give_up(&self, serial: u64) {
        let mut state = self.state();
        let numbers = &mut state.numbers;
        numbers.settle(self.counters.serial());
        if numbers.put_off.remove(serial) {
            numbers.free.insert(serial);
            self.counters.set_serial(numbers.start());
        }
    }

    /// What the newest checkpoint has.
    pub(crate) fn durable(&self) -> CommitPoint {
        self.durable.lock().expect("nothing panics under it").clone()
    }

    /// Whether the newest checkpoint has everything that was done when `wanted` was the present.
    pub(crate) fn is_durable(&self, wanted: &CommitPoint) -> bool {
        self.durable.lock().expect("nothing panics under it").covers_all_of(wanted)
    }

    pub(super) fn note_durable(&self, point: CommitPoint) {
        let mut durable = self.durable.lock().expect("nothing panics under it");
        // Whoever has resumed the session may have been there before.
        if point.is_after(&durable) {
            *durable = point;
        }
    }

    /// What is left of it when its session is dropped.
    pub(super) fn waiting(this: &Arc<Self>) -> Waiting {
        let (durable, ledger) = (Arc::clone(&this.durable), Arc::downgrade(this));
        Waiting { point: this.present(), durable, ledger }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }
}

impl State {
    fn present(&self, counter: u64) -> CommitPoint {
        let Numbers { top, free, put_off } = &self.numbers;
        let mut free = free.clone();
        free.remove_lowest(counter - self.numbers.start());
        let excluded = free.joined(put_off);
        CommitPoint { until: counter.max(*top), excluded, version: self.version }
    }
}

impl Numbers {
    /// Where the counter stands when no free number has been taken.
    fn start(&self) -> u64 {
        self.top - self.free.len()
    }

    /// Takes in what was counted.
    fn settle(&mut self, counter: u64) {
        self.free.remove_lowest(counter - self.start());
        self.top = self.top.max(counter);
    }

    /// The number that belongs to a count.
    fn nth(&self, counter: u64) -> u64 {
        match counter.checked_sub(self.start() + 1) {
            Some(below) => self.free.nth(below).unwrap_or(counter),
            None => self.top,
        }
    }

    fn put_off(&mut self) -> u64 {
        let serial = self.free.nth(0).unwrap_or(self.top + 1);
        self.free.remove(serial);
        self.top = self.top.max(serial);
        self.put_off.insert(serial);
        serial
    }
}

impl Waiting {
    /// Of a session that a checkpoint has.
    pub(super) fn new(point: CommitPoint) -> Self {
        let durable = Arc::new(Mutex::new(point.clone()));
        Self { durable, point, ledger: Weak::new() }
    }

    /// Its account while it was open, if a checkpoint is still to have something of it.
    pub(super) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.ledger.upgrade()
    }
}
