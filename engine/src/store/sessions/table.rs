//! Sessions: the active ones, and the kept ones.
//!
//! # Terms
//! * The *commit point* of a session is its content in a checkpoint (`identity`). `ledger`
//!   describes the numbers of operations.
//! * A session has an *identity* once a caller has asked for it. Only then can a caller resume the
//!   session, so only then do checkpoints contain it. It *waits* after it is dropped, or after the
//!   store ends, until it is resumed or forgotten.
//! * An *active* session did something since the last version barrier, or was given its identity.
//!
//! # The cost of a checkpoint
//! Sessions that did nothing since the last checkpoint cost nothing. A session becomes active with
//! its first operation in a version. That operation finds the word of the phase changed
//! (`StoreInner::must_wait`), and calls this module once. A barrier takes the list of active
//! sessions as it is. Their commit points are read when operations continue, because each session
//! keeps its state at the end of the version.
//!
//! # Locks
//! `activity` or `accounts`, never both. `points` comes after `accounts`; the state of a ledger
//! comes last.

use crate::base::error::{Error, Result};
use crate::base::wait::{Event, yield_once};
use crate::store::sessions::activity::Activity;
use crate::store::sessions::identity::{CommitPoint, SessionId};
use crate::store::sessions::points::Points;
use crate::store::sessions::serial_counter::SerialCounter;
use crate::store::sessions::state::{SessionState, Waiting};
use crossbeam_utils::CachePadded;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::iter::repeat;
use std::sync::Arc;

/// The number of sessions that are handled before other tasks run.
const AT_ONCE: usize = 256;

/// All sessions of a store.
#[derive(Debug)]
pub(crate) struct SessionTable {
    // Fixed after opening.
    /// The first half of the ids that are made in this life of the store.
    life: u64,
    // Under their locks.
    accounts: Mutex<Accounts>,
    /// The commit points at the end of the last version, except of sessions forgotten since.
    points: Mutex<Points>,
    activity: Mutex<Activity>,
    /// The number of the interval of `activity`, which is written under that lock.
    interval: AtomicU64,
    /// The last checkpoint that failed permanently, and the number of such failures.
    failed: Mutex<Failed>,
    /// Notified when a durable checkpoint is published, or a checkpoint has failed permanently.
    published: Event,
}

#[derive(Debug, Default)]
struct Failed {
    count: u64,
    last: Option<(u64, Error)>,
}

/// The sessions that have an identity.
#[derive(Debug)]
struct Accounts {
    made: u64,
    open: BTreeSet<SessionId>,
    waiting: BTreeMap<SessionId, Waiting>,
}

/// The sessions that did something in an ended version.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ended {
    sessions: Vec<Arc<SessionState>>,
    points: Vec<CommitPoint>,
}

impl Ended {
    /// Returns the commit points of the sessions with an identity. They must have been read.
    pub(crate) fn points(&self) -> BTreeMap<SessionId, CommitPoint> {
        let mut points = BTreeMap::new();
        for (ledger, point) in self.sessions.iter().zip(&self.points) {
            if let Some(id) = ledger.kept_id() {
                enter(&mut points, id, point);
            }
        }
        points
    }
}

/// Records a commit point, unless it is empty or a later point of the session is recorded.
fn enter(points: &mut BTreeMap<SessionId, CommitPoint>, id: SessionId, point: &CommitPoint) {
    let is_news = points.get(&id).is_none_or(|before| point.is_after(before));
    if is_news && !point.is_empty() {
        points.insert(id, point.clone());
    }
}

impl Accounts {
    /// Returns whether a session is kept. A session that is neither open nor waiting was forgotten.
    fn has(&self, id: SessionId) -> bool {
        self.open.contains(&id) || self.waiting.contains_key(&id)
    }
}

impl SessionTable {
    /// Creates the sessions of a store. `life` tells this life of the store from all others.
    pub(crate) fn new(life: u64, recovered: Points) -> Self {
        let waiting = recovered.all().into_iter().map(|(id, point)| (id, Waiting::new(point)));
        let accounts = Accounts { made: 0, open: BTreeSet::new(), waiting: waiting.collect() };
        Self {
            life,
            accounts: Mutex::new(accounts),
            points: Mutex::new(recovered),
            activity: Mutex::new(Activity::of(1)),
            interval: AtomicU64::new(1),
            failed: Mutex::default(),
            published: Event::new(),
        }
    }

