//! Sessions: which ones did something, and which ones are kept.
//!
//! # Terms
//! * A session's *commit point* is what a checkpoint has of it (`identity`); `ledger` says how
//!   operations are numbered.
//! * A session has an *identity* once it was asked for it. Only then can anybody come back to it,
//!   so only then is it written into checkpoints, and *waits* to be resumed when it is dropped, or
//!   when the store ends, until it is resumed or forgotten.
//! * An *active* session did something since the last cut, or was given its identity.
//!
//! # What a checkpoint costs
//! Sessions that did nothing since the last one cost nothing. A session becomes active with its
//! first operation in a version, which finds the word of the phase changed (`Core::must_wait`) and
//! comes here once. A cut takes the list of active sessions as it is; their commit points are read
//! when operations go on again, since each session keeps how it stood when the version ended.
//!
//! # Locks
//! `activity` or `accounts`, never both, `points` after `accounts`, then the state of a ledger.

use super::identity::{CommitPoint, SessionId};
use super::ledger::{Ledger, Waiting};
use super::points::Points;
use crate::error::{Error, Result};
use crate::statistics::Counters;
use crate::wait::yield_now;
use crossbeam_utils::CachePadded;
use event_listener::Event;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat;
use std::sync::Arc;

/// Sessions of which commit points are read before others get their turn.
const AT_ONCE: usize = 256;

/// All sessions of a store.
#[derive(Debug)]
pub(crate) struct Sessions {
    // Fixed after opening.
    /// The first half of the ids that are made in this life of the store.
    life: u64,
    // Under their locks.
    accounts: Mutex<Accounts>,
    /// What the last version that ended had of each, but for those forgotten since.
    points: Mutex<Points>,
    activity: Mutex<Activity>,
    /// The last checkpoint that failed for good, and how many did.
    failed: Mutex<Failed>,
    /// A checkpoint has been published, or has failed.
    published: Event,
}

#[derive(Debug, Default)]
struct Failed {
    count: u64,
    last: Option<(u64, Error)>,
}

/// Sessions that have an identity.
#[derive(Debug)]
struct Accounts {
    made: u64,
    open: BTreeSet<SessionId>,
    waiting: BTreeMap<SessionId, Waiting>,
}

/// What has happened since the last cut.
#[derive(Debug, Default)]
struct Activity {
    sessions: Vec<Arc<Ledger>>,
    /// Something may have changed, also through the handle.
    is_any: bool,
}

/// The sessions that did something in a version that has ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ended {
    sessions: Vec<Arc<Ledger>>,
    points: Vec<CommitPoint>,
}

impl Ended {
    /// The commit points of those that have an identity, once they are read.
    pub(crate) fn points(&self) -> BTreeMap<SessionId, CommitPoint> {
        let mut points = BTreeMap::new();
        for (ledger, point) in self.sessions.iter().zip(&self.points) {
            if let Some(id) = ledger.id() {
                enter(&mut points, id, point);
            }
        }
        points
    }
}

/// Notes a commit point, unless a later one of the same session is there.
fn enter(points: &mut BTreeMap<SessionId, CommitPoint>, id: SessionId, point: &CommitPoint) {
    let is_news = points.get(&id).is_none_or(|before| point.is_after(before));
    if is_news && point.until > 0 {
        points.insert(id, point.clone());
    }
}

impl Accounts {
    /// Whether a session is kept; one that is neither was forgotten.
    fn has(&self, id: SessionId) -> bool {
        self.open.contains(&id) || self.waiting.contains_key(&id)
    }
}

impl Activity {
    /// Adds a session, unless it is there, or among those of a version whose checkpoint is being
    /// taken; then it comes back from there if it must.
    fn list(&mut self, ledger: &Arc<Ledger>) {
        if ledger.listed().is_none() {
            ledger.set_listed(Some(self.sessions.len()));
            self.sessions.push(Arc::clone(ledger));
        }
    }

    /// Removes a session that will not be asked any more.
    fn unlist(&mut self, ledger: &Arc<Ledger>) {
        if self.has(ledger)
            && let Some(place) = ledger.listed()
        {
            self.sessions.swap_remove(place);
            ledger.set_listed(None);
            if let Some(moved) = self.sessions.get(place) {
                moved.set_listed(Some(place));
            }
        }
    }

