//! The lifecycle of an open store: its drivers, and its end with the last handle and session.

use crate::checkpoint::Checkpoints;
use crate::opening::ending::Ending;
use crate::recovery::RecoveryReport;
use std::sync::Arc;

/// The state that ends when the last handle and session are dropped.
#[derive(Debug)]
pub(crate) struct StoreLifecycle {
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) report: Option<RecoveryReport>,
}

impl Drop for StoreLifecycle {
    fn drop(&mut self) {
        self.ending.forsaken();
    }
}
