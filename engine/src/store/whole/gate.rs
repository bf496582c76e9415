//! The open batches, and the version barriers that wait for them.

use crate::base::wait::wait_either;
use crate::hybrid_log::LogStatus;
use event_listener::Event;
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::Arc;

/// Either some batches are open, or a barrier is on its way, or neither.
#[derive(Debug, Default)]
pub(crate) struct BatchGate {
    // Under its lock.
    state: Mutex<State>,
    changed: Event,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    pauses: usize,
}

/// An open batch.
#[derive(Debug)]
pub(in crate::store) struct OpenBatch(Arc<BatchGate>);

/// No batch begins while this lives.
#[derive(Debug)]
pub(crate) struct Pause<'g>(&'g BatchGate);

impl BatchGate {
    /// Opens a batch, unless a barrier is on its way.
    pub(in crate::store) fn try_open(self: &Arc<Self>) -> Option<OpenBatch> {
        let mut state = self.state();
        if state.pauses > 0 {
            return None;
        }
        state.open += 1;
        Some(OpenBatch(Arc::clone(self)))
    }

    /// Waits until no barrier is on its way.
    pub(in crate::store) async fn opened(&self, health: &LogStatus) {
        wait_either([&self.changed, health.changed()], || {
            (self.state().pauses == 0 || health.check_write().is_err()).then_some(())
        })
        .await;
    }

    /// Lets no batch begin from now on, and waits until none is open. Those of a store that takes
    /// no more writes do not end.
    pub(in crate::store) async fn pause(&self, health: &LogStatus) -> Pause<'_> {
        self.state().pauses += 1;
        let pause = Pause(self);
        wait_either([&self.changed, health.changed()], || {
            (self.state().open == 0 || health.check_write().is_err()).then_some(())
        })
        .await;
        pause
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }
}

impl Drop for OpenBatch {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.changed.notify(usize::MAX);
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.state().pauses -= 1;
        self.0.changed.notify(usize::MAX);
    }
}
