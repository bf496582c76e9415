//! The parts of a log that its drivers and its users share.

use super::allocate::tail::Tail;
use super::geometry::LogGeometry;
use super::pages::file::LogFile;
use super::pages::memory::Pages;
use super::shift::requests::ShiftRequests;
use super::status::LogStatus;
use crate::epoch::Epoch;
use kvick_runtime::Handle;

/// The parts of one log. Each part owns its state; the views of a log, such as its drivers, borrow
/// all parts.
#[derive(Debug)]
pub(super) struct LogParts {
    // Fixed after creation.
    pub(super) geometry: LogGeometry,
    pub(super) epoch: Epoch,
    pub(super) handle: Handle,
    pub(super) pages: Pages,
    // Any thread, atomic.
    pub(super) tail: Tail,
    pub(super) health: LogStatus,
    pub(super) requests: ShiftRequests,
    pub(super) file: LogFile,
}

impl LogParts {
    /// Waits until every operation that is protected now has ended.
    pub(super) async fn drain(&self) {
        self.epoch.drain(&self.handle).await;
    }
}
