//! The only type that the engine uses of a runtime.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kvick_io::BoxFuture;
use kvick_io::wrap::Timing;

use crate::adapters::background;
use crate::runtime::Runtime;
use crate::task::Task;

/// Spawns tasks, sleeps and tells the time: all that kvick needs of a runtime. Cheap to clone.
///
/// ```
/// use kvick_runtime::{Handle, block_on};
///
/// let handle = Handle::background()?;
/// let task = handle.spawn("sum", async { 1 + 2 });
/// assert_eq!(block_on(task), Ok(3));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    runtime: Arc<dyn Runtime>,
}

impl Handle {
    /// Starts a built-in executor with one thread, `kvick-background`.
    ///
    /// Every call starts its own thread. The thread ends when the last handle is dropped and the
    /// last task spawned through it is gone. Fails if the system refuses a thread.
    ///
    /// A child process that is forked without an exec does not have the thread. There the handle
    /// acts like a handle whose executor has ended.
    pub fn background() -> io::Result<Self> {
        Ok(Self::custom(Arc::new(background::start()?)))
    }

    /// Needs the feature `tokio`. Runs tasks on `handle`'s tokio runtime, of either flavour, with
    /// its time driver enabled.
    ///
    /// When that runtime shuts down, its sleeps are over and its tasks are dropped. The tasks
    /// resolve to [`TaskFailed::Cancelled`](crate::TaskFailed::Cancelled).
    #[cfg(feature = "tokio")]
    pub fn tokio(handle: tokio::runtime::Handle) -> Self {
        Self::custom(Arc::new(crate::adapters::tokio::OnTokio::new(handle)))
    }

    /// Needs the feature `glommio`, and Linux. Runs tasks on the glommio executor of the calling
    /// thread. Any thread may use the handle.
    ///
    /// Tasks spawned from other threads reach the executor through a queue. When the executor is
    /// dropped, or at the latest when its thread ends, its sleeps are over and its tasks are
    /// dropped. The tasks resolve to [`TaskFailed::Cancelled`](crate::TaskFailed::Cancelled). An
    /// executor that exists but does not run has not ended: its tasks wait.
    ///
    /// # Panics
    ///
    /// If the caller is not inside a glommio executor.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub fn glommio() -> Self {
        Self::custom(Arc::new(crate::adapters::glommio::start()))
    }

    /// Runs tasks on an executor of your own.
    pub fn custom(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime }
    }

    /// Starts `future` as a task. `name` appears in messages.
    ///
    /// A panic in `future` ends only the task. The caller that awaits the task gets the panic as an
    /// error.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = Arc::clone(&self.runtime);
        let (run, task) = Task::split(name, future, move |failed| runtime.lost_panic(failed));
        self.runtime.spawn(name, run);
        task
    }

    /// Resolves `duration` after this call, or as soon as the executor has ended.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep { timer: self.runtime.sleep(duration), duration }
    }

    /// Returns whether the executor is known to have ended. Spawned futures are then dropped, and a
    /// sleep is over at once.
    pub fn has_ended(&self) -> bool {
        self.runtime.has_ended()
    }

    /// Returns the time since the origin of this handle. It never decreases. Virtual in a
    /// simulation.
    pub fn now(&self) -> Duration {
        self.runtime.now()
    }
}

/// The future of [`Handle::sleep`]: one box, `Send`. Drop it to stop waiting.
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    timer: BoxFuture<'static, ()>,
    duration: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(context)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sleep").field(&self.duration).finish()
    }
}

/// For devices that wrap other devices.
impl Timing for Handle {
    fn now(&self) -> Duration {
        Self::now(self)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.runtime.sleep(duration)
    }

    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        Self::spawn(self, name, future).detach();
    }
}
