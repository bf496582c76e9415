//! The operations on a log, and the check of the log that is recovered after a power cut.
//!
//! A [`LogLedger`] has the entries by address, and a sequence of *changes*: of the begin of the
//! log, of named iterators, and of truncated ranges. The recovered state must be the one after some
//! prefix of this sequence. The prefix is no shorter than the acknowledged one. The log must have
//! exactly the entries below its end that this state leaves visible. So no durable entry is lost,
//! no gap appears, and no truncated entry returns.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use kvick::log::Commit;
use kvick::{FasterLog, log};

use crate::log_state::{Change, LogState};

/// The operations on a log.
#[derive(Clone, Debug)]
pub struct LogLedger {
    entries: BTreeMap<u64, Noted>,
    /// The payloads of entries that a task appends, whose addresses are unknown.
    unplaced: BTreeSet<Vec<u8>>,
    /// The state with which the log was opened.
    base: LogState,
    changes: Vec<Change>,
    /// All cookies in order, each with the end of the log when a commit took it. The first cookie
    /// is that of the recovered commit.
    cookies: Vec<(Vec<u8>, u64)>,
    /// The indices of cookies by the number of the commit that took them.
    numbers: BTreeMap<u64, usize>,
    /// The acknowledged commits.
    commits: BTreeMap<u64, Commit>,
    /// Whether the device may have been full. On a full device the manifest alone makes a begin
    /// durable, before the earlier changes.
    may_be_full: bool,
}

#[derive(Clone, Debug)]
struct Noted {
    payload: Vec<u8>,
    /// The first and the last entry of its batch.
    batch: [u64; 2],
}

/// The state that a recovery must reach.
#[derive(Clone, Debug, Default)]
pub struct LogAcknowledged {
    /// The number of restarts of the log before, which selects its ledger. The first life is 0.
    pub life: u32,
    /// The end of the durable entries.
    pub until: u64,
    number: u64,
    changes: usize,
    cookie: usize,
}

/// The state that a requested commit must contain.
#[derive(Clone, Debug)]
pub struct Asked {
    until: u64,
    changes: usize,
    cookie: usize,
}

impl Default for LogLedger {
    fn default() -> Self {
        let base = LogState { begin: log::Address::FIRST.raw(), ..LogState::default() };
        Self {
            entries: BTreeMap::new(),
            unplaced: BTreeSet::new(),
            base,
            changes: Vec::new(),
            cookies: vec![(Vec::new(), 0)],
            numbers: BTreeMap::new(),
            commits: BTreeMap::new(),
            may_be_full: false,
        }
    }
}

impl LogLedger {
    /// Returns the ledger of a new log, on a device that may become full.
    #[must_use]
    pub fn on_a_full_device() -> Self {
        Self { may_be_full: true, ..Self::default() }
    }

    /// Notes entries that were appended together.
    pub fn append(&mut self, addresses: &[log::Address], payloads: Vec<Vec<u8>>) {
        let Some((first, last)) = addresses.first().zip(addresses.last()) else {
            return;
        };
        let batch = [first.raw(), last.raw()];
        for (address, payload) in addresses.iter().zip(payloads) {
            let before = self.entries.insert(address.raw(), Noted { payload, batch });
            assert!(before.is_none(), "an address was used again: {address}");
        }
    }

    /// Notes an entry that a task is about to append.
    pub fn expect(&mut self, payload: &[u8]) {
        self.unplaced.insert(payload.to_vec());
    }

    /// Notes the address of an expected entry.
    pub fn place(&mut self, address: log::Address, payload: Vec<u8>) {
        assert!(self.unplaced.remove(&payload), "expected");
        self.append(&[address], vec![payload]);
    }

    /// Notes a change.
    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Returns a new cookie for the next distinct commit.
    pub fn next_cookie(&mut self, end: log::Address, number: Option<u64>) -> Vec<u8> {
        let cookie = format!("cookie {} at {end}", self.cookies.len()).into_bytes();
        self.numbers.extend(number.map(|number| (number, self.cookies.len())));
        self.cookies.push((cookie.clone(), end.raw()));
        cookie
    }

