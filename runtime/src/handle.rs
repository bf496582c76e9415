//! The one type that the engine takes from a runtime.

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

/// Spawn, sleep and now: all that kvick asks of a runtime. Cheap to clone.
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
    /// A built-in executor with one thread, `kvick-background`.
    ///
    /// Every call starts a thread of its own. It ends when the last handle is dropped and the last
    /// task spawned through it is gone. Fails when the system refuses a thread.
    ///
    /// In a child process that is forked without an exec there is no such thread: the handle is as
    /// one whose executor has ended.
    pub fn background() -> io::Result<Self> {
        Ok(Self::custom(Arc::new(background::start()?)))
    }

    /// Tasks run on `handle`'s tokio runtime, of either flavour, with its time driver enabled.
    ///
    /// When that runtime shuts down its tasks are dropped and resolve to
    /// [`TaskFailed::Cancelled`](crate::TaskFailed::Cancelled), and sleeps are over.
    #[cfg(feature = "tokio")]
    pub fn tokio(handle: tokio::runtime::Handle) -> Self {
        Self::custom(Arc::new(crate::adapters::tokio::OnTokio::new(handle)))
    }

    /// Tasks run on the glommio executor of the calling thread; the handle may go anywhere.
    ///
    /// Tasks spawned from other threads reach the executor through a queue. When the executor is
    /// dropped, and at the latest when its thread ends, its tasks are dropped and resolve to
    /// [`TaskFailed::Cancelled`](crate::TaskFailed::Cancelled), and sleeps are over. An executor
    /// that is kept and not run has not ended: its tasks wait.
    ///
    /// # Panics
    ///
    /// When the caller is not inside a glommio executor.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub fn glommio() -> Self {
        Self::custom(Arc::new(crate::adapters::glommio::start()))
    }

    /// Tasks run on an executor of your own.
    pub fn custom(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime }
    }

    /// Starts `future` as a task. `name` appears in messages.
    ///
    /// A panic in `future` ends the task alone and is reported to whoever awaits it.
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

    /// Whether it is known that the executor has ended: what is spawned is dropped, a sleep is over
    /// at once.
    pub fn has_ended(&self) -> bool {
        self.runtime.has_ended()
    }

    /// Time since the origin of this handle; never goes back. Virtual in a simulation.
    pub fn now(&self) -> Duration {
        self.runtime.now()
    }
}

/// The future of [`Handle::sleep`]: one box, `Send`, drop it to give up waiting.
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

/// For devices around devices.
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
