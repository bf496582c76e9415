//! The built-in executor: one thread that runs tasks in the order of their wakes. It fires timers
//! between batches, and parks when there is nothing to do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kvick_io::Birthplace;

use crate::clock::Clock;
use crate::executor::{Driver, Executor, Leased};
use crate::park::{Idle, Parker};

/// The number of tasks that run before the thread checks whether it may end or sleep.
const BATCH: usize = 64;

/// Starts the thread.
pub(crate) fn start() -> io::Result<Leased<Worker>> {
    let (executor, leased) = Executor::new(Worker {
        parker: Parker::new(),
        clock: Clock::new(),
        birthplace: Birthplace::here(),
    });
    kvick_io::spawn("kvick-background", move || work(&executor))?;
    Ok(leased)
}

#[derive(Debug)]
pub(crate) struct Worker {
    parker: Parker,
    clock: Clock,
    birthplace: Birthplace,
}

impl Driver for Worker {
    fn notify(&self) {
        self.parker.wake();
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn is_here(&self) -> bool {
        self.birthplace.check().is_ok()
    }
}

fn work(executor: &Arc<Executor<Worker>>) {
    while !executor.has_ended() {
        executor.run_ready(BATCH);
        executor.driver.parker.park(|| idle(executor));
    }
    debug_assert!(executor.live_names().is_empty(), "a live task holds a lease");
}

fn idle(executor: &Executor<Worker>) -> Idle {
    if executor.has_ready() || executor.has_ended() {
        return Idle::No;
    }
    match executor.timers.earliest() {
        None => Idle::UntilWoken,
        Some(deadline) => match deadline.saturating_sub(executor.driver.now()) {
            Duration::ZERO => Idle::No,
            duration => Idle::For(duration),
        },
    }
}
