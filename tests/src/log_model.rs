//! What was done to a log, and what must be found of it after a power cut.
//!
//! A [`LogLedger`] has the entries by address, and apart from them a sequence of *changes*: of
//! where the log begins, of iterators with a name, of entries that were taken back. What is
//! recovered must be the state after some first part of that sequence, no shorter than what was
//! acknowledged, with exactly the entries below its end that this state leaves visible: so nothing
//! durable is lost, nothing has a hole, and nothing that was taken away comes back.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use kvick::log::Commit;
use kvick::{FasterLog, log};

use crate::log_state::{Change, LogState};

/// What was done to a log.
#[derive(Clone, Debug)]
pub struct LogLedger {
    entries: BTreeMap<u64, Noted>,
    /// Payloads of entries that are appended, or not, somewhere.
    unplaced: BTreeSet<Vec<u8>>,
    /// What the log was opened with.
    base: LogState,
    changes: Vec<Change>,
    /// Every cookie, in order, and the end of the log when it was given; the first is that of the
    /// recovered commit.
    cookies: Vec<(Vec<u8>, u64)>,
    /// Cookies by the numbers that were given with them.
    numbers: BTreeMap<u64, usize>,
    /// Commits that were acknowledged.
    commits: BTreeMap<u64, Commit>,
    /// Whether the device may have been full. On a full device the manifest alone makes a begin
    /// durable, before the changes in front of it.
    may_be_full: bool,
}

#[derive(Clone, Debug)]
struct Noted {
    payload: Vec<u8>,
    /// The first and the last entry of its batch.
    batch: [u64; 2],
}

/// What must be found.
#[derive(Clone, Debug, Default)]
pub struct LogAcknowledged {
    /// Which life of the log this is about, and so whose ledger: the first is 0.
    pub life: u32,
    /// Everything below is durable.
    pub until: u64,
    number: u64,
    changes: usize,
    cookie: usize,
}

/// What a commit that is asked for must have.
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
    /// Gives the ledger of a new log, on a device that may become full.
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

    /// Notes an entry that is about to be appended, or not.
    pub fn expect(&mut self, payload: &[u8]) {
        self.unplaced.insert(payload.to_vec());
    }

    /// Notes where an entry is that was expected.
    pub fn place(&mut self, address: log::Address, payload: Vec<u8>) {
        assert!(self.unplaced.remove(&payload), "expected");
        self.append(&[address], vec![payload]);
    }

    /// Notes a change that was made.
    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// A cookie like no other, which the next distinct commit is to have.
    pub fn next_cookie(&mut self, end: log::Address, number: Option<u64>) -> Vec<u8> {
        let cookie = format!("cookie {} at {end}", self.cookies.len()).into_bytes();
        self.numbers.extend(number.map(|number| (number, self.cookies.len())));
        self.cookies.push((cookie.clone(), end.raw()));
        cookie
    }

    /// A number that no commit has.
    #[must_use]
    pub fn free_number(&self, log: &FasterLog) -> u64 {
        let last = self.numbers.last_key_value().map_or(0, |(number, _)| *number);
        last.max(log.last_commit().number) + 100
    }

    /// What a commit must have that is asked for now.
    #[must_use]
    pub fn asked(&self, log: &FasterLog, has_cookie: bool) -> Asked {
        let cookie = if has_cookie { self.cookies.len() - 1 } else { 0 };
        Asked { until: log.tail_address().raw(), changes: self.changes.len(), cookie }
    }

    /// Notes that a commit was acknowledged.
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

    /// The state with all changes.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.state_after(self.changes.len())
    }

    fn state_after(&self, changes: usize) -> LogState {
        let mut state = self.base.clone();
        self.changes[..changes].iter().for_each(|change| state.apply(change));
        state
    }

    /// Whether there will be no more entries.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state().completed
    }

    /// The addresses of entries that are to be seen.
    #[must_use]
    pub fn visible(&self) -> Vec<log::Address> {
        let state = self.state();
        let visible = self.entries.keys().filter(|address| state.shows(**address));
        visible.map(|address| log::Address::new(*address)).collect()
    }

    /// The payload of the entry at an address that is known.
    #[must_use]
    pub fn payload(&self, address: log::Address) -> Option<&[u8]> {
        self.entries.get(&address.raw()).map(|noted| &noted.payload[..])
    }

    /// Checks an entry that a reader has come to, which had read up to `from`: it is what was
    /// appended there, and the reader has left none out.
    ///
    /// # Panics
    /// If it is not so.
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

    /// Checks what a log has after it was opened. Gives what it goes on from.
    ///
    /// # Panics
    /// If it is not what it must be.
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

    /// The begins of changes after so many, which a full device may have made durable alone. None
    /// is beyond `until`, the end of what is durable.
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

    /// How many of the changes a recovered log has.
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
            assert!(batch[1] < until, "the batch {batch:?} of {address} is cut at {until}");
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

/// Every committed entry, by address.
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
