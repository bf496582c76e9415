//! The future of one operation.
//!
//! The first poll is ready if the operation is a [hit](crate::store::record::hit). Else it makes
//! one general attempt, and is ready if the record is in memory. Then it has allocated nothing and
//! keeps nothing. Otherwise the attempt returns the reason that blocks it, and a boxed future waits
//! for the end of that. The next attempt starts from the index again, with the results of the wait.
//! A durable write that has taken effect waits for a commit at last.
//!
//! # Cancel safety
//! Between attempts an operation holds only addresses and owned bytes. An operation that is dropped
//! before a successful attempt leaves no trace; a leaked operation delays no task.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::Key;
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::inner::no_wal;
use crate::store::operation::attempt::early_lines::EarlyLines;
use crate::store::operation::attempt::operation::{OnKey, Operation};
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::operation::pending::acknowledgement::{Acknowledgement, Held};
use crate::store::operation::pending::cached::cached_chain;
use crate::store::operation::pending::wait::{PendingContext, PendingWait};
use crate::store::operation::pending::{LearntChain, PendingState};
use crate::store::operation::store_ref::StoreRef;
use crate::store::record::append::TRIES;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Fresh,
    Begun,
    Finished,
    /// It must be durable, and the store cannot make it so.
    Refused,
}

/// An operation in progress. Its answer is held as a `T` until it is durable.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub(crate) struct OperationFuture<'a, O, T> {
    attempts: Attempts<'a, T>,
    operation: O,
}

/// The progress of an operation. The caller passes the operation itself at each poll. It is always
/// the same operation, but it may have another form.
pub(crate) struct Attempts<'a, T> {
    access: StoreRef<'a>,
    // `Some` only while the operation is suspended.
    cold: Option<Box<Cold<'a, T>>>,
    progress: Progress,
    /// Whether the answer waits until the operation is durable.
    is_durable: bool,
}

/// The wait of a suspended operation.
#[expect(clippy::large_enum_variant, reason = "it is in a box, and nearly always the large one")]
enum Cold<'a, T> {
    /// Until the next attempt.
    Pending(PendingContext<'a>),
    /// After the last one.
    Acknowledgement(Acknowledgement<'a, T>),
}

// No field is pinned structurally: the waits are boxed, and the rest is plain data.
impl<O, T> Unpin for OperationFuture<'_, O, T> {}

impl<'a, O: Operation> OperationFuture<'a, O, O::Output> {
    /// Returns the future of a part of a batch, which is ready when it has taken effect in memory.
    #[inline(always)]
    pub(crate) fn of_part(access: StoreRef<'a>, operation: O) -> Self {
        Self { attempts: Attempts::new(access, false), operation }
    }
}

impl<'a, O, T> OperationFuture<'a, O, T> {
    /// Returns the future of a read.
    #[inline(always)]
    pub(crate) fn of_read(access: StoreRef<'a>, operation: O) -> Self {
        Self { attempts: Attempts::new(access, false), operation }
    }

    /// Returns a future that is ready when the store acknowledges its writes.
    #[inline(always)]
    pub(crate) fn of_write(access: StoreRef<'a>, operation: O) -> Self {
        let is_durable = access.acknowledges_durably();
        Self { attempts: Attempts::new(access, is_durable), operation }
    }

    /// Sets whether the future is ready when the write is durable, or when it is in memory.
    pub(crate) fn set_durable(&mut self, is_durable: bool) {
        let attempts = &mut self.attempts;
        attempts.is_durable = is_durable;
        if attempts.progress == Progress::Finished {
            return;
        }
        if is_durable && attempts.access.core().wal.is_none() {
            // It has not taken effect, or it would be finished.
            attempts.cold = None;
            attempts.progress = Progress::Refused;
        } else if attempts.progress == Progress::Refused {
            attempts.progress = Progress::Fresh;
        }
    }

    /// Asks for the line of the index that the operation reads first.
    #[inline(always)]
    pub(crate) fn early_lines<'k, K: Key + ?Sized + 'k>(&self) -> Option<EarlyLines<'a>>
    where
        O: OnKey<'k, K>,
    {
        EarlyLines::ask::<K>(self.attempts.access.core(), self.operation.key_item())
    }

    /// Returns the progress and the operation.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&mut Attempts<'a, T>, &mut O) {
        (&mut self.attempts, &mut self.operation)
    }
}

impl<O: Operation<Output: Held<T>>, T> OperationFuture<'_, O, T> {
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

impl<'a, T> Attempts<'a, T> {
    #[inline(always)]
    fn new(access: StoreRef<'a>, is_durable: bool) -> Self {
        Self { access, cold: None, progress: Progress::Fresh, is_durable }
    }

