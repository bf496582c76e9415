//! The future of one operation.
//!
//! The first poll makes one attempt, and is ready if the record is in memory. Then it allocates
//! nothing and keeps nothing. Otherwise the attempt returns the reason that blocks it, and a boxed
//! future waits for the end of that. The next attempt starts from the index again, with the results
//! of the wait.
//!
//! # Cancel safety
//! Between attempts an operation holds only addresses and owned bytes. An operation that is dropped
//! before a successful attempt leaves no trace; a leaked operation delays no task.

use crate::base::error::Result;
use crate::codec::Key;
use crate::store::context::OperationContext;
use crate::store::inner::StoreInner;
use crate::store::moment::Moment;
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey};
use crate::store::operation::pending::wait::{PendingContext, PendingWait};
use crate::store::operation::store_ref::StoreRef;
use crate::store::record::append::TRIES;
use crate::store::sessions::state::SessionState;
use crate::store::table::TableRef;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An operation that is made in synchronous attempts.
pub(crate) trait Operation {
    type Output;

    /// Tries to do the whole operation now.
    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<Self::Output>>;

    /// Returns the encoded key, for comparison with records on the device.
    fn key(&self) -> Result<Vec<u8>>;
}

/// A write that needs no old value, and so never waits for the device to read.
pub(crate) trait BlindWrite<'k, K: Key + ?Sized + 'k>: Operation + Sized {
    /// Returns the key.
    fn key_item(&self) -> &'k K::Item;

    /// Tries like [`attempt`](Operation::attempt), with the key encoded and hashed.
    fn attempt_hashed(
        self,
        core: TableRef<'_>,
        key: HashedKey<'_>,
        tools: OperationContext<'_>,
        moment: &Moment<'_>,
    ) -> Result<Attempt<Self::Output>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Fresh,
    Begun,
    Finished,
}

/// An operation in progress.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub(crate) struct OperationFuture<'a, O> {
    attempts: Attempts<'a>,
    operation: O,
}

/// The progress of an operation. The caller passes the operation itself at each poll. It is always
/// the same operation, but it may have another form.
pub(crate) struct Attempts<'a> {
    access: StoreRef<'a>,
    // `Some` only while the operation is suspended.
    cold: Option<Box<PendingContext<'a>>>,
    progress: Progress,
}

// No field is pinned structurally: the waits are boxed, and the rest is plain data.
impl<O> Unpin for OperationFuture<'_, O> {}

impl<'a, O> OperationFuture<'a, O> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, operation: O) -> Self {
        Self { attempts: Attempts { access, cold: None, progress: Progress::Fresh }, operation }
    }

    /// Returns the store, and the account of the session if there is one.
    pub(crate) fn surroundings(&self) -> (&'a StoreInner, Option<Arc<SessionState>>) {
        let access = &self.attempts.access;
        (access.core().store, access.ledger())
    }

    /// Returns the progress and the operation.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&mut Attempts<'a>, &mut O) {
        (&mut self.attempts, &mut self.operation)
    }
}

impl<O: Operation> OperationFuture<'_, O> {
    /// Makes one attempt, without the turn taking of `poll`. Returns the answer, or the future that
    /// finds it.
    #[inline(always)]
    pub(crate) fn try_now(mut self) -> Result<Result<O::Output>, Self> {
        match self.attempts.try_now(&mut self.operation) {
            Some(answer) => Ok(answer),
            None => Err(self),
        }
    }

    #[inline(always)]
    pub(crate) fn poll_now(&mut self, context: &mut Context<'_>) -> Poll<Result<O::Output>> {
        self.attempts.poll_now(&mut self.operation, context)
    }
}

