//! Limits the bytes that may be in flight from the device at once.
//!
//! A reader takes a share before it asks the device. It waits, holding nothing, while other readers
//! have all shares. A share is returned when the device wakes the reader, or when the read is
//! dropped. So a task that is never polled again may keep a buffer, but no share, and stops no
//! other task. A read that is larger than the whole budget runs alone.
//!
//! A returned share tells one waiting reader, which tells the next if it leaves room. So however
//! many readers wait, few of them look in vain. The last share tells all: the task of a told reader
//! may sleep permanently.
//!
//! A large reader would never find enough free bytes beside small readers. So while it waits, its
//! size is *wanted*: smaller readers leave that many bytes free. If they are free and the large
//! reader does not come, its task may sleep permanently, too. So nothing is wanted any more after
//! small readers looked [`PATIENCE`] times.

use crate::base::wait::{Event, wait_until, yield_once};
use futures::task::AtomicWaker;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// The budget of one log.
#[derive(Debug)]
pub(super) struct ReadBudget {
    // Any thread, atomic.
    limit: AtomicUsize,
    /// The bytes of the shares that are taken and not returned. They may exceed a limit that came
    /// down.
    taken: AtomicUsize,
    /// The bytes of the largest waiting reader; 0 if smaller readers need not leave any.
    wanted: AtomicUsize,
    /// The looks of smaller readers since the wanted bytes were free.
    looks: AtomicUsize,
    /// Whether a smaller reader has left bytes for a wanted read.
    is_left: AtomicBool,
    /// The readers that waited for a share.
    waits: AtomicU64,
    /// A share was returned.
    freed: Event,
}

/// The number of looks of small readers for which free bytes stay reserved for a large reader.
const PATIENCE: usize = 1000;

/// The outcome of a look for a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// These bytes were taken.
    Taken(usize),
    /// All bytes stay free for a larger reader, whose task may sleep for ever. No share is taken
    /// whose return would tell a reader.
    Left,
}

/// A waiting reader whose bytes may be wanted.
struct Wanting<'b> {
    budget: &'b ReadBudget,
    bytes: usize,
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.budget.transition_to_unwanted(self.bytes);
    }
}

/// Bytes of a budget, until they are returned.
#[derive(Debug)]
struct Share {
    budget: Arc<ReadBudget>,
    /// 0 after the share was returned.
    bytes: AtomicUsize,
    /// The task that waits for the read.
    reader: AtomicWaker,
}

/// A read in flight, with its share.
struct Shared<F> {
    share: Arc<Share>,
    waker: Waker,
    read: F,
}

impl ReadBudget {
    pub(super) fn new(limit: usize) -> Self {
        assert!(limit > 0, "a read at a time");
        let [limit, taken, wanted, looks] = [limit, 0, 0, 0].map(AtomicUsize::new);
        Self {
            limit,
            taken,
            wanted,
            looks,
            is_left: AtomicBool::new(false),
            waits: AtomicU64::new(0),
            freed: Event::new(),
        }
    }

    /// Sets the limit. Shares that are taken stay.
    pub(super) fn set_limit(&self, limit: usize) {
        assert!(limit > 0, "a read at a time");
        // Relaxed: as for the other words; the notification orders it.
        if self.limit.swap(limit, Ordering::Relaxed) < limit {
            self.tell(self.taken.load(Ordering::Relaxed));
        }
    }

    /// Returns the number of readers that waited for a share.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Waits for a share of `bytes` bytes, then awaits the future of `read` with it.
    pub(super) async fn with<F: Future + Unpin>(
        self: &Arc<Self>,
        bytes: usize,
        read: impl FnOnce() -> F,
    ) -> F::Output {
        let bytes = self.share_of(bytes).await;
        let budget = Arc::clone(self);
        let share = Share { budget, bytes: AtomicUsize::new(bytes), reader: AtomicWaker::new() };
        let share = Arc::new(share);
        let waker = Waker::from(Arc::clone(&share));
        Shared { share, waker, read: read() }.await
    }

    /// Waits until `bytes` bytes are taken, and returns them.
    async fn share_of(&self, bytes: usize) -> usize {
        if let Some(Look::Taken(bytes)) = self.look(bytes) {
            return bytes;
        }
        self.waits.fetch_add(1, Ordering::Relaxed);
        let _wanting = Wanting { budget: self, bytes };
        loop {
            let looked = wait_until(&self.freed, || {
                let looked = self.look(bytes);
                if looked.is_none() {
                    self.transition_to_wanted(bytes);
                }
                looked
            });
            match looked.await {
                Look::Taken(bytes) => {
                    let taken = self.taken.load(Ordering::Relaxed);
                    if taken < self.limit() {
                        self.tell(taken);
                    }
                    return bytes;
                }
                Look::Left => yield_once().await,
            }
        }
    }

