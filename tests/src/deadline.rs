//! A time limit for operations on real runtimes, where no simulation finds a deadlock.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use kvick::runtime::{Handle, block_on};

/// A limit far above the time of any test, so that a longer wait is a deadlock.
const LONGEST: Duration = Duration::from_secs(240);

/// Runs `future` on this thread.
///
/// # Panics
/// Panics after minutes, with the name `what`.
pub fn block_on_within_minutes<F: Future>(what: &str, future: F) -> F::Output {
    let clock = Handle::background().expect("a thread starts");
    match block_on(select(pin!(future), pin!(clock.sleep(LONGEST)))) {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("{what} waits for ever"),
    }
}
