//! The interface that an executor must implement.

use std::fmt;
use std::time::Duration;

use kvick_io::BoxFuture;

use crate::task::TaskFailed;

/// The interface of an executor that runs kvick's background work.
///
/// Pass your own executor to [`Handle::custom`](crate::Handle::custom). Tasks are few and
/// long-lived, so the cost of boxes does not matter here.
pub trait Runtime: Send + Sync + fmt::Debug + 'static {
    /// Runs `future` to its end, or drops it when the executor ends. The future does not panic.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);

    /// Resolves `duration` after this call, or when the executor ends. Any thread may poll the
    /// future, also after the end.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Returns the time since some fixed origin. It never decreases.
    fn now(&self) -> Duration;

    /// Returns whether the executor is known to have ended. Tasks are then dropped, and sleeps are
    /// over at once.
    fn has_ended(&self) -> bool {
        false
    }

    /// Reports a task that panicked after its [`Task`](crate::Task) was dropped.
    fn lost_panic(&self, failed: &TaskFailed) {
        tracing::error!(%failed, "a detached task failed");
    }
}
