//! The wall clock of a store, in seconds since 1970. It never goes back.
//!
//! A clock of a system goes back when it is set, and the clock of another machine may be slow. So
//! the store keeps the highest second that its clock has shown. Manifests record that second, and
//! an opening begins from it.

use kvick_io::sync::atomic::{AtomicU32, Ordering};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock of whole seconds.
pub(crate) struct WallClock {
    // Fixed after creation.
    time: Box<dyn Fn() -> SystemTime + Send + Sync>,
    // Any thread, atomic.
    highest: AtomicU32,
}

impl WallClock {
    pub(crate) fn new(time: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { time: Box::new(time), highest: AtomicU32::new(0) }
    }

    /// Returns the present second, but no earlier one than any call before.
    pub(crate) fn now(&self) -> u32 {
        let second = second_of((self.time)());
        // Relaxed: one word, whose changes all threads see in the same order.
        self.highest.fetch_max(second, Ordering::Relaxed).max(second)
    }

    /// Lets the clock show no earlier second than `second` from now on.
    pub(crate) fn begin_from(&self, second: u32) {
        // Relaxed, as in `now`.
        self.highest.fetch_max(second, Ordering::Relaxed);
    }
}

/// Returns the second of a time: 0 before 1970, and the last one that fits from 2106 on.
fn second_of(time: SystemTime) -> u32 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

impl Default for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the time of the system is the default")]
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WallClock").field("highest", &self.highest).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[test]
    fn it_never_goes_back() {
        let time = Arc::new(Mutex::new(UNIX_EPOCH));
        let shown = Arc::clone(&time);
        let clock = WallClock::new(move || *shown.lock().expect("no panic"));
        let at = |time_at: SystemTime| {
            *time.lock().expect("no panic") = time_at;
            clock.now()
        };
        let after = |seconds| UNIX_EPOCH + Duration::from_secs_f64(seconds);
        assert_eq!(at(UNIX_EPOCH - Duration::from_secs(9)), 0, "before 1970");
        assert_eq!(at(after(7.9)), 7);
        assert_eq!(at(after(5.0)), 7);
        clock.begin_from(20);
        clock.begin_from(10);
        assert_eq!(at(after(8.0)), 20);
        assert_eq!(at(after(21.0)), 21);
        assert_eq!(at(after(1e10)), u32::MAX, "after 2106");
    }
}
