//! The account of one session: the numbers of its operations.
//!
//! # Terms
//! * A counted operation takes a *number* when it takes effect, in the same stretch under one
//!   guard. Numbers begin at 1.
//! * A number is *put off* while an operation in flight has it. The operation is a key of a batch
//!   of read-modify-writes that waits for the device while later operations take effect.
//! * A number below the highest one is *free* if no operation has it any more. Its batch was
//!   dropped or failed, or a crash came before the operation took effect.
//! * Put-off and free numbers are *excluded* from the commit point.
//!
//! # Operations take free numbers first, lowest first
//! So an operation keeps its number permanently, over any number of crashes, and exclusions end.
//! The user repeats the operation of a free number. The number leaves the list in the version in
//! which the operation takes effect.
//!
//! # The counter
//! The hot path only adds one to a counter. Let `n` be the number of free numbers below the highest
//! number `top`. The counter starts at `top - n`. Up to `top` it counts the free numbers taken;
//! above `top` it is the number itself. A change of the free numbers sets the counter anew, under
//! the lock.
//!
//! # The end of a version
//! The first operation of a session in a version stores here the state at the end of the previous
//! version, under its guard. So commit points are read after the version barrier, while operations
//! continue. They are read only for sessions that did something since the previous barrier
//! (`sessions`).
//!
//! # Access rights
//! Only the owner changes numbers: the session's task, or the batch that borrows the session. The
//! driver of checkpoints reads them under the lock. An owner takes the lock before it counts in the
//! next version. So the driver finds the counter of the end of the version.

mod batches;

use crate::base::error::{Error, Result};
use crate::store::sessions::identity::{CommitPoint, Offset, SessionId, check_offset};
use crate::store::sessions::numbers::Numbers;
use crate::store::sessions::serial_counter::SerialCounter;
use crate::store::sessions::serials::Serials;
use crossbeam_utils::CachePadded;
use kvick_io::sync::atomic::{AtomicBool, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::{Arc, OnceLock, Weak};

/// The account of one session.
#[derive(Debug)]
pub(crate) struct SessionState {
    // Set once.
    id: OnceLock<SessionId>,
    // The owner writes it.
    counter: Arc<CachePadded<SerialCounter>>,
    // Under its lock.
    state: Mutex<State>,
    /// Shared with accounts that resume the session.
    kept: Arc<Kept>,
}

/// The state that all accounts of one session share, one account after the other.
#[derive(Debug)]
struct Kept {
    // Under its lock: the commit point in the newest durable checkpoint.
    durable: Mutex<CommitPoint>,
    // Any thread, atomic: whether the session was forgotten while it waited. A new session may have
    // its name and its identity.
    is_forgotten: AtomicBool,
}

#[derive(Debug)]
struct State {
    numbers: Numbers,
    /// The version of the newest operation that has begun.
    version: u64,
    /// The commit point at the end of the version before `version`.
    before: CommitPoint,
    name: Option<String>,
    offset: Option<Offset>,
    /// The version in which the offset was set.
    offset_version: u64,
    /// The place in the list of active sessions. It stays set until the checkpoint of that list
    /// ends.
    listed: Option<usize>,
    logging: Logging,
    /// The interval between two barriers in which the next checkpoint was last asked to have the
    /// session; 0 if never.
    asked_in: u64,
    /// Whether the session was given its identity while a checkpoint was taken. Then the next
    /// checkpoint must have its commit point in any case.
    is_news: bool,
}

/// The entries of the session in the write-ahead log, from this account.
#[derive(Clone, Copy, Debug, Default)]
struct Logging {
    /// The highest number that the log has, by its entries and by the point that this account
    /// continues.
    until: u64,
    /// It has an entry with a commit point, or of a change.
    has_entry: bool,
    /// It lacks the name, the offset, or an operation with an excluded number that has changed
    /// nothing. Only an entry with a commit point tells that this one is done.
    lacks_point: bool,
    /// It lacks the begin of a session with a name.
    begins: bool,
    /// The number of the last change that has an entry.
    last: u64,
}

impl Logging {
    /// Returns the state after an entry with a commit point.
    fn after(point: &CommitPoint) -> Self {
        Self { until: point.until, has_entry: true, ..Self::default() }
    }
}

/// The entry of one operation.
#[derive(Debug)]
pub(in crate::store) struct SessionEntry {
    /// The number of the operation.
    pub(in crate::store) serial: u64,
    /// The numbers without an operation so far, from the last entry on.
    pub(in crate::store) excluded: Vec<[u64; 2]>,
    /// The name of the session, in its first entry.
    pub(in crate::store) name: Option<String>,
    /// The highest number that the log has with this entry.
    pub(in crate::store) until: u64,
}

/// A session that is not open, and waits to be resumed.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) point: CommitPoint,
    kept: Arc<Kept>,
    /// The account of the session while it was open. It lives until a checkpoint no longer needs
    /// it.
    ledger: Weak<SessionState>,
}

