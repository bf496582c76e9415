//! The wall clock of a store, in seconds since 1970. It never goes back.
//!
//! A clock of a system goes back when it is set, and the clock of another machine may be slow. So
//! the store keeps the highest second that its clock has shown. Manifests record that second, and
//! an opening begins from it.
//!
//! Each operation on a record with an expiry reads the clock. So on Linux the default is the time
//! of the last tick of the kernel, some milliseconds old at most. It costs a tenth of the exact
//! time.

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
    // Fixed after creation. `None` is the clock of the system.
    time: Option<Box<dyn Fn() -> SystemTime + Send + Sync>>,
    // Any thread, atomic.
    highest: AtomicU32,
}

impl WallClock {
    pub(crate) fn new(time: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { time: Some(Box::new(time)), ..Self::default() }
    }

    /// Returns the present time, but no earlier second than any call before.
    pub(crate) fn now(&self) -> WallTime {
        let shown = match &self.time {
            Some(time) => WallTime::of(time()),
            None => system_time(),
        };
        // Relaxed: one word, whose changes all threads see in the same order. It is written only
        // once in a second, since readers of the clock share its cache line.
        let mut highest = self.highest.load(Ordering::Relaxed);
        if shown.second > highest {
            highest = self.highest.fetch_max(shown.second, Ordering::Relaxed);
        }
        if shown.second >= highest { shown } else { WallTime { second: highest, nanos: 0 } }
    }

    /// Returns the highest second that it has shown, without a look at the time.
    pub(crate) fn highest(&self) -> u32 {
        // Relaxed, as in `now`.
        self.highest.load(Ordering::Relaxed)
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
        Self::since_1970(since.as_secs(), since.subsec_nanos())
    }

    fn since_1970(seconds: u64, nanos: u32) -> Self {
        match u32::try_from(seconds) {
            Ok(second) => Self { second, nanos },
            Err(_) => Self { second: u32::MAX, nanos: 0 },
        }
    }
}

/// Returns the time of the system at its last tick.
#[cfg(target_os = "linux")]
fn system_time() -> WallTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let nanos = u32::try_from(time.tv_nsec).expect("less than a second");
    u64::try_from(time.tv_sec)
        .map_or(WallTime::of(UNIX_EPOCH), |seconds| WallTime::since_1970(seconds, nanos))
}

/// Returns the time of the system.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "the time of the system is the default")]
fn system_time() -> WallTime {
    WallTime::of(SystemTime::now())
}

impl Default for WallClock {
    fn default() -> Self {
        Self { time: None, highest: AtomicU32::new(0) }
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

    #[test]
    fn the_default_is_the_time_of_the_system() {
        let clock = WallClock::default();
        let first = clock.now();
        assert!(first.second > 1_700_000_000, "after 2023: {first:?}");
        assert!(clock.now().second >= first.second);
    }
}