    /// Returns the account of a new session, which counts with `counter`.
    pub(crate) fn open(counter: &Arc<CachePadded<SerialCounter>>) -> Arc<SessionState> {
        Arc::new(SessionState::new(Arc::clone(counter)))
    }

    /// Returns the account of a waiting session, which continues at its commit point.
    pub(crate) fn resume(
        &self,
        id: SessionId,
        counter: &Arc<CachePadded<SerialCounter>>,
    ) -> Result<Arc<SessionState>> {
        let mut accounts = self.accounts();
        let Some(waiting) = accounts.waiting.remove(&id) else {
            if accounts.open.contains(&id) {
                return Err(Error::session_in_use(id));
            }
            return Err(Error::invalid(format!(
                "session {id} does not wait to be resumed: it is in no checkpoint, or was \
                 forgotten; begin a new session"
            )));
        };
        accounts.open.insert(id);
        Ok(Arc::new(SessionState::resumed(id, waiting, Arc::clone(counter))))
    }

    /// Returns the account of the session with a name, which waits or is new.
    ///
    /// # Errors
    /// `InUse` if it is open. `InvalidArgument` for a name that is empty or too long.
    pub(crate) fn open_named(
        &self,
        name: &str,
        counter: &Arc<CachePadded<SerialCounter>>,
    ) -> Result<Arc<SessionState>> {
        let id = SessionId::named(name)?;
        let counter = Arc::clone(counter);
        let mut accounts = self.accounts();
        if accounts.open.contains(&id) {
            return Err(Error::session_in_use(format!("{name:?}")));
        }
        let ledger = match accounts.waiting.entry(id) {
            Entry::Vacant(_) => SessionState::named((id, name), counter),
            Entry::Occupied(waiting) if waiting.get().is_named(name) => {
                SessionState::resumed(id, waiting.remove(), counter)
            }
            Entry::Occupied(_) => {
                let what = "another session has the same identity; choose another name";
                return Err(Error::invalid(format!("a session named {name:?}: {what}")));
            }
        };
        accounts.open.insert(id);
        Ok(Arc::new(ledger))
    }

    /// Sets the offset of a session after its operations so far, in the present `version`, for the
    /// next checkpoint.
    ///
    /// # Errors
    /// As for [`SessionState::set_offset`].
    pub(crate) fn set_offset(
        &self,
        version: u64,
        ledger: &Arc<SessionState>,
        bytes: &[u8],
    ) -> Result<()> {
        self.identify(ledger);
        let asked_in = ledger.set_offset(bytes, version)?;
        self.ask_after(ledger, asked_in);
        Ok(())
    }

