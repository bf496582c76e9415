//! Sessions by identity: who has done how much, and how much of it is durable.
//!
//! # Terms
//! * A session's *serial* counts its operations that may change something and ended well: `upsert`,
//!   `rmw`, `delete`, `insert_if_absent`, `compare_and_swap`, and each key of a `*_many` of those.
//!   It goes up in the very stretch in which the operation takes effect.
//! * A *commit point* is what a checkpoint has of a session: everything up to `until`, except what
//!   is `excluded`.
//!
//! Serials are written by the session's owner under protection, and read during a cut, when nobody
//! is protected who writes: no stronger order is needed.
//!
//! Only a batch of read-modify-writes can leave a hole: of its keys, those on the device end later
//! than the ones behind them. They are numbered when they are put off, excluded, and included again
//! when they take effect.

use crate::error::{Error, Result};
use crate::statistics::Counters;
use crossbeam_utils::CachePadded;
use event_listener::Event;
use kvick_io::sync::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The identity of a session, unique among all sessions that a store ever had.
///
/// Its text is 32 hexadecimal digits, and parses back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SessionId(u128);

/// How much of a session a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommitPoint {
    /// The last operation that is in it, by serial number; 0 is none.
    pub until: u64,
    /// Operations below `until` that are not: of a batch of read-modify-writes, the keys whose
    /// records were still on their way from the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<u64>,
}

/// The account of one session.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) id: SessionId,
    // The serial is in here, written by the owner.
    counters: Arc<CachePadded<Counters>>,
    // Under their locks.
    excluded: Mutex<BTreeSet<u64>>,
    durable: Mutex<CommitPoint>,
}

/// All sessions of a store that have an identity.
#[derive(Debug)]
pub(crate) struct Sessions {
    // Under its lock.
    accounts: Mutex<Accounts>,
    /// The last checkpoint that failed for good, and how many did. Under its lock.
    failed: Mutex<Failed>,
    /// A checkpoint has been published, or has failed.
    published: Event,
}

#[derive(Debug, Default)]
struct Failed {
    count: u64,
    last: Option<(u64, Error)>,
}

#[derive(Debug)]
struct Accounts {
    /// The first half of the ids that are made in this life of the store.
    life: u64,
    made: u64,
    /// How many recovered sessions were forgotten.
    forgotten: u64,
    open: BTreeMap<SessionId, Arc<Ledger>>,
    /// Of an earlier life, neither resumed nor forgotten.
    recovered: BTreeMap<SessionId, CommitPoint>,
}

impl Sessions {
    /// `life` tells this life of the store from all others.
    pub(crate) fn new(life: u64, recovered: BTreeMap<SessionId, CommitPoint>) -> Self {
        let accounts = Accounts { life, made: 0, forgotten: 0, open: BTreeMap::new(), recovered };
        Self { accounts: Mutex::new(accounts), failed: Mutex::default(), published: Event::new() }
    }

    /// An account for a new session, whose serial is in `counters`.
    pub(crate) fn open(&self, counters: &Arc<CachePadded<Counters>>) -> Arc<Ledger> {
        let mut accounts = self.accounts.lock().expect("nothing panics under it");
        accounts.made += 1;
        let id = SessionId(u128::from(accounts.life) << 64 | u128::from(accounts.made));
        accounts.enter(id, counters, CommitPoint::default())
    }

    /// The account of a recovered session, which goes on where its commit point is.
    pub(crate) fn resume(
        &self,
        id: SessionId,
        counters: &Arc<CachePadded<Counters>>,
    ) -> Result<Arc<Ledger>> {
        let mut accounts = self.accounts.lock().expect("nothing panics under it");
        let Some(point) = accounts.recovered.remove(&id) else {
            return Err(Error::invalid(format!(
                "session {id}: not among those that were recovered and neither resumed nor \
                 forgotten since"
            )));
        };
        counters.set_serial(point.until);
        Ok(accounts.enter(id, counters, point))
    }

    /// Ends the account of a session that is dropped.
    pub(crate) fn close(&self, id: SessionId) {
        self.accounts.lock().expect("nothing panics under it").open.remove(&id);
    }

    /// Drops a recovered session for good; whether there was one.
    pub(crate) fn forget(&self, id: SessionId) -> bool {
        let mut accounts = self.accounts.lock().expect("nothing panics under it");
        let was_there = accounts.recovered.remove(&id).is_some();
        accounts.forgotten += u64::from(was_there);
        was_there
    }

    /// Grows when a checkpoint to come has less of sessions than the one before.
    pub(crate) fn revision(&self) -> u64 {
        self.accounts.lock().expect("nothing panics under it").forgotten
    }

    /// Sessions of an earlier life that wait to be resumed.
    pub(crate) fn recovered(&self) -> BTreeMap<SessionId, CommitPoint> {
        self.accounts.lock().expect("nothing panics under it").recovered.clone()
    }

    /// What every session has done, for a checkpoint: during a cut.
    pub(crate) fn commit_points(&self) -> BTreeMap<SessionId, CommitPoint> {
        let accounts = self.accounts.lock().expect("nothing panics under it");
        let open = accounts.open.values().map(|ledger| (ledger.id, ledger.present()));
        let mut points: BTreeMap<_, _> = open.filter(|(_, point)| point.until > 0).collect();
        points.extend(accounts.recovered.iter().map(|(id, point)| (*id, point.clone())));
        points
    }