    /// Takes a share, if there is one and no larger reader waits for it. A read that is larger than
    /// the budget counts as the whole budget.
    fn look(&self, bytes: usize) -> Option<Look> {
        let limit = self.limit();
        let bytes = bytes.min(limit);
        // Relaxed, in all of this: hints. A reader that misses one takes its share a little early.
        let wanted = self.wanted.load(Ordering::Relaxed).min(limit);
        if bytes < wanted {
            let taken = self.taken.load(Ordering::Relaxed);
            if taken + wanted > limit {
                self.is_left.store(true, Ordering::Relaxed);
                // Taken shares come back, and their return notifies the readers.
                return None;
            }
            if taken + bytes + wanted > limit {
                if self.looks.fetch_add(1, Ordering::Relaxed) < PATIENCE {
                    self.is_left.store(true, Ordering::Relaxed);
                    return (taken == 0).then_some(Look::Left);
                }
                self.transition_to_unwanted(self.wanted.load(Ordering::Relaxed));
            }
        }
        self.transition_to_taken(bytes)
    }

    /// Takes a share, if there is one.
    #[must_use]
    fn transition_to_taken(&self, bytes: usize) -> Option<Look> {
        // Relaxed, here and below: no data depends on this count. The fences of the event order a
        // task that listens and then looks with a task that returns bytes and then notifies.
        let mut taken = self.taken.load(Ordering::Relaxed);
        while taken + bytes <= self.limit() {
            let after = taken + bytes;
            match self.taken.compare_exchange(taken, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Look::Taken(bytes)),
                Err(now) => taken = now,
            }
        }
        None
    }

    /// Makes smaller readers leave `bytes` bytes free.
    fn transition_to_wanted(&self, bytes: usize) {
        debug_assert!(bytes > 0, "0 bytes mean that nothing is wanted");
        if self.wanted.fetch_max(bytes, Ordering::Relaxed) < bytes {
            self.looks.store(0, Ordering::Relaxed);
        }
    }

    /// Ends the want of a reader that has its bytes, was dropped, or does not come.
    fn transition_to_unwanted(&self, bytes: usize) {
        let unwanted =
            self.wanted.compare_exchange(bytes, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if unwanted {
            self.looks.store(0, Ordering::Relaxed);
            // Else no task waits for this: readers of one size never do. One that is missed here
            // hears of the next share that is returned.
            if self.is_left.swap(false, Ordering::Relaxed) {
                self.tell(self.taken.load(Ordering::Relaxed));
            }
        }
    }

    fn transition_to_given_back(&self, bytes: usize) {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "returned bytes were taken");
        self.tell(before - bytes);
    }

    /// Tells waiting readers that there may be room, beside `taken` bytes.
    fn tell(&self, taken: usize) {
        // One reader, which tells the next if it leaves room. It may want more than there is, or
        // its task may never be polled again; then the next returned share tells another one. No
        // further share comes back if none is taken, so this tells all. To tell all each time would
        // wake many tasks that look in vain.
        if taken == 0 {
            self.freed.notify(usize::MAX);
        } else {
            self.freed.notify_another();
        }
    }
}

impl Share {
    fn give_back(&self) {
        // Relaxed: only one of the swaps gets the bytes, and any of them may.
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
    use std::cell::RefCell;
    use std::collections::VecDeque;
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
        // A task that only waits has taken nothing.
        let mut holder = Box::pin(budget.with(1000, std::future::pending::<()>));
        assert_eq!(poll(holder.as_mut()), Pending);
        let mut waiting = Box::pin(budget.with(1, std::future::pending::<()>));
        assert_eq!(poll(waiting.as_mut()), Pending);
        drop((waiting, holder));
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    /// A reader that wanted more than the new limit waits only until it can run alone.
    #[test]
    fn a_limit_that_comes_down_stops_no_reader() {
        let budget = Arc::new(ReadBudget::new(1000));
        let mut holder = Box::pin(budget.with(900, std::future::pending::<()>));
        assert_eq!(poll(holder.as_mut()), Pending);
        let mut large = Box::pin(budget.with(800, || std::future::ready(())));
        assert_eq!(poll(large.as_mut()), Pending);
        budget.set_limit(100);
        let mut small = Box::pin(budget.with(10, || std::future::ready(())));
        assert_eq!((poll(large.as_mut()), poll(small.as_mut())), (Pending, Pending));
        drop(holder);
        assert_eq!(poll(large.as_mut()), Ready(()));
        assert_eq!(poll(small.as_mut()), Ready(()));
        assert_eq!((budget.taken.load(Ordering::Relaxed), budget.waits()), (0, 2));
        budget.set_limit(1000);
        let mut holder = Box::pin(budget.with(900, std::future::pending::<()>));
        assert_eq!(poll(holder.as_mut()), Pending);
    }

    /// Tasks that were notified and are never polled again, as in a `select!` that has ended.
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
        // Only the last task is ever polled again.
        assert_eq!(poll(waiting[19].as_mut()), Ready(()));
    }

