//! The driver that makes written pages durable.
//!
//! A caller takes a number and waits until a sync that began afterwards has succeeded. So a driver,
//! which is always polled, sees the result of each sync. This matters because the kernel reports a
//! failure once: a caller that stops waiting must not take that report with it.

use crate::base::error::{Error, Result};
use crate::base::wait::{Event, wait_either};
use crate::hybrid_log::status::LogStatus;
use kvick_io::Device;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The requests for syncs, and the served requests.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    // Any thread, atomic: the last number taken.
    asked: AtomicU64,
    // Any thread, atomic; written by the driver: the last number served. Only goes up.
    served: AtomicU64,
    /// A caller took a number.
    demand: Event,
    /// The driver served numbers.
    done: Event,
}

impl Syncs {
    /// Waits until the driver has synced everything that was written before this call.
    pub(crate) async fn synced(&self, health: &LogStatus) -> Result<()> {
        let Self { asked, served, demand, done } = self;
        // Release: pairs with the Acquire of the driver. The writes that the caller knows of
        // precede the sync.
        let number = asked.fetch_add(1, Ordering::Release) + 1;
        demand.notify(usize::MAX);
        // Acquire: pairs with the Release of the driver.
        let is_served = || served.load(Ordering::Acquire) >= number;
        health.wait_for(done, LogStatus::check_write, is_served).await
    }
}

/// The driver that syncs a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncDriver<'l> {
    pub(crate) syncs: &'l Syncs,
    pub(crate) device: &'l dyn Device,
    /// The name of the directory.
    pub(crate) place: &'l str,
    pub(crate) health: &'l LogStatus,
}

impl SyncDriver<'_> {
    /// Serves all requests together, until the log is closed or poisoned.
    pub(crate) async fn drive(self) {
        let Syncs { asked, served, demand, done } = self.syncs;
        loop {
            let next = wait_either([demand, self.health.changed()], || {
                // Acquire: pairs with the Release of the callers in `synced`.
                let last = asked.load(Ordering::Acquire);
                let is_asked = last > served.load(Ordering::Relaxed);
                if self.health.check_write().is_err() {
                    Some(None)
                } else {
                    is_asked.then_some(Some(last))
                }
            });
            let Some(last) = next.await else {
                return;
            };
            if self.sync().await.is_err() {
                // All waiting callers are already notified.
                return;
            }
            debug_assert!(last > served.load(Ordering::Relaxed), "each number is served once");
            served.store(last, Ordering::Release);
            done.notify(usize::MAX);
        }
    }

    /// Syncs the device. Only drivers poll it: a dropped caller would take the result with it.
    pub(crate) async fn sync(self) -> Result<()> {
        if let Err(error) = self.device.sync().await.result {
            // After a failed sync the durable bytes are unknown, so there is no retry.
            let error =
                Error::poisoned(&Error::io(format!("sync of the log in {}", self.place), error));
            self.health.transition_to_poisoned(&error);
            return Err(error);
        }
        // The kernel reports a failed sync only once. If another sync failed while this one ran,
        // pages that this one should cover may be lost too.
        if self.health.is_poisoned() { self.health.check_write() } else { Ok(()) }
    }
}