impl Attempts<'_> {
    /// Makes one attempt, without the turn taking of `poll`.
    #[inline(always)]
    pub(crate) fn try_now<O: Operation>(&mut self, operation: &mut O) -> Option<Result<O::Output>> {
        debug_assert_eq!(self.progress, Progress::Fresh);
        match self.attempt_fresh(operation) {
            Ok(Attempt::Done(output)) => Some(Ok(output)),
            Ok(Attempt::Blocked(_)) => None,
            Err(error) => Some(Err(error)),
        }
    }

    #[inline(always)]
    fn attempt_fresh<O: Operation>(&mut self, operation: &mut O) -> Result<Attempt<O::Output>> {
        // Everything is inlined. Otherwise the answer passes through memory in two halves and is
        // read back as one value. Then the processor cannot overlap the misses of consecutive
        // operations.
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
            // The result is split and rebuilt. So this call does not write to the memory in which
            // the fast path leaves its answer.
            return match self.poll_slow(operation, context) {
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
                if self.access.should_yield(1) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            Progress::Begun => {}
            Progress::Finished => panic!("an operation was polled after it had finished"),
        }
        match self.attempt_fresh(operation) {
            Ok(Attempt::Done(output)) => {
                self.progress = Progress::Finished;
                Poll::Ready(Ok(output))
            }
            Ok(Attempt::Blocked(blocked)) => match self.poll_blocked(operation, blocked, context) {
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

    /// Polls an operation that is suspended or has a pooled seat.
    #[inline(never)]
    fn poll_slow<O: Operation>(
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
        blocked: Blocked,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        let mut blocked = blocked;
        for _ in 0..TRIES {
            if !matches!(blocked, Blocked::Overtaken) {
                break;
            }
            match self.attempt_again(operation) {
                Ok(Attempt::Blocked(next)) => blocked = next,
                Ok(Attempt::Done(output)) => return Poll::Ready(self.finish::<O>(Ok(output))),
                Err(error) => return Poll::Ready(self.finish::<O>(Err(error))),
            }
        }
        self.suspend(operation, blocked);
        self.poll_cold(operation, context)
    }

    /// Makes an attempt off the hot path, with the results of waits.
    #[cold]
    #[inline(never)]
    fn attempt_again<O: Operation>(&mut self, operation: &mut O) -> Result<Attempt<O::Output>> {
        let Self { access, cold, .. } = self;
        let pending = cold.as_ref().map(|cold| &cold.pending);
        let mut attempted = None;
        access.protected_once(&mut |core, tools| {
            let pending = pending.unwrap_or(tools.pending);
            attempted = Some(operation.attempt(core, OperationContext { pending, ..tools }));
        });
        attempted.expect("the body was run")
    }

    #[cold]
    fn suspend<O: Operation>(&mut self, operation: &O, blocked: Blocked) {
        self.access.count_suspension();
        let mut pending = self.cold.take().map(|cold| cold.pending).unwrap_or_default();
        if let Blocked::NeedsOverflow(_) = blocked {
            // The old value, which may be as long, does not stay in memory meanwhile.
            pending.gathered = None;
        }
        let wait = PendingWait::for_what(self.access.core(), blocked, &|| operation.key());
        self.cold = Some(Box::new(PendingContext { pending, wait }));
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
                Ok(result) => match cold.pending.take_in(result) {
                    Ok(()) => self.attempt_again(operation),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            match attempted {
                Ok(Attempt::Blocked(blocked)) => self.suspend(operation, blocked),
                Ok(Attempt::Done(output)) => return Poll::Ready(self.finish::<O>(Ok(output))),
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

impl Drop for Attempts<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(cold) = self.cold.take() {
            drop_cold(cold);
        }
    }
}

/// Drops what a suspended operation has. Out of line, so that the end of a fast operation is one
/// comparison.
#[cold]
#[inline(never)]
fn drop_cold(cold: Box<PendingContext<'_>>) {
    drop(cold);
}

impl<O: Operation> Future for OperationFuture<'_, O> {
    type Output = Result<O::Output>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_now(context)
    }
}

impl<O> fmt::Debug for OperationFuture<'_, O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OperationFuture")
            .field("progress", &self.attempts.progress)
            .field("suspended", &self.attempts.cold.is_some())
            .finish_non_exhaustive()
    }
}