impl SessionState {
    pub(crate) fn new(counter: Arc<CachePadded<SerialCounter>>) -> Self {
        let waiting = Waiting::new(CommitPoint::default());
        Self::resume(OnceLock::new(), waiting, counter)
    }

    /// Begins the session with a name.
    pub(in crate::store) fn named(
        (id, name): (SessionId, &str),
        counter: Arc<CachePadded<SerialCounter>>,
    ) -> Self {
        let point = CommitPoint { name: Some(name.to_owned()), ..CommitPoint::default() };
        let begun = Self::resume(OnceLock::from(id), Waiting::new(point), counter);
        // Another session may have had the name, and was forgotten.
        begun.state().logging.begins = true;
        begun
    }

    /// Continues a waiting session.
    pub(crate) fn resumed(
        id: SessionId,
        waiting: Waiting,
        counter: Arc<CachePadded<SerialCounter>>,
    ) -> Self {
        Self::resume(OnceLock::from(id), waiting, counter)
    }

    fn resume(
        id: OnceLock<SessionId>,
        Waiting { point, kept, .. }: Waiting,
        counter: Arc<CachePadded<SerialCounter>>,
    ) -> Self {
        let free = point.excluded.clone();
        let numbers = Numbers { top: point.until, free, put_off: Serials::default() };
        counter.set_serial(numbers.start());
        let (version, name, offset) = (point.version, point.name.clone(), point.offset.clone());
        let (until, lacks_point) = (point.until, !point.is_empty());
        let logging = Logging { until, lacks_point, ..Logging::default() };
        let state = State {
            numbers,
            version,
            before: point,
            name,
            offset,
            offset_version: 0,
            listed: None,
            logging,
            asked_in: 0,
            is_news: false,
        };
        Self { id, counter, state: Mutex::new(state), kept }
    }

    pub(crate) fn id(&self) -> Option<SessionId> {
        self.id.get().copied()
    }

    /// Gives the session an identity if it has none, and returns the identity.
    pub(in crate::store) fn identify(&self, make: impl FnOnce() -> SessionId) -> SessionId {
        *self.id.get_or_init(make)
    }

    /// Returns the offset that the session set last.
    pub(crate) fn offset(&self) -> Option<Offset> {
        self.state().offset.clone()
    }

    /// Sets the offset after the operations so far, in the present `version`. Returns the interval
    /// in which the next checkpoint was asked to have the session.
    ///
    /// # Errors
    /// `InvalidArgument` for an offset that is too long, or if an earlier operation is undone.
    pub(in crate::store) fn set_offset(&self, bytes: &[u8], version: u64) -> Result<u64> {
        check_offset(bytes)?;
        let mut state = self.state();
        let counter = self.counter.serial();
        let serial = counter.max(state.numbers.top);
        if let Some(undone) = state.numbers.first_excluded(counter) {
            return Err(Error::invalid(format!(
                "an offset after operation {serial}: operation {undone} is undone; repeat it first"
            )));
        }
        let nothing = || Offset { bytes: Vec::new(), serial, count: 0 };
        let offset = state.offset.get_or_insert_with(nothing);
        offset.bytes.clear();
        offset.bytes.extend_from_slice(bytes);
        (offset.serial, offset.count) = (serial, offset.count.saturating_add(1));
        state.offset_version = version;
        state.logging.lacks_point = true;
        Ok(state.asked_in)
    }

    /// Passes the commit point of all operations so far to `log`, if the write-ahead log lacks
    /// something that only it tells. Also passes whether the session begins with it.
    pub(in crate::store) fn log_point<E>(
        &self,
        log: impl FnOnce(CommitPoint, bool) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut state = self.state();
        let counter = self.counter.serial();
        state.take_in(counter);
        let Logging { lacks_point, begins, .. } = state.logging;
        if lacks_point || begins {
            let point = state.present(counter);
            log(point.clone(), begins)?;
            // Nothing keeps an empty point. Then the entry of the first change has the name.
            state.logging = if point.is_empty() {
                Logging { lacks_point: false, begins: false, ..state.logging }
            } else {
                Logging::after(&point)
            };
        }
        Ok(())
    }