    /// Whether it is here, not among those of a version that has ended.
    fn has(&self, ledger: &Arc<Ledger>) -> bool {
        let at = ledger.listed().and_then(|place| self.sessions.get(place));
        at.is_some_and(|listed| Arc::ptr_eq(listed, ledger))
    }
}

impl Sessions {
    /// `life` tells this life of the store from all others.
    pub(crate) fn new(life: u64, recovered: Points) -> Self {
        let waiting = recovered.all().into_iter().map(|(id, point)| (id, Waiting::new(point)));
        let accounts = Accounts { made: 0, open: BTreeSet::new(), waiting: waiting.collect() };
        Self {
            life,
            accounts: Mutex::new(accounts),
            points: Mutex::new(recovered),
            activity: Mutex::default(),
            failed: Mutex::default(),
            published: Event::new(),
        }
    }

    /// An account for a new session, which counts in `counters`.
    pub(crate) fn open(counters: &Arc<CachePadded<Counters>>) -> Arc<Ledger> {
        Arc::new(Ledger::new(Arc::clone(counters)))
    }

    /// The account of a session that waits, which goes on where its commit point is.
    pub(crate) fn resume(
        &self,
        id: SessionId,
        counters: &Arc<CachePadded<Counters>>,
    ) -> Result<Arc<Ledger>> {
        let mut accounts = self.accounts();
        let Some(waiting) = accounts.waiting.remove(&id) else {
            let why = if accounts.open.contains(&id) {
                "is in use; drop it first"
            } else {
                "does not wait to be resumed: it is in no checkpoint, or was forgotten"
            };
            return Err(Error::invalid(format!("session {id} {why}")));
        };
        accounts.open.insert(id);
        Ok(Arc::new(Ledger::resumed(id, waiting, Arc::clone(counters))))
    }

    /// The identity of a session; it has one from now on.
    pub(crate) fn identify(&self, ledger: &Arc<Ledger>) -> SessionId {
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
        // What it has done until now must be in the next checkpoint.
        let mut activity = self.activity();
        activity.is_any = true;
        if ledger.listed().is_some() && !activity.has(ledger) {
            ledger.ask_again();
        }
        activity.list(ledger);
        id
    }

    /// Ends the account of a session that is dropped.
    pub(crate) fn close(&self, ledger: &Arc<Ledger>) {
        let Some(id) = ledger.id() else {
            return self.activity().unlist(ledger);
        };
        let waiting = Ledger::waiting(ledger);
        let mut accounts = self.accounts();
        accounts.open.remove(&id);
        if waiting.point.until > 0 {
            accounts.waiting.insert(id, waiting);
        }
    }

    /// Drops those of the sessions that wait for which `is_over` holds, for good; how many.
    pub(crate) fn forget(&self, mut is_over: impl FnMut(SessionId, &CommitPoint) -> bool) -> usize {
        let mut accounts = self.accounts();
        let mut forgotten = Vec::new();
        accounts.waiting.retain(|id, waiting| {
            let is_over = is_over(*id, &waiting.point);
            if is_over {
                self.points().forget(*id);
                forgotten.push(waiting.ledger());
            }
            !is_over
        });
        drop(accounts);
        let mut activity = self.activity();
        activity.is_any |= !forgotten.is_empty();
        forgotten.iter().flatten().for_each(|ledger| activity.unlist(ledger));
        forgotten.len()
    }

    /// As [`forget`](Self::forget), one of them; whether there was one.
    pub(crate) fn forget_one(&self, id: SessionId) -> bool {
        let mut accounts = self.accounts();
        let Some(waiting) = accounts.waiting.remove(&id) else {
            return false;
        };
        self.points().forget(id);
        drop(accounts);
        let mut activity = self.activity();
        activity.is_any = true;
        if let Some(ledger) = waiting.ledger() {
            activity.unlist(&ledger);
        }
        true
    }

    /// Sessions that wait to be resumed.
    pub(crate) fn waiting(&self) -> BTreeMap<SessionId, CommitPoint> {
        let accounts = self.accounts();
        accounts.waiting.iter().map(|(id, waiting)| (*id, waiting.point.clone())).collect()
    }