    /// Returns a number that no commit has.
    #[must_use]
    pub fn free_number(&self, log: &FasterLog) -> u64 {
        let last = self.numbers.last_key_value().map_or(0, |(number, _)| *number);
        last.max(log.last_commit().number) + 100
    }

    /// Returns the state that a commit requested now must contain.
    #[must_use]
    pub fn asked(&self, log: &FasterLog, has_cookie: bool) -> Asked {
        let cookie = if has_cookie { self.cookies.len() - 1 } else { 0 };
        Asked { until: log.tail_address().raw(), changes: self.changes.len(), cookie }
    }

    /// Notes an acknowledged commit.
    pub fn acknowledge(&mut self, known: &mut LogAcknowledged, commit: &Commit, asked: &Asked) {
        let cookie = self.cookie_index(commit);
        assert!(commit.until.raw() >= asked.until, "{commit:?} for {asked:?}");
        assert!(cookie >= asked.cookie, "{commit:?} for {asked:?}");
        if let Some(same) = self.commits.insert(commit.number, commit.clone()) {
            assert_eq!(same, *commit, "one number, two commits");
        }
        known.until = known.until.max(commit.until.raw());
        known.number = known.number.max(commit.number);
        known.changes = known.changes.max(asked.changes);
        known.cookie = known.cookie.max(cookie);
    }

    fn cookie_index(&self, commit: &Commit) -> usize {
        let index = self.cookies.iter().position(|(cookie, _)| *cookie == commit.cookie);
        index.unwrap_or_else(|| panic!("a cookie that no task gave: {commit:?}"))
    }

