//! The wall clock of a store, in seconds since 1970. It never goes back.
//!
//! A clock of a system goes back when it is set, and the clock of another machine may be slow. So
//! the store keeps the highest second that its clock has shown. Manifests record that second, and
//! an opening begins from it.

use kvick_io::sync::atomic::{AtomicU32, Ordering};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time that a clock has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallTime {
    /// Whole seconds since 1970. They never go back.
    pub(crate) second: u32,
    /// The nanoseconds after the second. They are 0 while the seconds stand still.
    pub(crate) nanos: u32,
}

/// A clock whose seconds never go back.
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

    /// Returns the present time, but no earlier second than any call before.
    pub(crate) fn now(&self) -> WallTime {
        let shown = WallTime::of((self.time)());
        // Relaxed: one word, whose changes all threads see in the same order. It is written only
        // once in a second, since readers of the clock share its cache line.
        let mut highest = self.highest.load(Ordering::Relaxed);
        if shown.second > highest {
            highest = self.highest.fetch_max(shown.second, Ordering::Relaxed);
        }
        if shown.second >= highest { shown } else { WallTime { second: highest, nanos: 0 } }
    }

    /// Lets the clock show no earlier second than `second` from now on.
    pub(crate) fn begin_from(&self, second: u32) {
        // Relaxed, as in `now`.
        self.highest.fetch_max(second, Ordering::Relaxed);
    }
}

impl WallTime {
    /// Returns a time: second 0 before 1970, and the last one that fits from 2106 on.
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        match u32::try_from(since.as_secs()) {
            Ok(second) => Self { second, nanos: since.subsec_nanos() },
            Err(_) => Self { second: u32::MAX, nanos: 0 },
        }
    }
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
            let now = clock.now();
            (now.second, now.nanos)
        };
        let after = |seconds| UNIX_EPOCH + Duration::from_secs_f64(seconds);
        let half = 500_000_000;
        assert_eq!(at(UNIX_EPOCH - Duration::from_secs(9)), (0, 0), "before 1970");
        assert_eq!(at(after(7.5)), (7, half));
        assert_eq!(at(after(5.5)), (7, 0), "it stands still");
        assert_eq!(at(after(7.0)), (7, 0));
        clock.begin_from(20);
        clock.begin_from(10);
        assert_eq!(at(after(8.0)), (20, 0));
        assert_eq!(at(after(21.5)), (21, half));
        assert_eq!(at(after(1e10)), (u32::MAX, 0), "after 2106");
    }
}