    /// Returns the entry of the next operation, or of the deferred operation with this number.
    pub(in crate::store) fn next_entry(&self, deferred: Option<u64>) -> SessionEntry {
        let mut state = self.state();
        let counter = self.counter.serial();
        state.take_in(counter);
        let Logging { until, has_entry, .. } = state.logging;
        let numbers = &state.numbers;
        let serial = deferred.unwrap_or_else(|| numbers.nth(counter + 1));
        // The first entry has all numbers, since the log may know nothing of the session yet.
        let known = if has_entry { until } else { 0 };
        let excluded: Vec<_> =
            numbers.free.above(known).chain(numbers.put_off.above(known)).collect();
        let highest = excluded.iter().map(|[_, last]| *last).fold(serial, u64::max);
        let name = if has_entry { None } else { state.name.clone() };
        SessionEntry { serial, excluded, name, until: until.max(highest) }
    }

    /// Records that the write-ahead log has the entry of operation `serial`, with the numbers up to
    /// `until`.
    pub(in crate::store) fn note_logged(&self, serial: u64, until: u64) {
        let mut state = self.state();
        state.logging = Logging { until, has_entry: true, last: serial, ..state.logging };
    }

    /// Returns whether the session begins with the [present](Self::present) commit point, if the
    /// write-ahead log lacks this point.
    pub(in crate::store) fn lacks_entry_of(&self, point: &CommitPoint) -> Option<bool> {
        let state = self.state();
        let Logging { until, has_entry, lacks_point, begins, .. } = state.logging;
        let is_silent = state.is_silent_up_to(self.counter.serial());
        let has_all = has_entry && !lacks_point && !is_silent && until == point.until;
        (!has_all && !point.is_empty()).then_some(begins)
    }

    /// Records that the write-ahead log has this commit point.
    pub(in crate::store) fn note_logged_point(&self, point: &CommitPoint) {
        let mut state = self.state();
        // The session may have set another offset meanwhile.
        let lacks_point = state.logging.lacks_point && state.offset != point.offset;
        state.logging = Logging { lacks_point, ..Logging::after(point) };
    }

    /// Returns whether the session was forgotten. No checkpoint has it any more.
    pub(in crate::store) fn is_forgotten(&self) -> bool {
        // Relaxed: the lock of the accounts orders it.
        self.kept.is_forgotten.load(Ordering::Relaxed)
    }

    /// Returns the identity, unless the session has none or was forgotten.
    pub(in crate::store) fn kept_id(&self) -> Option<SessionId> {
        self.id().filter(|_| !self.is_forgotten())
    }

    /// Returns the number of the last operation.
    pub(crate) fn serial(&self) -> u64 {
        self.state().numbers.nth(self.counter.serial())
    }

    /// Returns the number that the next operation will take.
    pub(crate) fn upcoming(&self) -> u64 {
        self.state().numbers.nth(self.counter.serial() + 1)
    }

    /// Returns the numbers that the next `count` operations will take, ascending.
    pub(crate) fn upcoming_many(&self, count: usize) -> Vec<u64> {
        let mut state = self.state();
        let counter = self.counter.serial();
        state.take_in(counter);
        let Numbers { top, free, .. } = &state.numbers;
        free.iter().chain(top + 1..).take(count).collect()
    }

    /// Returns the commit point of all operations so far.
    pub(crate) fn present(&self) -> CommitPoint {
        let state = self.state();
        state.present(self.counter.serial())
    }

    /// Returns the commit point at the end of the version before `next`.
    pub(in crate::store) fn at_end_before(&self, next: u64) -> CommitPoint {
        let state = self.state();
        if state.version >= next {
            return state.before.clone();
        }
        state.present(self.counter.serial())
    }

    /// Records that an operation begins in `version`, under the caller's guard. The next checkpoint
    /// was asked to have the session in this `interval`.
    pub(in crate::store) fn begin(&self, version: u64, interval: u64) {
        let mut state = self.state();
        state.asked_in = interval;
        if state.version < version {
            state.before = state.present(self.counter.serial());
            state.version = version;
        }
    }

    /// Records that the next checkpoint was asked to have the session, in this `interval`.
    pub(in crate::store) fn note_asked(&self, interval: u64) {
        self.state().asked_in = interval;
    }

    /// Requires the next checkpoint to have its commit point, even if the session does nothing.
    pub(in crate::store) fn ask_again(&self) {
        self.state().is_news = true;
    }

    /// Returns whether the checkpoint that ends version `next` must have its commit point.
    pub(in crate::store) fn is_asked_again(&self, next: u64) -> bool {
        let mut state = self.state();
        std::mem::take(&mut state.is_news) || state.version >= next
    }

