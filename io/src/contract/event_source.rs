//! What a simulation executor needs to know of a simulated source of events.

use std::time::Duration;

/// A simulated source of events, such as a simulated disk, driven by a simulation executor.
///
/// The executor owns virtual time: it asks every source for its earliest event, moves the clock
/// there when no task can run, and lets the source carry it out.
pub trait EventSource: Send + Sync {
    /// Virtual time, since the origin of the simulation, of the earliest event; `None` when
    /// nothing is pending.
    fn next_event(&self) -> Option<Duration>;

    /// Carries out what is due at `now`, waking the tasks that wait for it.
    fn run_event(&self, now: Duration);
}
