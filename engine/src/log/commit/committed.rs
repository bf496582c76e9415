//! The newest durable commit of a log: the only place that knows how far the log is durable.
//!
//! The state is under a lock. Readers ask for its end and for its completion far more often than a
//! commit ends, so both are also kept as atomics. They change under the lock, together with the
//! state.

use super::state::{Commit, CommitGoal, CommitState};
use crate::base::address::{Address, Watermark};
use kvick_io::sync::atomic::{AtomicBool, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};

/// The newest durable commit.
#[derive(Debug)]
pub(crate) struct Committed {
    // Any thread, atomic; changed under the lock of `state`.
    until: Watermark,
    /// Whether the commit is the last one.
    completed: AtomicBool,
    // Under its lock.
    state: Mutex<CommitState>,
}

impl Committed {
    pub(crate) fn new(state: CommitState) -> Self {
        assert!(
            Address::FIRST <= state.begin && state.begin <= state.until,
            "a commit covers the bytes from the begin to its end: {state:?}"
        );
        Self {
            until: Watermark::new(state.until),
            completed: AtomicBool::new(state.completed),
            state: Mutex::new(state),
        }
    }

    /// Returns the end of the commit. Everything below is durable.
    pub(crate) fn until(&self) -> Address {
        self.until.load()
    }

    /// Returns whether the log is completed.
    ///
    /// Acquire: pairs with the Release store in `advance`. A reader that sees the flag also sees
    /// the end of the last commit.
    pub(crate) fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }

    /// Returns the whole state.
    pub(crate) fn state(&self) -> CommitState {
        self.lock().clone()
    }

    /// Returns the commit as users see it.
    pub(crate) fn commit(&self) -> Commit {
        self.lock().commit()
    }

    pub(crate) fn number(&self) -> u64 {
        self.lock().number
    }

    pub(crate) fn meets(&self, goal: CommitGoal) -> bool {
        self.lock().meets(goal)
    }

    /// Changes the state to a later commit.
    pub(crate) fn advance(&self, change: impl FnOnce(&mut CommitState)) {
        let mut state = self.lock();
        let before = [state.begin, state.until];
        let (number, completed) = (state.number, state.completed);
        change(&mut state);
        debug_assert!(number <= state.number, "numbers go up: {number}, then {}", state.number);
        debug_assert!(completed <= state.completed, "a completed log stays completed");
        assert!(
            before[0] <= state.begin && before[1] <= state.until && state.begin <= state.until,
            "commits become durable in order: {before:?}, then {state:?}"
        );
        self.until.raise(state.until);
        // Release: pairs with the Acquire in `is_completed`.
        self.completed.store(state.completed, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, CommitState> {
        self.state.lock().expect("nothing panics under it")
    }
}
