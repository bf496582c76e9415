//! The points at which a reader waits, or lets other tasks run.

use crate::base::address::Address;
use crate::base::wait::{Told, listen};
use crate::log::view::LogView;
use futures::future::{SelectAll, select_all};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The number of reads after which other tasks may run.
const TURN: u32 = 8;

/// The waits of one reader.
#[derive(Debug, Default)]
pub(super) struct ReaderWaits {
    changes: Option<Changes>,
    /// The reads since other tasks could run.
    reads: u32,
}

/// The next change of a log, from the creation of this value on.
#[derive(Debug)]
pub(super) struct Changes(SelectAll<Told>);

impl ReaderWaits {
    /// Waits for the changes, if there are any to wait for.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(Changes(changes)) = &mut self.changes {
            ready!(Pin::new(changes).poll(context));
            self.changes = None;
        }
        Poll::Ready(())
    }

    /// Waits for `changes` at the next poll.
    pub(super) fn wait_for(&mut self, changes: Changes) {
        debug_assert!(self.changes.is_none(), "a reader waits for one thing");
        self.changes = Some(changes);
    }

    /// Waits until the frame at `at` is written.
    pub(super) fn wait_for_frame(&mut self, view: &LogView, at: Address) {
        let memory = view.memory().expect("nothing is uncommitted elsewhere");
        let changed = listen([view.range().changed()]);
        let health = listen([memory.health().changed()]);
        let written = memory.told_beyond(at);
        if !is_in_vain(view) && !memory.is_written(at) {
            self.wait_for(Changes(select_all([changed, health, written])));
        }
    }

    /// Drops the wait.
    pub(super) fn stop(&mut self) {
        self.changes = None;
    }

    /// Lets other tasks run from time to time, because a reader of memory is always ready.
    pub(super) fn turn_is_over(&mut self, context: &Context<'_>) -> bool {
        self.reads += 1;
        if self.reads < TURN {
            return false;
        }
        self.reads = 0;
        context.waker().wake_by_ref();
        true
    }
}

impl Changes {
    /// Listens for a commit, or the end of the log. The caller then checks its condition, and then
    /// waits.
    pub(super) fn of_commits(view: &LogView) -> Self {
        let mut listeners = vec![listen([view.range().changed()])];
        let memory = view.memory();
        listeners.extend(memory.map(|memory| listen([memory.health().changed()])));
        Self(select_all(listeners))
    }
}

/// Returns whether a wait would be in vain, because the log will not change any more.
pub(super) fn is_in_vain(view: &LogView) -> bool {
    view.range().committed().is_completed() || view.check_wait().is_err()
}
