//! The end of an open log, shared by its handles and scans.

use super::recover::report::Recovery;
use crate::base::error::Result;
use crate::opening::ending::Ending;
use std::sync::Arc;

/// Ends the log when the last handle or scan is dropped.
#[derive(Debug)]
pub(crate) struct LogLifecycle {
    ending: Arc<Ending>,
    recovery: Option<Recovery>,
}

impl LogLifecycle {
    pub(crate) fn new(ending: Arc<Ending>, recovery: Option<Recovery>) -> Self {
        Self { ending, recovery }
    }

    /// See [`Ending::check_maintained`].
    pub(crate) fn check_maintained(&self) -> Result<()> {
        self.ending.check_maintained()
    }

    /// Returns the report of the recovery; `None` if the log was created.
    pub(crate) fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// See [`Ending::forsaken`].
    pub(crate) fn forsake(&self) {
        self.ending.forsaken();
    }

    /// See [`Ending::close`].
    pub(crate) async fn close(&self) -> Result<()> {
        self.ending.close().await
    }
}

impl Drop for LogLifecycle {
    fn drop(&mut self) {
        self.ending.forsaken();
    }
}
