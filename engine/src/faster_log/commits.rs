//! What is to be made durable, and what is.
//!
//! Who wants a commit raises `requested` and waits for `settled`; the driver (`driver.rs`) does the
//! rest. Nobody is kept in a list: whoever waits looks again when something has changed, so that a
//! failure reaches everybody and a dropped future leaves nothing.

use super::commit_record::CommitRecord;
use super::settled::Settled;
use crate::address::{Address, Watermark};
use crate::error::{Error, Result};
use event_listener::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};

/// The commits of one log.
#[derive(Debug)]
pub(super) struct Commits {
    /// Everything below is to be durable.
    pub(super) requested: Watermark,
    /// Somebody has asked for something.
    pub(super) demand: Event,
    // Under their locks.
    intent: Mutex<Intent>,
    settled: Mutex<(Settled, u64)>,
    /// The number of the commit that the manifest has.
    published: AtomicU64,
}

/// What the next commit has to say.
#[derive(Debug)]
pub(super) struct Intent {
    /// Counts changes; a commit has those up to some number.
    pub(super) changes: u64,
    /// Changes up to here are to be durable.
    pub(super) requested_changes: u64,
    pub(super) begin: Address,
    pub(super) completed: bool,
    /// Iterators that have moved since the last record.
    pub(super) iterators: BTreeMap<String, Option<Address>>,
    /// Voids that no record has yet.
    pub(super) voids: Vec<[Address; 2]>,
    /// Commits that are to be distinct, in order.
    pub(super) distinct: VecDeque<Distinct>,
    /// The number of the last commit that was given one.
    pub(super) last_number: u64,
    /// The cookie of the last one, and what the next one is to have instead.
    pub(super) cookie: Vec<u8>,
    pub(super) next_cookie: Option<Vec<u8>>,
    /// Whether the manifest is to be brought up to date.
    pub(super) manifest: bool,
    /// Why it could not be when somebody waited for it.
    pub(super) refused: Option<Error>,
}

/// The highest number that a commit can be given. Those that follow it are counted on from there.
pub(super) const HIGHEST_NUMBER: u64 = u64::MAX / 2;

/// A commit with a number of its own.
#[derive(Debug)]
pub(super) struct Distinct {
    pub(super) number: u64,
    pub(super) cookie: Option<Vec<u8>>,
}

/// A record that is about to be written, and what it is a record of.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) record: CommitRecord,
    pub(super) changes: u64,
}

impl Commits {
    pub(super) fn new(settled: Settled) -> Self {
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

    pub(super) fn intent(&self) -> MutexGuard<'_, Intent> {
        self.intent.lock().expect("nothing panics under it")
    }

    /// The newest durable commit, and the changes that it has.
    pub(super) fn settled(&self) -> MutexGuard<'_, (Settled, u64)> {
        self.settled.lock().expect("nothing panics under it")
    }

    /// Notes that the manifest could not be brought up to date; whether somebody waits for it.
    pub(super) fn refuse_manifest(&self, error: Error) -> bool {
        let mut intent = self.intent();
        intent.refused = Some(error);
        std::mem::take(&mut intent.manifest)
    }

    /// Notes that the manifest has a commit.
    pub(super) fn published(&self, number: u64) {
        // Release: pairs with the Acquire of `is_published`.
        self.published.store(number, Ordering::Release);
    }

    /// Whether the manifest has the newest durable commit.
    pub(super) fn is_published(&self) -> bool {
        self.published.load(Ordering::Acquire) >= self.settled().0.number
    }

    /// Notes a change that the next commit is to have; gives its number.
    pub(super) fn change(&self, make: impl FnOnce(&mut Intent)) -> u64 {
        let mut intent = self.intent();
        make(&mut intent);
        intent.changes += 1;
        intent.changes
    }

    /// Asks for a commit of everything below `until` and of changes up to `changes`.
    pub(super) fn request(&self, until: Address, changes: u64) {
        let mut intent = self.intent();
        intent.requested_changes = intent.requested_changes.max(changes);
        drop(intent);
        self.requested.raise(until);
        self.demand.notify(usize::MAX);
    }
}

impl Intent {
    /// Has the next commit keep a cookie.
    pub(super) fn set_cookie(&mut self, cookie: Vec<u8>) {
        self.next_cookie = Some(cookie);
    }

    /// Plans a commit of its own, with this number.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that was given already, or is too high; `Completed`.
    pub(super) fn plan(&mut self, number: u64, cookie: Option<Vec<u8>>) -> Result<()> {
        let last = self.distinct.back().map_or(self.last_number, |last| last.number);
        if number <= last {
            return Err(Error::invalid(format!("commit {number}: {last} was given already")));
        }
        if number > HIGHEST_NUMBER {
            return Err(Error::invalid(format!("commit {number}: at most {HIGHEST_NUMBER}")));
        }
        if cookie.is_some() {
            // What was set before has had no commit, and is replaced.
            self.next_cookie = None;
        }
        self.distinct.push_back(Distinct { number, cookie });
        Ok(())
    }

    /// The record of the next commit, of at most `room` bytes; what does not fit stays for the one
    /// after.
    pub(super) fn draft(&mut self, durable: Address, room: usize) -> Draft {
        let distinct = self.distinct.pop_front();
        let is_given = distinct.as_ref().is_some_and(|distinct| distinct.cookie.is_some());
        let number = distinct.as_ref().map_or(self.last_number + 1, |distinct| distinct.number);
        assert!(number > self.last_number, "numbers go up");
        self.last_number = number;
        // What was set later than the cookie of this number is for the commit after.
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