    /// An operation that may change something begins in `version`, under the caller's guard: the
    /// first one of its seat, or of its session.
    #[cold]
    pub(crate) fn begin(&self, version: u64, ledger: Option<&Arc<Ledger>>) {
        let mut activity = self.activity();
        activity.is_any = true;
        if let Some(ledger) = ledger {
            ledger.begin(version);
            activity.list(ledger);
        }
    }

    /// Numbers an operation of a session that others will overtake, under the caller's guard.
    pub(crate) fn put_off(&self, version: u64, ledger: &Arc<Ledger>) -> u64 {
        self.begin(version, Some(ledger));
        ledger.put_off()
    }

    /// An operation that was put off takes effect, under the caller's guard.
    pub(crate) fn catch_up(&self, version: u64, ledger: &Arc<Ledger>, serial: u64) {
        self.begin(version, Some(ledger));
        ledger.catch_up(serial);
    }

    /// Whether anything may have changed since the last checkpoint that was published.
    pub(crate) fn is_outdated(&self) -> bool {
        self.activity().is_any
    }

    /// The sessions that did something in the version that ends: during its cut.
    pub(crate) fn end_version(&self) -> Ended {
        let Activity { sessions, .. } = std::mem::take(&mut *self.activity());
        Ended { sessions, points: Vec::new() }
    }

    /// Reads the commit points of a version that ended before `next` began. Yields now and then.
    pub(crate) async fn read(&self, ended: &mut Ended, next: u64) {
        let Ended { sessions, points } = ended;
        for some in sessions.chunks(AT_ONCE) {
            self.read_some(some, points, next);
            yield_now().await;
        }
    }

    fn read_some(&self, some: &[Arc<Ledger>], read: &mut Vec<CommitPoint>, next: u64) {
        let accounts = self.accounts();
        let mut points = self.points();
        for ledger in some {
            let point = ledger.at_end_before(next);
            if let Some(id) = ledger.id().filter(|id| accounts.has(*id)) {
                points.enter(id, &point);
            }
            read.push(point);
        }
    }

    /// What every session with an identity had done when the last version ended.
    pub(crate) fn points(&self) -> MutexGuard<'_, Points> {
        self.points.lock().expect("nothing panics under it")
    }

    /// Notes whether the checkpoint of a version was published, and then if it survives power cuts.
    /// `next` is the version after it. Yields now and then.
    pub(crate) async fn settle(&self, ended: Ended, next: u64, published: Option<bool>) {
        let Ended { sessions, points } = ended;
        self.activity().is_any |= published.is_none();
        let is_durable = published == Some(true);
        let points = points.into_iter().map(|point| is_durable.then_some(point));
        let mut points = points.chain(repeat(None));
        for some in sessions.chunks(AT_ONCE) {
            self.settle_some(some.iter().zip(&mut points), next);
            yield_now().await;
        }
        if is_durable {
            self.published.notify(usize::MAX);
        }
    }

    fn settle_some<'a>(
        &'a self,
        some: impl Iterator<Item = (&'a Arc<Ledger>, Option<CommitPoint>)>,
        next: u64,
    ) {
        let mut activity = self.activity();
        for (ledger, durable) in some {
            ledger.set_listed(None);
            // What is not durable is asked for again with the next checkpoint.
            if ledger.is_asked_again(next) || durable.is_none() {
                activity.list(ledger);
            }
            if let Some(point) = durable {
                ledger.note_durable(point);
            }
        }
    }

    /// Notes that the checkpoint `token` failed, and that trying again will not help: who waits for
    /// what it was to make durable is told.
    pub(crate) fn note_failed(&self, token: u64, error: &Error) {
        {
            let mut failed = self.failed.lock().expect("nothing panics under it");
            failed.count += 1;
            failed.last = Some((token, error.clone()));
        }
        self.published.notify(usize::MAX);
    }

    /// How many checkpoints have failed for good.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.lock().expect("nothing panics under it").count
    }

    /// Why a checkpoint failed that would have had what was done in `version`, if one did since
    /// there were so many failures.
    pub(crate) fn failed_since(&self, failures: u64, version: u64) -> Option<Error> {
        let failed = self.failed.lock().expect("nothing panics under it");
        let is_new = failed.count > failures;
        let (_, error) = failed.last.as_ref().filter(|(token, _)| is_new && *token >= version)?;
        Some(error.clone())
    }

    /// Told when commit points have moved, or never will by the checkpoint that was taken.
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
