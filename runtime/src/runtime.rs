//! What an executor must offer.

use std::fmt;
use std::time::Duration;

use kvick_io::BoxFuture;

use crate::task::TaskFailed;

/// What an executor must offer to run kvick's background work.
///
/// Bring your own with [`Handle::custom`](crate::Handle::custom). Tasks are few and long-lived, so
/// boxes cost nothing that matters here.
pub trait Runtime: Send + Sync + fmt::Debug + 'static {
    /// Runs `future` to its end, or drops it when the executor ends. The future does not panic.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);

    /// Resolves `duration` after this call, or when the executor ends. May be polled from any
    /// thread, and then, too.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Time since some fixed origin; never goes back.
    fn now(&self) -> Duration;

    /// Whether it is known that the executor has ended: tasks are dropped, sleeps are over at once.
    fn has_ended(&self) -> bool {
        false
    }

    /// Hears of a task that panicked although nobody holds its [`Task`](crate::Task) any more.
    fn lost_panic(&self, failed: &TaskFailed) {
        tracing::error!(%failed, "a detached task failed");
    }
}