    /// Returns the state after all changes.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.state_after(self.changes.len())
    }

    fn state_after(&self, changes: usize) -> LogState {
        let mut state = self.base.clone();
        self.changes[..changes].iter().for_each(|change| state.apply(change));
        state
    }

    /// Returns whether the log is completed.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state().completed
    }

    /// Returns the addresses of the visible entries.
    #[must_use]
    pub fn visible(&self) -> Vec<log::Address> {
        let state = self.state();
        let visible = self.entries.keys().filter(|address| state.shows(**address));
        visible.map(|address| log::Address::new(*address)).collect()
    }

    /// Returns the payload of the entry at an address, if it is known.
    #[must_use]
    pub fn payload(&self, address: log::Address) -> Option<&[u8]> {
        self.entries.get(&address.raw()).map(|noted| &noted.payload[..])
    }

    /// Checks the next entry of a reader at `from`. The payload must be the appended one, and the
    /// reader must have skipped no visible entry.
    ///
    /// # Panics
    /// Panics if the entry is another one, or if the reader skipped an entry.
    pub fn check_next(&self, from: log::Address, entry: &log::Entry) {
        let at = entry.address.raw();
        match self.entries.get(&at) {
            Some(noted) => assert_eq!(noted.payload, entry.payload[..], "payload at {at}"),
            None => assert!(self.unplaced.contains(&entry.payload[..]), "an unknown entry at {at}"),
        }
        let state = self.state();
        let skipped = self.entries.range(from.raw()..at).find(|(at, _)| state.shows(**at));
        assert!(skipped.is_none(), "a reader went from {from} to {at} over {skipped:?}");
    }

    /// Checks the contents of a log after it was opened. Returns the ledger with which the log
    /// continues.
    ///
    /// # Panics
    /// Panics if the contents are wrong.
    pub async fn verify(
        &self,
        log: &FasterLog,
        known: &LogAcknowledged,
    ) -> (Self, LogAcknowledged) {
        let commit = log.last_commit();
        let until = commit.until.raw();
        assert!(until >= known.until, "{known:?} was acknowledged, {commit:?} was recovered");
        assert!(commit.number >= known.number, "{known:?}, {commit:?}");
        assert_eq!([log.committed_until(), log.tail_address()], [commit.until; 2]);
        assert!(log.recovery().is_none_or(|recovery| recovery.commit == commit));
        if let Some(same) = self.commits.get(&commit.number) {
            assert_eq!(*same, commit);
        }
        self.check_cookie(&commit, known);
        let found = read_all(log).await;
        let changes = self.find_changes(log, known, &found).await;
        for (address, payload) in found.iter().step_by(1 + found.len() / 3) {
            let read = log.read(log::Address::new(*address)).await.expect("a sound disk");
            assert_eq!(read.as_deref(), Some(&payload[..]), "the entry at {address} alone");
        }
        let mut next = Self {
            base: self.state_after(changes),
            cookies: vec![(commit.cookie.clone(), 0)],
            commits: BTreeMap::from([(commit.number, commit.clone())]),
            ..Self::default()
        };
        next.base.voids.clear();
        for (address, payload) in found {
            next.append(&[log::Address::new(address)], vec![payload]);
        }
        let number = commit.number;
        let life = known.life + 1;
        (next, LogAcknowledged { life, until, number, ..LogAcknowledged::default() })
    }

    /// Returns the begins of the changes after the first `changes`. A full device may have made one
    /// of them durable alone. A begin after `until` counts as `until`, the end of the durable
    /// entries.
    fn begins_ahead(&self, changes: usize, until: u64) -> impl Iterator<Item = u64> {
        let later = self.changes[changes..].iter().filter(|_| self.may_be_full);
        later.filter_map(move |change| match change {
            Change::Begin(begin) => Some((*begin).min(until)),
            _ => None,
        })
    }

    fn check_cookie(&self, commit: &Commit, known: &LogAcknowledged) {
        let cookie = self.cookie_index(commit);
        assert!(cookie >= known.cookie, "an older cookie: {commit:?}, {known:?}");
        assert!(commit.until.raw() >= self.cookies[cookie].1, "a later cookie: {commit:?}");
        for (number, given) in &self.numbers {
            assert_eq!(
                *number <= commit.number,
                *given <= cookie,
                "{commit:?}: {:?}",
                self.numbers
            );
        }
    }

    /// Returns the number of changes that a recovered log has.
    async fn find_changes(
        &self,
        log: &FasterLog,
        known: &LogAcknowledged,
        found: &BTreeMap<u64, Vec<u8>>,
    ) -> usize {
        let until = log.committed_until().raw();
        let mut entries = self.entries.clone();
        for (address, payload) in found {
            if !entries.contains_key(address) && self.unplaced.contains(payload) {
                let noted = Noted { payload: payload.clone(), batch: [*address; 2] };
                entries.insert(*address, noted);
            }
        }
        for (address, Noted { batch, .. }) in entries.range(..until) {
            assert!(batch[1] < until, "the batch {batch:?} of {address} is split at {until}");
        }
        let places: BTreeMap<String, u64> =
            log.iterators().into_iter().map(|(name, place)| (name, place.raw())).collect();
        let mut tail = log.follow();
        let completed = futures::poll!(tail.try_next()).is_ready();
        let is_found = |state: &LogState| {
            let shown = entries.range(..until).filter(|(address, _)| state.shows(**address));
            (state.begin, state.completed, &state.places)
                == (log.begin_address().raw(), completed, &places)
                && shown.map(|(at, noted)| (at, &noted.payload)).eq(found)
        };
        let mut counts = known.changes..=self.changes.len();
        let is_reached = |count: &usize| {
            let state = self.state_after(*count);
            let mut ahead = self.begins_ahead(*count, until);
            is_found(&state) || ahead.any(|begin| is_found(&LogState { begin, ..state.clone() }))
        };
        counts.find(is_reached).unwrap_or_else(|| {
            let state = self.state_after(known.changes);
            let shown = entries.range(..until).filter(|(address, _)| state.shows(**address));
            panic!(
                "no state since {known:?} has what was found: begin {}, completed {completed}, \
                 places {places:?}, entries {:?}\nfirst state {state:?}, entries {:?}\nthen {:?}",
                log.begin_address(),
                found.keys(),
                shown.map(|(address, _)| address).collect::<Vec<_>>(),
                &self.changes[known.changes..]
            )
        })
    }
}

/// Reads all committed entries, by address.
async fn read_all(log: &FasterLog) -> BTreeMap<u64, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut scan = log.scan(..);
    let mut from = 0;
    while let Some(entry) = scan.try_next().await.expect("a sound disk") {
        let (address, next) = (entry.address.raw(), entry.next.raw());
        assert!(from <= address && address < next, "{address} to {next}, after {from}");
        found.insert(address, entry.payload.to_vec());
        from = next;
    }
    found
}
