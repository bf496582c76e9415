//! The requested commits and the newest durable commit.
//!
//! A caller that wants a commit raises `requested` and waits for `settled`; the driver
//! (`driver.rs`) does the rest. There is no list of waiting tasks. A waiting task checks again
//! after every change. So a failure reaches every task, and a dropped future leaves nothing.

use super::record::CommitRecord;
use super::state::Settled;
use crate::address::{Address, Watermark};
use crate::error::{Error, Result};
use event_listener::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};

/// The commits of one log.
#[derive(Debug)]
pub(crate) struct Commits {
    /// Everything below this address is to become durable.
    pub(crate) requested: Watermark,
    /// Notified when a task requests something.
    pub(crate) demand: Event,
    // Under their locks.
    intent: Mutex<Intent>,
    settled: Mutex<(Settled, u64)>,
    /// The number of the commit in the manifest.
    published: AtomicU64,
}

/// The contents of the next commit record.
#[derive(Debug)]
pub(crate) struct Intent {
    /// The number of changes so far. Each commit contains the changes up to some number.
    pub(crate) changes: u64,
    /// Changes up to this number are to become durable.
    pub(crate) requested_changes: u64,
    pub(crate) begin: Address,
    pub(crate) completed: bool,
    /// The iterators that have moved since the last record.
    pub(crate) iterators: BTreeMap<String, Option<Address>>,
    /// The voids that are in no record yet.
    pub(crate) voids: Vec<[Address; 2]>,
    /// The commits with a requested number, in order.
    pub(crate) distinct: VecDeque<Distinct>,
    /// The number of the last drafted commit.
    pub(crate) last_number: u64,
    /// The cookie of the last drafted commit. `next_cookie` replaces it.
    pub(crate) cookie: Vec<u8>,
    pub(crate) next_cookie: Option<Vec<u8>>,
    /// Whether a task has requested a new manifest.
    pub(crate) manifest: bool,
    /// The error of the last manifest that could not be published.
    pub(crate) refused: Option<Error>,
}

/// The highest number that a caller may request. Later commits count on from there.
pub(crate) const HIGHEST_NUMBER: u64 = u64::MAX / 2;

/// A commit with a requested number.
#[derive(Debug)]
pub(crate) struct Distinct {
    pub(crate) number: u64,
    pub(crate) cookie: Option<Vec<u8>>,
}

/// A record to be written, and the number of changes that it covers.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) record: CommitRecord,
    pub(crate) changes: u64,
}

impl Commits {
    pub(crate) fn new(settled: Settled) -> Self {
        let intent = Intent {
            changes: 0,
            requested_changes: 0,
            begin: settled.begin,
            completed: settled.completed,
            iterators: BTreeMap::new(),
            voids: Vec::new(),
            distinct: VecDeque::new(),
            last_number: settled.number,
            cookie: settled.cookie.clone(),
            next_cookie: None,
            manifest: false,
            refused: None,
        };
        Self {
            published: AtomicU64::new(settled.number),
            requested: Watermark::new(settled.until),
            demand: Event::new(),
            intent: Mutex::new(intent),
            settled: Mutex::new((settled, 0)),
        }
    }

    pub(crate) fn intent(&self) -> MutexGuard<'_, Intent> {
        self.intent.lock().expect("nothing panics under it")
    }

    /// Returns the newest durable commit, and the number of changes in it.
    pub(crate) fn settled(&self) -> MutexGuard<'_, (Settled, u64)> {
        self.settled.lock().expect("nothing panics under it")
    }

    /// Notes that the manifest could not be published. Returns whether a task waits for it.
    pub(crate) fn refuse_manifest(&self, error: Error) -> bool {
        let mut intent = self.intent();
        intent.refused = Some(error);
        std::mem::take(&mut intent.manifest)
    }

    /// Notes that the manifest holds a commit.
    pub(crate) fn published(&self, number: u64) {
        // Release: pairs with the Acquire of `is_published`.
        self.published.store(number, Ordering::Release);
    }

    /// Returns whether the manifest holds the newest durable commit.
    pub(crate) fn is_published(&self) -> bool {
        self.published.load(Ordering::Acquire) >= self.settled().0.number
    }

    /// Adds a change to the next commit. Returns the number of the change.
    pub(crate) fn change(&self, make: impl FnOnce(&mut Intent)) -> u64 {
        let mut intent = self.intent();
        make(&mut intent);
        intent.changes += 1;
        intent.changes
    }

    /// Requests a commit of everything below `until` and of changes up to `changes`.
    pub(crate) fn request(&self, until: Address, changes: u64) {
        let mut intent = self.intent();
        intent.requested_changes = intent.requested_changes.max(changes);
        drop(intent);
        self.requested.raise(until);
        self.demand.notify(usize::MAX);
    }
}

impl Intent {
    /// Sets the cookie of the next commit.
    pub(crate) fn set_cookie(&mut self, cookie: Vec<u8>) {
        self.next_cookie = Some(cookie);
    }

    /// Plans a separate commit with this number.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that is too high, or not above all earlier numbers.
    pub(crate) fn plan(&mut self, number: u64, cookie: Option<Vec<u8>>) -> Result<()> {
        let last = self.distinct.back().map_or(self.last_number, |last| last.number);
        if number <= last {
            return Err(Error::invalid(format!("commit {number}: {last} was given already")));
        }
        if number > HIGHEST_NUMBER {
            return Err(Error::invalid(format!("commit {number}: at most {HIGHEST_NUMBER}")));
        }
        if cookie.is_some() {
            // An earlier cookie that no commit has is replaced.
            self.next_cookie = None;
        }
        self.distinct.push_back(Distinct { number, cookie });
        Ok(())
    }

    /// Returns the record of the next commit, of at most `room` bytes. Changes that do not fit stay
    /// for the following commit.
    pub(crate) fn draft(&mut self, durable: Address, room: usize) -> Draft {
        let distinct = self.distinct.pop_front();
        let is_given = distinct.as_ref().is_some_and(|distinct| distinct.cookie.is_some());
        let number = distinct.as_ref().map_or(self.last_number + 1, |distinct| distinct.number);
        assert!(number > self.last_number, "numbers go up");
        self.last_number = number;
        // A cookie set later than the cookie of this number belongs to the next commit.
        let later = if is_given { None } else { self.next_cookie.take() };
        if let Some(cookie) = distinct.and_then(|distinct| distinct.cookie).or(later) {
            self.cookie = cookie;
        }
        let cookie = self.cookie.clone();
        let mut left = room - CommitRecord::least_bytes(cookie.len());
        let voids = self.voids.len().min(left / CommitRecord::VOID_BYTES);
        left -= voids * CommitRecord::VOID_BYTES;
        let voids = self.voids.drain(..voids).collect();
        let mut iterators = Vec::new();
        while let Some(next) = self.iterators.first_entry() {
            let bytes = CommitRecord::iterator_bytes(next.key());
            if bytes > left {
                break;
            }
            left -= bytes;
            iterators.push(next.remove_entry());
        }
        let is_whole =
            self.iterators.is_empty() && self.voids.is_empty() && self.next_cookie.is_none();
        let changes = if is_whole { self.changes } else { 0 };
        let (begin, completed) = (self.begin, self.completed);
        let record = CommitRecord { number, begin, durable, completed, cookie, iterators, voids };
        Draft { record, changes }
    }
}
