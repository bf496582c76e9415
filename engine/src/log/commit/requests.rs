//! The requests for commits.
//!
//! A caller that wants a commit raises `requested` and waits until the newest durable commit meets
//! its goal; the driver (`driver.rs`) does the rest. There is no list of waiting tasks. A waiting
//! task checks again after every change. So a failure reaches every task, and a dropped future
//! leaves nothing.

use super::pending::PendingCommit;
use super::record::CommitRecord;
use super::state::CommitState;
use crate::base::address::{Address, Watermark};
use crate::base::error::{Error, Result};
use crate::base::wait::Event;
use crate::log::truncate::holes::are_apart;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};

/// The requests for commits of one log.
#[derive(Debug)]
pub(crate) struct CommitRequests {
    /// Everything below this address is to become durable.
    requested: Watermark,
    /// Notified when a task requests something.
    demand: Event,
    // Under its lock.
    next: Mutex<NextCommit>,
    /// The number of the commit in the manifest.
    published: AtomicU64,
}

/// The contents of the next commit record.
#[derive(Debug)]
pub(crate) struct NextCommit {
    /// The number of changes so far. Each commit contains the changes up to some number.
    pub(crate) changes: u64,
    /// Changes up to this number are to become durable.
    pub(crate) requested_changes: u64,
    pub(crate) begin: Address,
    pub(crate) completed: bool,
    /// The iterators that have moved since the last record.
    pub(crate) iterators: BTreeMap<String, Option<Address>>,
    /// The holes that are in no record yet.
    pub(crate) holes: Vec<[Address; 2]>,
    /// The commits with a requested number, in order.
    pub(crate) distinct: VecDeque<NumberedCommit>,
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
pub(crate) struct NumberedCommit {
    pub(crate) number: u64,
    pub(crate) cookie: Option<Vec<u8>>,
}

impl CommitRequests {
    /// Creates the requests of a log whose newest commit is `state`.
    pub(crate) fn new(state: &CommitState) -> Self {
        let next = NextCommit {
            changes: 0,
            requested_changes: 0,
            begin: state.begin,
            completed: state.completed,
            iterators: BTreeMap::new(),
            holes: Vec::new(),
            distinct: VecDeque::new(),
            last_number: state.number,
            cookie: state.cookie.clone(),
            next_cookie: None,
            manifest: false,
            refused: None,
        };
        Self {
            published: AtomicU64::new(state.number),
            requested: Watermark::new(state.until),
            demand: Event::new(),
            next: Mutex::new(next),
        }
    }

    /// Returns the address below which everything is to become durable.
    pub(crate) fn requested(&self) -> Address {
        self.requested.load()
    }

    /// Returns the event of every request.
    pub(crate) fn demand(&self) -> &Event {
        &self.demand
    }

    pub(crate) fn next(&self) -> MutexGuard<'_, NextCommit> {
        self.next.lock().expect("nothing panics under it")
    }

    /// Requests a manifest with the newest commit.
    pub(crate) fn request_manifest(&self) {
        let mut next = self.next();
        (next.manifest, next.refused) = (true, None);
        drop(next);
        self.demand.notify(usize::MAX);
    }

    /// Notes that the manifest could not be published. Returns whether a task waits for it.
    pub(crate) fn refuse_manifest(&self, error: Error) -> bool {
        let mut next = self.next();
        next.refused = Some(error);
        std::mem::take(&mut next.manifest)
    }

    /// Notes that the manifest holds a commit.
    pub(crate) fn published(&self, number: u64) {
        debug_assert!(
            self.published.load(Ordering::Relaxed) <= number,
            "one driver publishes, and goes only forward: {number}"
        );
        // Release: pairs with the Acquire of `is_published`.
        self.published.store(number, Ordering::Release);
    }

    /// Returns whether the manifest holds the commit of this number.
    pub(crate) fn is_published(&self, number: u64) -> bool {
        // Acquire: pairs with the Release of `published`.
        self.published.load(Ordering::Acquire) >= number
    }

    /// Adds a change to the next commit. Returns the number of the change.
    pub(crate) fn change(&self, make: impl FnOnce(&mut NextCommit)) -> u64 {
        let mut next = self.next();
        let (begin, completed) = (next.begin, next.completed);
        make(&mut next);
        debug_assert!(begin <= next.begin, "the begin goes up: {begin:?}, {:?}", next.begin);
        debug_assert!(completed <= next.completed, "a completed log stays completed");
        debug_assert!(are_apart(&next.holes), "holes ascend and do not touch: {:?}", next.holes);
        next.changes += 1;
        next.changes
    }

    /// Requests a commit of everything below `until` and of changes up to `changes`.
    pub(crate) fn request(&self, until: Address, changes: u64) {
        let mut next = self.next();
        debug_assert!(changes <= next.changes, "a task waits for changes that were made");
        next.requested_changes = next.requested_changes.max(changes);
        drop(next);
        self.requested.raise(until);
        self.demand.notify(usize::MAX);
    }
}

impl NextCommit {
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
        self.distinct.push_back(NumberedCommit { number, cookie });
        debug_assert!(
            self.distinct.iter().is_sorted_by(|before, next| before.number < next.number),
            "commits are made in the order of their numbers: {:?}",
            self.distinct
        );
        Ok(())
    }

    /// Returns the record of the next commit, of at most `room` bytes. Changes that do not fit stay
    /// for the following commit.
    pub(crate) fn draft(&mut self, durable: Address, room: usize) -> PendingCommit {
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
        let least = CommitRecord::least_bytes(cookie.len());
        assert!(least <= room, "a record without names and holes fits: {least} of {room} bytes");
        let mut left = room - least;
        let holes = self.holes.len().min(left / CommitRecord::HOLE_BYTES);
        left -= holes * CommitRecord::HOLE_BYTES;
        let holes = self.holes.drain(..holes).collect();
        let mut iterators = Vec::new();
        while let Some(next) = self.iterators.first_entry() {
            let bytes = CommitRecord::iterator_bytes(next.key().len());
            if bytes > left {
                break;
            }
            left -= bytes;
            iterators.push(next.remove_entry());
        }
        let is_whole =
            self.iterators.is_empty() && self.holes.is_empty() && self.next_cookie.is_none();
        let changes = if is_whole { self.changes } else { 0 };
        let (begin, completed) = (self.begin, self.completed);
        let record = CommitRecord { number, begin, durable, completed, cookie, iterators, holes };
        debug_assert!(
            self.iterators.is_empty() && self.holes.is_empty()
                || !(record.iterators.is_empty() && record.holes.is_empty()),
            "each record takes a change, so the changes end: {record:?}"
        );
        debug_assert_eq!(record.bytes() + left, room, "no byte is counted twice");
        PendingCommit::new(record, changes)
    }
}
