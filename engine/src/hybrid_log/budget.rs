//! How many bytes may be on their way from the device at once.
//!
//! A reader takes a share before it asks the device, and waits for one, holding nothing, while
//! others have all of them. A share is given back when the device wakes the reader, or when the
//! read is dropped: so a task that is never polled again may keep a buffer, but no share, and stops
//! nobody. A read that is larger than the whole budget goes alone.

use crate::wait::wait_until;
use event_listener::{Event, IntoNotification};
use futures::task::AtomicWaker;
use kvick_io::sync::atomic::{AtomicUsize, Ordering};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// The budget of one log.
#[derive(Debug)]
pub(super) struct ReadBudget {
    // Fixed after creation.
    limit: usize,
    // Any thread, atomic: bytes of shares that were taken and not given back.
    taken: AtomicUsize,
    /// A share was given back.
    freed: Event,
}

/// Bytes of a budget, until they are given back.
#[derive(Debug)]
struct Share {
    budget: Arc<ReadBudget>,
    /// 0 once it was given back.
    bytes: AtomicUsize,
    /// Who waits for the read.
    reader: AtomicWaker,
}

/// A read on its way, with its share.
struct Shared<F> {
    share: Arc<Share>,
    waker: Waker,
    read: F,
}

impl ReadBudget {
    pub(super) fn new(limit: usize) -> Self {
        assert!(limit > 0, "a read at a time");
        Self { limit, taken: AtomicUsize::new(0), freed: Event::new() }
    }

    /// Waits for a share of `bytes` bytes, then does what `read` says with it.
    pub(super) async fn with<F: Future + Unpin>(
        self: &Arc<Self>,
        bytes: usize,
        read: impl FnOnce() -> F,
    ) -> F::Output {
        let bytes = wait_until(&self.freed, || self.transition_to_taken(bytes)).await;
        let budget = Arc::clone(self);
        let share = Share { budget, bytes: AtomicUsize::new(bytes), reader: AtomicWaker::new() };
        let share = Arc::new(share);
        let waker = Waker::from(Arc::clone(&share));
        Shared { share, waker, read: read() }.await
    }

    /// Takes a share, if there is one.
    #[must_use]
    fn transition_to_taken(&self, bytes: usize) -> Option<usize> {
        let bytes = bytes.min(self.limit);
        // Relaxed, here and below: a count that no data depends on; who listens and then looks is
        // ordered with who gives back and then notifies by the fences of the event.
        let mut taken = self.taken.load(Ordering::Relaxed);
        while taken + bytes <= self.limit {
            let after = taken + bytes;
            match self.taken.compare_exchange(taken, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(bytes),
                Err(now) => taken = now,
            }
        }
        None
    }

    fn transition_to_given_back(&self, bytes: usize) {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "what is given back was taken");
        // One share for one waiter, as a rule. But who is told may want more than there is, or be
        // a task that is never polled again: then all others are told in time.
        if before - bytes <= self.limit / 2 {
            self.freed.notify(usize::MAX);
        } else {
            self.freed.notify(1.additional());
        }
    }
}

impl Share {
    fn give_back(&self) {
        // Relaxed: only one of those who swap gets the bytes, whichever it is.
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            self.budget.transition_to_given_back(bytes);
        }
    }
}

impl Wake for Share {
    fn wake(self: Arc<Self>) {
        self.give_back();
        self.reader.wake();
    }
}

impl<F: Future + Unpin> Future for Shared<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { share, waker, read } = &mut *self;
        share.reader.register(context.waker());
        Pin::new(read).poll(&mut Context::from_waker(waker))
    }
}

impl<F> Drop for Shared<F> {
    fn drop(&mut self) {
        self.share.give_back();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use futures::channel::oneshot;
    use std::task::Poll::{Pending, Ready};

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_reader_waits_for_a_share_and_not_for_a_task() {
        let budget = Arc::new(ReadBudget::new(1000));
        let (answer, first) = oneshot::channel::<u32>();
        let mut parked = Box::pin(budget.with(800, || first));
        assert_eq!(poll(parked.as_mut()), Pending);
        let mut begun = false;
        let mut second = Box::pin(budget.with(300, || {
            begun = true;
            std::future::ready(7)
        }));
        assert_eq!(poll(second.as_mut()), Pending);
        // The device answers, and the first task is not polled.
        answer.send(1).expect("it waits");
        assert_eq!(poll(second.as_mut()), Ready(7));
        drop(second);
        assert!(begun);
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
        assert_eq!(poll(parked.as_mut()), Ready(Ok(1)));
    }

    #[test]
    fn what_is_dropped_or_too_large_gives_back_what_it_took() {
        let budget = Arc::new(ReadBudget::new(1000));
        let mut large = Box::pin(budget.with(5000, std::future::pending::<()>));
        assert_eq!(poll(large.as_mut()), Pending);
        let mut small = Box::pin(budget.with(1, || std::future::ready(())));
        assert_eq!(poll(small.as_mut()), Pending);
        drop(large);
        assert_eq!(poll(small.as_mut()), Ready(()));
        // One that only waits has taken nothing.
        let mut holder = Box::pin(budget.with(1000, std::future::pending::<()>));
        assert_eq!(poll(holder.as_mut()), Pending);
        let mut waiting = Box::pin(budget.with(1, std::future::pending::<()>));
        assert_eq!(poll(waiting.as_mut()), Pending);
        drop((waiting, holder));
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    /// Tasks that were told and are never polled again, as they are in a `select!` that has ended.
    #[test]
    fn tasks_that_sleep_on_do_not_keep_what_they_were_told() {
        let budget = Arc::new(ReadBudget::new(1000));
        let mut holders: Vec<_> =
            (0..4).map(|_| Box::pin(budget.with(250, std::future::pending::<()>))).collect();
        holders.iter_mut().for_each(|holder| assert_eq!(poll(holder.as_mut()), Pending));
        let mut waiting: Vec<_> =
            (0..20).map(|_| Box::pin(budget.with(250, || std::future::ready(())))).collect();
        waiting.iter_mut().for_each(|waiter| assert_eq!(poll(waiter.as_mut()), Pending));
        drop(holders);
        // Only the last one is ever polled again.
        assert_eq!(poll(waiting[19].as_mut()), Ready(()));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// Readers on three threads: never more bytes than the limit, and none is lost.
    #[test]
    fn loom_no_more_than_the_limit_is_taken() {
        loom::model(|| {
            let budget = loom::sync::Arc::new(ReadBudget::new(10));
            let within = loom::sync::Arc::new(AtomicUsize::new(0));
            let read = {
                let (budget, within) = (budget.clone(), within.clone());
                move || {
                    if let Some(bytes) = budget.transition_to_taken(6) {
                        assert_eq!(within.fetch_add(1, Ordering::AcqRel), 0, "12 of 10 bytes");
                        within.fetch_sub(1, Ordering::AcqRel);
                        // Without the event, which the model need not know.
                        budget.taken.fetch_sub(bytes, Ordering::Relaxed);
                    }
                }
            };
            let threads = [thread::spawn(read.clone()), thread::spawn(read.clone())];
            read();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            assert_eq!(budget.transition_to_taken(10), Some(10));
        });
    }
}
