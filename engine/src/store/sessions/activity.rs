//! The sessions that the next checkpoint must ask for their commit points.

use crate::store::sessions::state::SessionState;
use std::sync::Arc;

/// The activity in the interval since the last version barrier.
#[derive(Debug)]
pub(super) struct Activity {
    /// The number of the interval, from 1.
    pub(super) interval: u64,
    pub(super) sessions: Vec<Arc<SessionState>>,
    /// Whether anything may have changed, also through the handle.
    pub(super) is_any: bool,
}

impl Activity {
    pub(super) fn of(interval: u64) -> Self {
        Self { interval, sessions: Vec::new(), is_any: false }
    }

    /// Adds a session, unless it is in this list or in the list of an ended version. The checkpoint
    /// of that version returns the session to this list if it must.
    pub(super) fn list(&mut self, ledger: &Arc<SessionState>) {
        if ledger.listed().is_none() {
            ledger.set_listed(Some(self.sessions.len()));
            self.sessions.push(Arc::clone(ledger));
        }
    }

    /// Removes a session that no checkpoint will ask for any more.
    pub(super) fn unlist(&mut self, ledger: &Arc<SessionState>) {
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

    /// Returns whether the session is in this list, and not in the list of an ended version.
    pub(super) fn has(&self, ledger: &Arc<SessionState>) -> bool {
        let at = ledger.listed().and_then(|place| self.sessions.get(place));
        at.is_some_and(|listed| Arc::ptr_eq(listed, ledger))
    }
}