    /// Makes one attempt of a read, without the turn taking of `poll`.
    #[inline(always)]
    pub(crate) fn try_now<O: Operation>(&mut self, operation: &mut O) -> Option<Result<O::Output>> {
        debug_assert_eq!((self.progress, self.is_durable), (Progress::Fresh, false));
        if O::HITS
            && let Some(answer) = self.access.hit(
                #[inline(always)]
                |core, tools| operation.hit(core, tools),
            )
        {
            return Some(answer);
        }
        self.try_slow(operation)
    }

    #[inline(never)]
    fn try_slow<O: Operation>(&mut self, operation: &mut O) -> Option<Result<O::Output>> {
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
    pub(crate) fn poll_now<O: Operation<Output: Held<T>>>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        if O::HITS
            && let Some(answer) = self.poll_hit(operation)
        {
            return Poll::Ready(answer);
        }
        // The result is split and rebuilt. So this call does not write to the memory in which a hit
        // leaves its answer.
        match self.poll_slow(operation, context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(output)) => Poll::Ready(Ok(output)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// Polls an operation for the first time. Returns its answer if it is a hit.
    #[inline(always)]
    fn poll_hit<O: Operation>(&mut self, operation: &mut O) -> Option<Result<O::Output>> {
        if !self.may_hit::<O>() {
            return None;
        }
        let answer = self.access.hit_in_turn(
            #[inline(always)]
            |core, tools| operation.hit(core, tools),
        )?;
        self.progress = Progress::Finished;
        // It has not waited. Said here, so that the drop that follows needs no test.
        std::mem::forget(self.cold.take());
        Some(answer)
    }

    /// Returns whether a poll is the first one, of an operation that ends with its effect.
    #[inline(always)]
    fn may_hit<O: Operation>(&self) -> bool {
        self.progress == Progress::Fresh && !(O::WRITES && self.is_durable)
    }

    #[inline(always)]
    fn poll_fresh<O: Operation<Output: Held<T>>>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        match self.progress {
            Progress::Fresh => {
                self.progress = Progress::Begun;
                if self.access.should_yield(operation.keys()) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            Progress::Begun => {}
            Progress::Finished => panic!("an operation was polled after it had finished"),
            Progress::Refused => return Poll::Ready(self.finish::<O>(Err(no_wal()))),
        }
        match self.attempt_fresh(operation) {
            Ok(Attempt::Done(output)) if O::WRITES && self.is_durable => {
                self.poll_done::<O>(output, context)
            }
            Ok(Attempt::Done(output)) => {
                self.progress = Progress::Finished;
                Poll::Ready(Ok(output))
            }
            Ok(Attempt::Blocked(blocked)) => self.poll_blocked(operation, blocked, context),
            Err(error) => {
                self.progress = Progress::Finished;
                Poll::Ready(Err(error))
            }
        }
    }

    /// Polls an operation that is no hit, has been polled before, or has a pooled seat.
    #[inline(never)]
    fn poll_slow<O: Operation<Output: Held<T>>>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        if self.cold.is_some() {
            return self.poll_cold(operation, context);
        }
        // Here, so that operations of a session do not contain the search for a seat.
        if O::HITS
            && self.may_hit::<O>()
            && let Some(answer) = self.access.pooled_hit_in_turn(
                #[inline(always)]
                |core, tools| operation.hit(core, tools),
            )
        {
            self.progress = Progress::Finished;
            return Poll::Ready(answer);
        }
        self.poll_fresh(operation, context)
    }

    #[cold]
    #[inline(never)]
    fn poll_blocked<O: Operation<Output: Held<T>>>(
        &mut self,
        operation: &mut O,
        blocked: Blocked,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        match self.repeat(operation, blocked, PendingState::default()) {
            None => self.poll_cold(operation, context),
            Some(Ok(output)) => self.poll_done::<O>(output, context),
            Some(Err(error)) => Poll::Ready(self.finish::<O>(Err(error))),
        }
    }

    /// Repeats the attempt as long as it needs no wait. Returns `None` when a wait has begun.
    #[cold]
    #[inline(never)]
    fn repeat<O: Operation>(
        &mut self,
        operation: &mut O,
        mut blocked: Blocked,
        mut pending: PendingState,
    ) -> Option<Result<O::Output>> {
        for _ in 0..TRIES {
            match blocked {
                Blocked::Overtaken => {}
                Blocked::OnDevice(from) => match self.cached(operation, from) {
                    Ok(Some(chain)) => pending.learn(chain),
                    Ok(None) => break,
                    Err(error) => return Some(Err(error)),
                },
                _ => break,
            }
            match self.attempt_again(operation, &pending) {
                Ok(Attempt::Blocked(next)) => blocked = next,
                Ok(Attempt::Done(output)) => return Some(Ok(output)),
                Err(error) => return Some(Err(error)),
            }
        }
        self.suspend(operation, blocked, pending);
        None
    }

    /// Returns what the read cache has of the chain from `from` on.
    fn cached<O: Operation>(
        &mut self,
        operation: &O,
        from: Address,
    ) -> Result<Option<LearntChain>> {
        let core = self.access.core();
        if core.store.read_cache.is_none() {
            return Ok(None);
        }
        let chain = cached_chain(core, from, &operation.key()?);
        if chain.is_some() {
            self.access.count(Counter::ReadCache);
        }
        Ok(chain)
    }

    /// Makes an attempt off the hot path, with the results of waits.
    #[cold]
    #[inline(never)]
    fn attempt_again<O: Operation>(
        &mut self,
        operation: &mut O,
        pending: &PendingState,
    ) -> Result<Attempt<O::Output>> {
        let mut attempted = None;
        self.access.protected_once(&mut |core, tools| {
            attempted = Some(operation.attempt(core, OperationContext { pending, ..tools }));
        });
        attempted.expect("the body was run")
    }

    #[cold]
    fn suspend<O: Operation>(
        &mut self,
        operation: &O,
        blocked: Blocked,
        mut pending: PendingState,
    ) {
        self.access.count(Counter::Suspensions);
        if let Blocked::NeedsOverflow(_) = blocked {
            // The old value, which may be as long, does not stay in memory meanwhile.
            pending.gathered = None;
        }
        let core = self.access.core();
        let wait = PendingWait::for_what(core, blocked, &|| operation.key());
        self.cold = Some(Box::new(Cold::Pending(PendingContext { pending, wait })));
    }

    #[cold]
    #[inline(never)]
    fn poll_cold<O: Operation<Output: Held<T>>>(
        &mut self,
        operation: &mut O,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        loop {
            let cold = match &mut **self.cold.as_mut().expect("only suspended operations get here")
            {
                Cold::Pending(cold) => cold,
                Cold::Acknowledgement(durable) => {
                    let answer = std::task::ready!(durable.poll(context));
                    return Poll::Ready(self.finish::<O>(answer.map(Held::from_held)));
                }
            };
            let result = std::task::ready!(cold.wait.poll(context));
            let mut pending = std::mem::take(&mut cold.pending);
            let attempted = result
                .and_then(|result| pending.take_in(result))
                .and_then(|()| self.attempt_again(operation, &pending));
            let answer = match attempted {
                Ok(Attempt::Blocked(blocked)) => match self.repeat(operation, blocked, pending) {
                    Some(answer) => answer,
                    None => continue,
                },
                Ok(Attempt::Done(output)) => Ok(output),
                Err(error) => Err(error),
            };
            return match answer {
                Ok(output) => self.poll_done::<O>(output, context),
                Err(error) => Poll::Ready(self.finish::<O>(Err(error))),
            };
        }
    }

    /// Ends an operation that has taken effect, if need be when it is durable.
    #[cold]
    #[inline(never)]
    fn poll_done<O: Operation<Output: Held<T>>>(
        &mut self,
        output: O::Output,
        context: &mut Context<'_>,
    ) -> Poll<Result<O::Output>> {
        if !self.is_durable {
            return Poll::Ready(self.finish::<O>(Ok(output)));
        }
        let (store, ledger) = (self.access.core().store, self.access.ledger());
        let mut durable = Acknowledgement::new(store, ledger, output.into_held());
        match durable.poll(context) {
            Poll::Pending => {
                self.cold = Some(Box::new(Cold::Acknowledgement(durable)));
                Poll::Pending
            }
            Poll::Ready(answer) => Poll::Ready(self.finish::<O>(answer.map(Held::from_held))),
        }
    }

    fn finish<O: Operation>(&mut self, result: Result<O::Output>) -> Result<O::Output> {
        self.cold = None;
        self.progress = Progress::Finished;
        result
    }
}

impl<T> Drop for Attempts<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // A test before the take, which would write at the end of each operation.
        if self.cold.is_some() {
            drop_cold(self.cold.take());
        }
    }
}

/// Drops what a suspended operation has. Out of line, so that the end of a fast operation is one
/// comparison.
#[cold]
#[inline(never)]
fn drop_cold<T>(cold: Option<Box<Cold<'_, T>>>) {
    drop(cold);
}

impl<O: Operation<Output: Held<T>>, T> Future for OperationFuture<'_, O, T> {
    type Output = Result<O::Output>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_now(context)
    }
}

impl<O, T> fmt::Debug for OperationFuture<'_, O, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OperationFuture")
            .field("progress", &self.attempts.progress)
            .field("suspended", &self.attempts.cold.is_some())
            .finish_non_exhaustive()
    }
}
