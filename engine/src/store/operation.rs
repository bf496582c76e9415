//! The future of one operation.
//!
//! On a hit in memory the first poll makes one attempt and is ready: nothing is allocated and
//! nothing is kept. Otherwise the attempt says what blocks it; a boxed future waits for that, and
//! the next attempt starts from the index again, with what the waiting has brought.
//!
//! # Cancel safety
//! Between attempts an operation holds addresses and owned bytes only. Dropping it before an
//! attempt has succeeded leaves no trace of it; leaking it delays nobody.

use super::access::Access;
use super::cold::{Cold, Wait};
use super::link::TRIES;
use super::seat::Tools;
use super::{Core, Step};
use crate::error::Result;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One operation, in synchronous attempts.
pub(crate) trait Operation {
    type Output;

    /// Tries to do it all now.
    fn attempt(&mut self, core: &Core, tools: Tools<'_>) -> Result<Step<Self::Output>>;

    /// The encoded key, for comparison with records on the device.
    fn key(&self) -> Result<Vec<u8>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Fresh,
    Begun,
    Finished,
}

/// An operation on its way.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub(crate) struct Running<'a, O> {
    course: Course<'a>,
    operation: O,
}

/// How far an operation is. What it is comes from outside at each poll: the same one, though it may
/// be in another form of the same operation.
pub(crate) struct Course<'a> {
    access: Access<'a>,
    // Of a suspended operation only.
    cold: Option<Box<Cold<'a>>>,
    progress: Progress,
}

// Nothing in here is pinned structurally: the waits are boxed, the rest is plain data.
impl<O> Unpin for Running<'_, O> {}

impl<'a, O: Operation> Running<'a, O> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, operation: O) -> Self {
        Self { course: Course { access, cold: None, progress: Progress::Fresh }, operation }
    }

    /// One attempt, without the turn taking of `poll`: the answer, or the future that finds it.
    #[inline(always)]
    pub(crate) fn try_now(mut self) -> Result<Result<O::Output>, Self> {
        match self.course.try_now(&mut self.operation) {
            Some(answer) => Ok(answer),
            None => Err(self),
        }
    }

    #[inline(always)]
    pub(crate) fn poll_now(&mut self, context: &mut Context<'_>) -> Poll<Result<O::Output>> {
        self.course.poll_now(&mut self.operation, context)
    }

    /// How far it is, and what it is.
    pub(crate) fn parts(&mut self) -> (&mut Course<'a>, &O) {
        (&mut self.course, &self.operation)
    }
}

