//! The driver that makes durable what was written.
//!
//! Who wants it takes a number and waits until a sync that began afterwards has ended well. So the
//! result of each sync is seen by a driver, which is always polled: the system tells of a failure
//! once, and a caller who gives up waiting must not take that with it.

use super::HybridLog;
use super::health::Health;
use crate::error::{Error, Result};
use crate::wait::wait_either;
use event_listener::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// Who asked for syncs, and who has been served.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    // Any thread, atomic: the last number taken.
    asked: AtomicU64,
    // Any thread, atomic; written by the driver: the last number served. Only goes up.
    served: AtomicU64,
    /// A number was taken.
    demand: Event,
    /// Some were served.
    done: Event,
}

impl HybridLog {
    /// Waits until the driver has made durable what was written before this call.
    ///
    /// # Errors
    /// `Poisoned` if a sync failed, `Closed`.
    ///
    /// # Cancel safety
    /// The sync goes on, and if it fails the log is poisoned.
    pub(crate) async fn synced(&self) -> Result<()> {
        let Syncs { asked, served, demand, done } = &self.syncs;
        // Release: pairs with the Acquire of the driver. What the caller knows to be written is
        // written before the sync begins.
        let number = asked.fetch_add(1, Ordering::Release) + 1;
        demand.notify(usize::MAX);
        // Acquire: pairs with the Release of the driver.
        let is_served = || served.load(Ordering::Acquire) >= number;
        self.health.wait_for(done, Health::check_write, is_served).await
    }

    /// Serves those who have asked, all together, until the log is closed or poisoned.
    pub(super) async fn drive_sync(&self) {
        let Syncs { asked, served, demand, done } = &self.syncs;
        loop {
            let next = wait_either([demand, self.health.changed()], || {
                // Acquire: pairs with the Release of those who ask.
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
                // Everybody has been told.
                return;
            }
            served.store(last, Ordering::Release);
            done.notify(usize::MAX);
        }
    }

    /// Makes durable what was written. Polled by drivers only: whoever is dropped in the middle of
    /// it takes the result along.
    pub(crate) async fn sync(&self) -> Result<()> {
        if let Err(error) = self.device.sync().await.result {
            // After a failed sync nobody knows what is durable: no retry.
            let error = Error::poisoned(&Error::io("sync of the log", error));
            self.health.transition_to_poisoned(&error);
            return Err(error);
        }
        // One that failed meanwhile took what it was to cover from this one, too: the system tells
        // of a failure once.
        if self.health.is_poisoned() { self.health.check_write() } else { Ok(()) }
    }
}
