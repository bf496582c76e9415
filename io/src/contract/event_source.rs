//! The interface between a simulation executor and a simulated source of events.

use std::time::Duration;

/// A simulated source of events, such as a simulated disk, that a simulation executor drives.
///
/// The executor owns virtual time. It asks every source for its earliest event, moves the clock
/// there when no task can run, and lets the source carry the event out.
pub trait EventSource: Send + Sync {
    /// Returns the virtual time of the earliest event, since the origin of the simulation. Returns
    /// `None` if no event is pending.
    fn next_event(&self) -> Option<Duration>;

    /// Carries out the events that are due at `now` and wakes the tasks that wait for them.
    fn run_event(&self, now: Duration);
}