impl Course<'_> {
    /// One attempt, without the turn taking of `poll`.
    #[inline(always)]
    pub(crate) fn try_now<O: Operation>(&mut self, operation: &mut O) -> Option<Result<O::Output>> {
        debug_assert_eq!(self.progress, Progress::Fresh);
        match self.attempt_fresh(operation) {
            Ok(Step::Done(output)) => Some(Ok(output)),
            Ok(Step::Blocked(_)) => None,
            Err(error) => Some(Err(error)),
        }
    }

    #[inline(always)]
    fn attempt_fresh<O: Operation>(&mut self, operation: &mut O) -> Result<Step<O::Output>> {
        // Inlined to the last: an answer that passes through memory in two halves and is read back
        // as one would keep the processor from overlapping the misses of consecutive operations.
        self.access.protected(
            #[inline(always)]
            |core, tools| operation.attempt(core, tools),
        )
    }

    #[inline(always)]
    pub(crate) fn poll_now<O: Operation>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        if self.cold.is_some() || !self.access.is_seated() {
            // Taken apart and put together again, so that what the call leaves in memory is not
            // where the fast path leaves its answer.
            return match self.poll_aside(operation, context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(output)) => Poll::Ready(Ok(output)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            };
        }
        self.poll_fresh(operation, context)
    }

    #[inline(always)]
    fn poll_fresh<O: Operation>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        match self.progress {
            Progress::Fresh => {
                self.progress = Progress::Begun;
                if self.access.turn_is_over() {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            Progress::Begun => {}
            Progress::Finished => panic!("an operation was polled after it had finished"),
        }
        match self.attempt_fresh(operation) {
            Ok(Step::Done(output)) => {
                self.progress = Progress::Finished;
                Poll::Ready(Ok(output))
            }
            Ok(Step::Blocked(blocked)) => match self.poll_blocked(operation, blocked, context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(output)) => Poll::Ready(Ok(output)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            },
            Err(error) => {
                self.progress = Progress::Finished;
                Poll::Ready(Err(error))
            }
        }
    }

    /// A poll that goes on waiting, or one through a pooled seat.
    #[inline(never)]
    fn poll_aside<O: Operation>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        if self.cold.is_some() {
            self.poll_cold(operation, context)
        } else {
            self.poll_fresh(operation, context)
        }
    }

    #[cold]
    #[inline(never)]
    fn poll_blocked<O: Operation>(
        &mut self,
        operation: &mut O,
        blocked: super::Blocked,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        let mut blocked = blocked;
        for _ in 0..TRIES {
            if !matches!(blocked, super::Blocked::Overtaken) {
                break;
            }
            match self.attempt_again(operation) {
                Ok(Step::Blocked(next)) => blocked = next,
                Ok(Step::Done(output)) => return Poll::Ready(self.finish::<O>(Ok(output))),
                Err(error) => return Poll::Ready(self.finish::<O>(Err(error))),
            }
        }
        self.suspend(operation, blocked);
        self.poll_cold(operation, context)
    }

    /// An attempt off the hot path, with what waits have brought.
    #[cold]
    #[inline(never)]
    fn attempt_again<O: Operation>(&mut self, operation: &mut O) -> Result<Step<O::Output>> {
        let Self { access, cold, .. } = self;
        let learnt = cold.as_ref().map(|cold| &cold.learnt);
        let mut attempted = None;
        access.protected_once(&mut |core, tools| {
            let learnt = learnt.unwrap_or(tools.learnt);
            attempted = Some(operation.attempt(core, Tools { learnt, ..tools }));
        });
        attempted.expect("the body was run")
    }

    #[cold]
    fn suspend<O: Operation>(&mut self, operation: &O, blocked: super::Blocked) {
        self.access.count_suspension();
        let mut learnt = self.cold.take().map(|cold| cold.learnt).unwrap_or_default();
        if let super::Blocked::TooLong(_) = blocked {
            // The value that it was made of may be as long.
            learnt.gathered = None;
        }
        let wait = Wait::for_what(self.access.core(), blocked, operation.key());
        self.cold = Some(Box::new(Cold { learnt, wait }));
    }

    #[cold]
    #[inline(never)]
    fn poll_cold<O: Operation>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        loop {
            let cold = self.cold.as_mut().expect("only suspended operations get here");
            let attempted = match std::task::ready!(cold.wait.poll(context)) {
                Ok(lesson) => {
                    cold.learnt.take_in(lesson);
                    self.attempt_again(operation)
                }
                Err(error) => Err(error),
            };
            match attempted {
                Ok(Step::Blocked(blocked)) => self.suspend(operation, blocked),
                Ok(Step::Done(output)) => return Poll::Ready(self.finish::<O>(Ok(output))),
                Err(error) => return Poll::Ready(self.finish::<O>(Err(error))),
            }
        }
    }

    fn finish<O: Operation>(&mut self, result: Result<O::Output>) -> Result<O::Output> {
        self.cold = None;
        self.progress = Progress::Finished;
        result
    }
}

impl<O: Operation> Future for Running<'_, O> {
    type Output = Result<O::Output>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_now(context)
    }
}

impl<O> fmt::Debug for Running<'_, O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Running")
            .field("progress", &self.course.progress)
            .field("suspended", &self.course.cold.is_some())
            .finish_non_exhaustive()
    }
}
