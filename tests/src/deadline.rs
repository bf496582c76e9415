//! A bound on what is not to wait for ever, where no simulation finds it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use kvick::runtime::{Handle, block_on};

/// Far more than anything in a test needs: what takes longer hangs.
const LONGEST: Duration = Duration::from_secs(240);

/// Runs `future` on this thread.
///
/// # Panics
/// After minutes, with the name of `what` hangs.
pub fn block_on_within_minutes<F: Future>(what: &str, future: F) -> F::Output {
    let clock = Handle::background().expect("a thread is to be had");
    match block_on(select(pin!(future), pin!(clock.sleep(LONGEST)))) {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("{what} waits for ever"),
    }
}