    /// Counts the operations of a batch, and sets the offset after them, in one step under the
    /// caller's guard. The session has an identity.
    ///
    /// # Errors
    /// As for [`SessionState::add_batch`].
    pub(in crate::store) fn add_batch<E>(
        &self,
        ledger: &Arc<SessionState>,
        (version, count, offset): (u64, u64, &[u8]),
        change: impl FnOnce(CommitPoint, bool) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<(), E>> {
        let added = ledger.add_batch((count, offset), version, change)?;
        Ok(added.map(|asked_in| self.ask_after(ledger, asked_in)))
    }

    /// Lets the next checkpoint have a session that has a new offset.
    fn ask_after(&self, ledger: &Arc<SessionState>, asked_in: u64) {
        // If the interval has not ended, the checkpoint after it reads this offset: it takes the
        // lock of the account after its barrier, and so after this call. Acquire: pairs with the
        // Release of `end_version`. A checkpoint that has read the account before this call had
        // ended the interval before.
        if asked_in != self.interval.load(Ordering::Acquire) {
            self.ask_for(ledger);
        }
    }

    /// Returns the identity of a session. The session has an identity from now on.
    pub(crate) fn identify(&self, ledger: &Arc<SessionState>) -> SessionId {
        if let Some(id) = ledger.id() {
            return id;
        }
        let id = ledger.identify(|| {
            let mut accounts = self.accounts();
            accounts.made += 1;
            let id = SessionId::new(self.life, accounts.made);
            accounts.open.insert(id);
            id
        });
        // The next checkpoint must have its operations so far.
        self.ask_for(ledger);
        id
    }

    /// Requires the next checkpoint to have the commit point of a session.
    fn ask_for(&self, ledger: &Arc<SessionState>) {
        let mut activity = self.activity();
        activity.is_any = true;
        if ledger.listed().is_some() && !activity.has(ledger) {
            ledger.ask_again();
        }
        ledger.note_asked(activity.interval);
        activity.list(ledger);
    }

    /// Ends the account of a dropped session.
    pub(crate) fn close(&self, ledger: &Arc<SessionState>) {
        let Some(id) = ledger.id() else {
            return self.activity().unlist(ledger);
        };
        let waiting = SessionState::waiting(ledger);
        let mut accounts = self.accounts();
        accounts.open.remove(&id);
        if !waiting.point.is_empty() {
            accounts.waiting.insert(id, waiting);
        }
    }

    /// Drops the waiting sessions for which `is_over` holds, permanently. Returns their number.
    ///
    /// `is_over` is code of the user, and runs without any lock. A session stays that was resumed
    /// meanwhile, and is open or has another commit point.
    pub(crate) fn forget(&self, mut is_over: impl FnMut(SessionId, &CommitPoint) -> bool) -> usize {
        let mut over = self.waiting();
        over.retain(|id, point| is_over(*id, point));
        self.forget_waiting(over.into_iter().map(|(id, point)| (id, Some(point))))
    }

    /// Drops one session as [`forget`](Self::forget) does. Returns whether it was waiting.
    pub(crate) fn forget_one(&self, id: SessionId) -> bool {
        self.forget_waiting([(id, None)]) == 1
    }

    /// Drops the session with a name as [`forget`](Self::forget) does. Returns whether it was
    /// waiting.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is empty or too long.
    pub(crate) fn forget_named(&self, name: &str) -> Result<bool> {
        let id = SessionId::named(name)?;
        // Another name may have the same identity.
        let is_its = self.accounts().waiting.get(&id).is_some_and(|waiting| waiting.is_named(name));
        Ok(is_its && self.forget_one(id))
    }

    /// Drops those of the sessions that wait, at this commit point or at any. Returns their number.
    fn forget_waiting(
        &self,
        sessions: impl IntoIterator<Item = (SessionId, Option<CommitPoint>)>,
    ) -> usize {
        let mut forgotten = Vec::new();
        let mut accounts = self.accounts();
        for (id, point) in sessions {
            if let Entry::Occupied(waiting) = accounts.waiting.entry(id)
                && point.is_none_or(|point| waiting.get().point == point)
            {
                self.points().forget(id);
                let waiting = waiting.remove();
                // Under this lock: a session that begins anew with this name finds it forgotten.
                waiting.transition_to_forgotten();
                forgotten.push(waiting.ledger());
            }
        }
        drop(accounts);
        let mut activity = self.activity();
        activity.is_any |= !forgotten.is_empty();
        forgotten.iter().flatten().for_each(|ledger| activity.unlist(ledger));
        forgotten.len()
    }

    /// Returns the commit point of a session that waits to be resumed.
    pub(in crate::store) fn point(&self, id: SessionId) -> Option<CommitPoint> {
        self.accounts().waiting.get(&id).map(|waiting| waiting.point.clone())
    }

    /// Records the points of sessions in the write-ahead log, in `version`. No session is open yet.
    pub(in crate::store) fn adopt(&self, sessions: BTreeMap<SessionId, CommitPoint>, version: u64) {
        self.activity().is_any |= !sessions.is_empty();
        let mut accounts = self.accounts();
        debug_assert!(accounts.open.is_empty(), "sessions open after the replay");
        let mut points = self.points();
        for (id, point) in sessions {
            let point = CommitPoint { version, ..point };
            points.set(id, &point);
            if point.is_empty() {
                accounts.waiting.remove(&id);
            } else {
                accounts.waiting.insert(id, Waiting::new(point));
            }
        }
    }

    /// Returns the sessions that wait to be resumed.
    pub(crate) fn waiting(&self) -> BTreeMap<SessionId, CommitPoint> {
        let accounts = self.accounts();
        accounts.waiting.iter().map(|(id, waiting)| (*id, waiting.point.clone())).collect()
    }

    /// Records that an operation that may change something begins in `version`, under the caller's
    /// guard. It is the first operation of its seat, or of its session.
    #[cold]
    pub(crate) fn begin(&self, version: u64, ledger: Option<&Arc<SessionState>>) {
        let mut activity = self.activity();
        activity.is_any = true;
        if let Some(ledger) = ledger {
            ledger.begin(version, activity.interval);
            activity.list(ledger);
        }
    }

    /// Numbers an operation that later operations of the session will overtake, under the caller's
    /// guard.
    pub(crate) fn put_off(&self, version: u64, ledger: &Arc<SessionState>) -> u64 {
        self.begin(version, Some(ledger));
        ledger.put_off()
    }

    /// Records that a put-off operation takes effect, under the caller's guard.
    pub(crate) fn catch_up(&self, version: u64, ledger: &Arc<SessionState>, serial: u64) {
        self.begin(version, Some(ledger));
        ledger.catch_up(serial);
    }

    /// Returns whether anything may have changed since the last published checkpoint.
    pub(crate) fn is_outdated(&self) -> bool {
        self.activity().is_any
    }

    /// Returns the sessions that did something in the ending version. It is called during the
    /// barrier.
    pub(crate) fn end_version(&self) -> Ended {
        let mut activity = self.activity();
        let next = Activity::of(activity.interval + 1);
        self.interval.store(next.interval, Ordering::Release);
        let Activity { sessions, .. } = std::mem::replace(&mut *activity, next);
        Ended { sessions, points: Vec::new() }
    }

    /// Reads the commit points of the version that ended before `next` began. Yields now and then.
    pub(crate) async fn read(&self, ended: &mut Ended, next: u64) {
        let Ended { sessions, points } = ended;
        for some in sessions.chunks(AT_ONCE) {
            self.read_some(some, points, next);
            yield_once().await;
        }
    }

    fn read_some(&self, some: &[Arc<SessionState>], read: &mut Vec<CommitPoint>, next: u64) {
        let accounts = self.accounts();
        let mut points = self.points();
        for ledger in some {
            let point = ledger.at_end_before(next);
            if let Some(id) = ledger.kept_id().filter(|id| accounts.has(*id)) {
                points.enter(id, &point);
            }
            read.push(point);
        }
    }

    /// Returns the commit points of all sessions with an identity at the end of the last version.
    pub(crate) fn points(&self) -> MutexGuard<'_, Points> {
        self.points.lock().expect("nothing panics under it")
    }