    /// A task that counts its wakes.
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            // Relaxed: one thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A reader that had its share woke all tasks that waited, and so did each read that ended
    /// while half of the budget was free. With 10,000 tasks a read took four times the processor
    /// time.
    #[test]
    fn tasks_are_woken_as_far_as_they_find_room() {
        let budget = Arc::new(ReadBudget::new(1000));
        let in_flight = RefCell::new(VecDeque::new());
        let read = || {
            let (answer, read) = oneshot::channel::<()>();
            in_flight.borrow_mut().push_back(answer);
            read
        };
        let mut tasks: Vec<_> = (0..2000)
            .map(|_| (Box::pin(budget.with(10, read)), Arc::new(Counted(AtomicUsize::new(1)))))
            .collect();
        let mut polls = 0;
        while !tasks.is_empty() {
            tasks.retain_mut(|(task, wakes)| {
                // Relaxed: one thread.
                if wakes.0.swap(0, Ordering::Relaxed) == 0 {
                    return true;
                }
                polls += 1;
                let waker = Waker::from(Arc::clone(wakes));
                task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
            // The device ends most of what it has, at once.
            let mut in_flight = in_flight.borrow_mut();
            let most = in_flight.len().min(90);
            in_flight.drain(..most).for_each(|answer| answer.send(()).expect("a reader waits"));
        }
        assert!(polls <= 4 * 2000, "{polls} polls of 2000 tasks");
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod large_readers {
    use super::*;
    use std::future::ready;

    fn poll<F: Future>(future: Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// A read of a large record starved beside tasks that read small records. They took each
    /// returned share before the free bytes were enough.
    #[test]
    fn small_readers_leave_room_for_a_large_one() {
        let budget = Arc::new(ReadBudget::new(1000));
        let mut holder = Box::pin(budget.with(800, std::future::pending::<()>));
        assert!(!poll(holder.as_mut()));
        let mut large = Box::pin(budget.with(900, || ready(())));
        assert!(!poll(large.as_mut()));
        let mut small = Box::pin(budget.with(100, || ready(())));
        assert!(!poll(small.as_mut()), "there are 200 bytes free, and 900 are wanted");
        drop(holder);
        let mut other = Box::pin(budget.with(200, || ready(())));
        assert!(!poll(other.as_mut()));
        assert!(poll(small.as_mut()), "beside it");
        assert!(poll(large.as_mut()) && poll(other.as_mut()));
        assert_eq!(budget.wanted.load(Ordering::Relaxed), 0);
    }

    /// The task of a large reader is never polled again.
    #[test]
    fn a_large_reader_that_does_not_come_stops_no_other() {
        let budget = Arc::new(ReadBudget::new(1000));
        let mut holder = Box::pin(budget.with(800, std::future::pending::<()>));
        assert!(!poll(holder.as_mut()));
        let mut large = Box::pin(budget.with(1000, || ready(())));
        assert!(!poll(large.as_mut()));
        drop(holder);
        let mut small = Box::pin(budget.with(100, || ready(())));
        let polls = (0..2 * PATIENCE).take_while(|_| !poll(small.as_mut())).count();
        assert!((1..=PATIENCE).contains(&polls), "{polls}");
        // A dropped reader wants nothing.
        let mut holder = Box::pin(budget.with(800, std::future::pending::<()>));
        assert!(!poll(holder.as_mut()));
        drop(large);
        let mut large = Box::pin(budget.with(1000, || ready(())));
        assert!(!poll(large.as_mut()));
        drop(large);
        assert!(poll(Box::pin(budget.with(100, || ready(()))).as_mut()));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// Readers on three threads never take more bytes than the limit, and no bytes are lost.
    #[test]
    fn loom_no_more_than_the_limit_is_taken() {
        loom::model(|| {
            let budget = loom::sync::Arc::new(ReadBudget::new(10));
            let within = loom::sync::Arc::new(AtomicUsize::new(0));
            let read = {
                let (budget, within) = (budget.clone(), within.clone());
                move || {
                    if let Some(Look::Taken(bytes)) = budget.look(6) {
                        assert_eq!(within.fetch_add(1, Ordering::AcqRel), 0, "12 of 10 bytes");
                        within.fetch_sub(1, Ordering::AcqRel);
                        // The event is not in the model.
                        budget.taken.fetch_sub(bytes, Ordering::Relaxed);
                    }
                }
            };
            let threads = [thread::spawn(read.clone()), thread::spawn(read.clone())];
            read();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            assert_eq!(budget.look(10), Some(Look::Taken(10)));
        });
    }
}
