//! The way from a scan to its stream: the found batch, and the ranges that are left.

use super::batch::Batch;
use super::pulse::Pulse;
use crate::base::address::Address;
use kvick_io::sync::{Mutex, MutexGuard};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// The state of a scan that its stream sees.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The batch that was found last, until it is taken.
    batch: Mutex<Option<Batch>>,
    rest: Mutex<Rest>,
    pulse: Arc<Pulse>,
}

/// The ranges that a scan has yet to read.
#[derive(Debug)]
pub(super) struct Rest {
    /// The moment; `NONE` before a scan of everything has begun.
    pub(super) end: Address,
    pub(super) ranges: Vec<[Address; 2]>,
}

impl Default for Rest {
    fn default() -> Self {
        Self { end: Address::NONE, ranges: Vec::new() }
    }
}

impl Found {
    pub(super) fn take(&self) -> Option<Batch> {
        self.batch.lock().expect("nothing panics under it").take()
    }

    /// Passes on a batch. The task that polls the scan takes it before it polls again.
    pub(super) async fn put(&self, batch: Batch) {
        if batch.left() == 0 {
            return;
        }
        let before = self.batch.lock().expect("nothing panics under it").replace(batch);
        assert!(before.is_none(), "each batch is taken");
        let mut is_shown = false;
        poll_fn(|_context| {
            if std::mem::replace(&mut is_shown, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub(super) fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().expect("nothing panics under it")
    }
}