    /// Returns its place in the list. The caller holds the list's lock.
    pub(in crate::store) fn listed(&self) -> Option<usize> {
        self.state().listed
    }

    pub(in crate::store) fn set_listed(&self, listed: Option<usize>) {
        self.state().listed = listed;
    }

    /// Returns a number for an operation that later operations will overtake.
    pub(in crate::store) fn put_off(&self) -> u64 {
        let mut state = self.state();
        state.take_in(self.counter.serial());
        let serial = state.numbers.put_off();
        self.counter.set_serial(state.numbers.start());
        serial
    }

    /// Records that a put-off operation takes effect, under the caller's guard.
    pub(in crate::store) fn catch_up(&self, serial: u64) {
        let mut state = self.state();
        let was_put_off = state.numbers.put_off.remove(serial);
        assert!(was_put_off, "operation {serial} was put off, once");
        state.logging.lacks_point |= state.logging.last != serial;
    }

    /// Records that a put-off operation will not take effect. Another operation may take its
    /// number.
    pub(in crate::store) fn give_up(&self, serial: u64) {
        let mut state = self.state();
        state.take_in(self.counter.serial());
        let numbers = &mut state.numbers;
        if numbers.put_off.remove(serial) {
            numbers.free.insert(serial);
            self.counter.set_serial(numbers.start());
        }
    }

    /// Returns the commit point in the newest durable checkpoint.
    pub(crate) fn durable(&self) -> CommitPoint {
        self.kept.durable().clone()
    }

    /// Returns whether the newest durable checkpoint has every operation of `wanted`.
    pub(crate) fn is_durable(&self, wanted: &CommitPoint) -> bool {
        self.kept.durable().covers_all_of(wanted)
    }

    pub(in crate::store) fn note_durable(&self, point: CommitPoint) {
        let mut durable = self.kept.durable();
        // Another account of the session may have recorded a later point.
        if point.is_after(&durable) {
            *durable = point;
        }
    }

    /// Returns the state that remains when its session is dropped.
    pub(in crate::store) fn waiting(this: &Arc<Self>) -> Waiting {
        let (kept, ledger) = (Arc::clone(&this.kept), Arc::downgrade(this));
        Waiting { point: this.present(), kept, ledger }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }
}

impl Kept {
    fn durable(&self) -> MutexGuard<'_, CommitPoint> {
        self.durable.lock().expect("nothing panics under it")
    }
}

impl State {
    /// Returns whether an operation has taken a free number, and changed nothing, since the counter
    /// was applied last.
    fn is_silent_up_to(&self, counter: u64) -> bool {
        // A change applies it before its entry. So of the free numbers taken since, the entry has
        // at most one.
        match self.numbers.free_taken(counter) {
            0 => false,
            1 => self.numbers.free.nth(0) != Some(self.logging.last),
            _ => true,
        }
    }

    /// Applies the counter to the numbers.
    fn take_in(&mut self, counter: u64) {
        self.logging.lacks_point |= self.is_silent_up_to(counter);
        self.numbers.take_in(counter);
    }

    fn present(&self, counter: u64) -> CommitPoint {
        let Numbers { top, free, put_off } = &self.numbers;
        let mut free = free.clone();
        free.remove_lowest(counter - self.numbers.start());
        let excluded = free.joined(put_off);
        let until = counter.max(*top);
        let version = self.version.max(self.offset_version);
        let (name, offset) = (self.name.clone(), self.offset.clone());
        CommitPoint { until, excluded, version, name, offset }
    }
}

impl Waiting {
    /// Returns the waiting state of a session in a checkpoint.
    pub(in crate::store) fn new(point: CommitPoint) -> Self {
        let (durable, is_forgotten) = (Mutex::new(point.clone()), AtomicBool::new(false));
        Self { kept: Arc::new(Kept { durable, is_forgotten }), point, ledger: Weak::new() }
    }

    /// Returns whether it is the session with this name.
    pub(in crate::store) fn is_named(&self, name: &str) -> bool {
        self.point.name.as_deref() == Some(name)
    }

    /// Records that the session was forgotten, for all of its accounts.
    pub(in crate::store) fn transition_to_forgotten(&self) {
        // Relaxed: the caller holds the lock of the accounts, which orders it.
        self.kept.is_forgotten.store(true, Ordering::Relaxed);
    }

    /// Returns the account of the session while it was open, if a checkpoint still needs it.
    pub(in crate::store) fn ledger(&self) -> Option<Arc<SessionState>> {
        self.ledger.upgrade()
    }
}