    /// Notes that these points are durable, and tells those who wait.
    pub(crate) fn note_durable(&self, points: &BTreeMap<SessionId, CommitPoint>) {
        let accounts = self.accounts.lock().expect("nothing panics under it");
        for (id, ledger) in &accounts.open {
            if let Some(point) = points.get(id) {
                let mut durable = ledger.durable.lock().expect("nothing panics under it");
                assert!(durable.until <= point.until, "commit points never go back");
                durable.clone_from(point);
            }
        }
        drop(accounts);
        self.published.notify(usize::MAX);
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
}

impl Accounts {
    fn enter(
        &mut self,
        id: SessionId,
        counters: &Arc<CachePadded<Counters>>,
        durable: CommitPoint,
    ) -> Arc<Ledger> {
        // What an earlier life excluded stays so: whoever resumes does it again under a new number.
        let excluded = durable.excluded.iter().copied().collect();
        let ledger = Arc::new(Ledger {
            id,
            counters: Arc::clone(counters),
            excluded: Mutex::new(excluded),
            durable: Mutex::new(durable),
        });
        let before = self.open.insert(id, Arc::clone(&ledger));
        assert!(before.is_none(), "an id has one session");
        ledger
    }
}

impl Ledger {
    /// Operations so far.
    pub(crate) fn serial(&self) -> u64 {
        self.counters.serial()
    }

    /// What the newest checkpoint has.
    pub(crate) fn durable(&self) -> CommitPoint {
        self.durable.lock().expect("nothing panics under it").clone()
    }

    /// Whether the newest checkpoint has everything up to `serial`, but for what will never happen.
    pub(crate) fn is_durable(&self, serial: u64) -> bool {
        let durable = self.durable.lock().expect("nothing panics under it");
        // What has caught up since is done, and not durable.
        let excluded = self.excluded.lock().expect("nothing panics under it");
        let mut missing = durable.excluded.iter().filter(|missing| **missing <= serial);
        durable.until >= serial && missing.all(|missing| excluded.contains(missing))
    }

    /// Numbers an operation that others will overtake.
    pub(crate) fn put_off(&self) -> u64 {
        let serial = self.counters.serial() + 1;
        self.excluded.lock().expect("nothing panics under it").insert(serial);
        self.counters.advance();
        serial
    }

    /// An operation that was put off takes effect, under the caller's guard.
    pub(crate) fn catch_up(&self, serial: u64) {
        let was_out = self.excluded.lock().expect("nothing panics under it").remove(&serial);
        assert!(was_out, "operation {serial} was put off, once");
    }

    fn present(&self) -> CommitPoint {
        // Read under the lock: who puts off is excluded before the serial counts it.
        let excluded = self.excluded.lock().expect("nothing panics under it");
        let until = self.serial();
        CommitPoint { until, excluded: excluded.range(..=until).copied().collect() }
    }
}

impl CommitPoint {
    /// Whether the operation with this number is in the checkpoint.
    #[must_use]
    pub fn covers(&self, serial: u64) -> bool {
        serial <= self.until && !self.excluded.contains(&serial)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_plain.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| {
            Error::invalid(format!("session id {text:?}: must be 32 hexadecimal digits"))
        })
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SessionId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn counters() -> Arc<CachePadded<Counters>> {
        Arc::default()
    }

    #[test]
    fn what_is_put_off_is_excluded_until_it_catches_up() {
        let sessions = Sessions::new(9, BTreeMap::new());
        let counters = counters();
        let ledger = sessions.open(&counters);
        counters.advance();
        let serial = ledger.put_off();
        counters.advance();
        let points = sessions.commit_points();
        assert_eq!(points[&ledger.id], CommitPoint { until: 3, excluded: vec![2] });
        assert!(points[&ledger.id].covers(3) && !points[&ledger.id].covers(serial));
        ledger.catch_up(serial);
        assert!(sessions.commit_points()[&ledger.id].covers(serial));
    }

    /// A commit point says what of a session is there, whoever has read it before: once what an
    /// earlier life had excluded was left out when its session was resumed.
    #[test]
    fn what_was_excluded_stays_so_in_the_next_life() {
        let point = CommitPoint { until: 9, excluded: vec![4, 6] };
        let id = "00000000000000070000000000000001".parse().expect("an id");
        let sessions = Sessions::new(8, [(id, point)].into());
        let counters = counters();
        let ledger = sessions.resume(id, &counters).expect("recovered");
        assert!(ledger.is_durable(9));
        counters.advance();
        let next = CommitPoint { until: 10, excluded: vec![4, 6] };
        assert_eq!(sessions.commit_points()[&id], next);
    }

    #[test]
    fn a_recovered_session_is_resumed_once_and_stays_in_checkpoints_until_then() {
        let first = Sessions::new(1, BTreeMap::new());
        let (one, two) = (counters(), counters());
        let [a, b] = [&one, &two].map(|counters| first.open(counters));
        one.advance();
        two.advance();
        let second = Sessions::new(2, first.commit_points());
        assert_eq!(second.recovered().len(), 2);
        let resumed = counters();
        let ledger = second.resume(a.id, &resumed).expect("recovered");
        assert_eq!(ledger.serial(), 1);
        assert!(second.resume(a.id, &counters()).is_err());
        resumed.advance();
        let points = second.commit_points();
        assert_eq!((points[&a.id].until, points[&b.id].until), (2, 1));
        assert!(second.forget(b.id) && !second.forget(b.id));
        second.close(a.id);
        assert!(second.commit_points().is_empty());
    }

    #[test]
    fn ids_are_text_and_back() {
        let id = SessionId(0x1234 << 64 | 7);
        assert_eq!(id.to_string().parse::<SessionId>().expect("its own text"), id);
        for text in ["", "12", "+0000000000000000000000000000001", "zz"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