    /// Records whether the checkpoint of a version was published, and whether it survives power
    /// cuts. `next` is the version after it. Yields now and then.
    pub(crate) async fn record_outcome(&self, ended: Ended, next: u64, published: Option<bool>) {
        let Ended { sessions, points } = ended;
        self.activity().is_any |= published.is_none();
        let is_durable = published == Some(true);
        let points = points.into_iter().map(|point| is_durable.then_some(point));
        let mut points = points.chain(repeat(None));
        for some in sessions.chunks(AT_ONCE) {
            self.record_outcomes(some.iter().zip(&mut points), next);
            yield_once().await;
        }
        if is_durable {
            self.published.notify(usize::MAX);
        }
    }

    fn record_outcomes<'a>(
        &'a self,
        some: impl Iterator<Item = (&'a Arc<SessionState>, Option<CommitPoint>)>,
        next: u64,
    ) {
        let mut activity = self.activity();
        for (ledger, durable) in some {
            ledger.set_listed(None);
            // The next checkpoint must have a commit point that is not durable yet.
            let is_news = ledger.is_asked_again(next) || durable.is_none();
            if is_news && !ledger.is_forgotten() {
                activity.list(ledger);
            }
            if let Some(point) = durable {
                ledger.note_durable(point);
            }
        }
    }

    /// Records that checkpoint `token` failed, and that a retry will not help. Tasks that wait for
    /// its durability get the error.
    pub(crate) fn note_failed(&self, token: u64, error: &Error) {
        {
            let mut failed = self.failed.lock().expect("nothing panics under it");
            failed.count += 1;
            failed.last = Some((token, error.clone()));
        }
        self.published.notify(usize::MAX);
    }

    /// Returns the number of checkpoints that have failed permanently.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.lock().expect("nothing panics under it").count
    }

    /// Returns the error of the last failed checkpoint, if it was to cover `version` and there are
    /// more failures than `failures`.
    pub(crate) fn failed_since(&self, failures: u64, version: u64) -> Option<Error> {
        let failed = self.failed.lock().expect("nothing panics under it");
        let is_new = failed.count > failures;
        let (_, error) = failed.last.as_ref().filter(|(token, _)| is_new && *token >= version)?;
        Some(error.clone())
    }

    /// Returns the event that is notified when commit points are durable, or a checkpoint has
    /// failed permanently.
    pub(crate) fn published(&self) -> &Event {
        &self.published
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().expect("nothing panics under it")
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().expect("nothing panics under it")
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
