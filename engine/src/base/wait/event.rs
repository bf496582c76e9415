//! An event whose wakers run without a lock.
//!
//! The list of the listeners of an event has a lock, under which a notification calls their wakers.
//! A waker that listens to the same event, or drops a future that does, would wait for that lock
//! forever. A waker that takes long would make the tasks of other threads wait for the lock. So a
//! thread *collects* tasks while it may hold the lock, and wakes them afterwards, in order.

use event_listener::{Event as List, EventListener, IntoNotification};
#[cfg(loom)]
use loom::thread_local;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// An event that tasks wait for.
#[derive(Debug, Default)]
pub(crate) struct Event(List);

/// A listener of an event: ready after a notification.
#[derive(Debug)]
pub(super) struct Listener {
    /// `Some` until it is dropped.
    listener: Option<EventListener>,
}

/// The tasks that a thread is to wake when it holds no lock.
#[derive(Default)]
struct Woken {
    /// Whether the thread may hold the lock of a list.
    is_collecting: Cell<bool>,
    tasks: RefCell<Vec<Arc<Shielded>>>,
}

thread_local! {
    static WOKEN: Woken = Woken::default();
}

impl Event {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notifies listeners, so that `count` of them are notified.
    pub(crate) fn notify(&self, count: usize) {
        unlocked(|| self.0.notify(count));
    }

    /// Notifies one listener more.
    pub(crate) fn notify_another(&self) {
        unlocked(|| self.0.notify(1.additional()));
    }

    pub(super) fn listen(&self) -> Listener {
        Listener { listener: Some(self.0.listen()) }
    }
}

impl Future for Listener {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(self.listener.as_mut().expect("it is not dropped")).poll(context)
    }
}

impl Drop for Listener {
    /// Passes a notification that its task has not seen to the next listener.
    fn drop(&mut self) {
        unlocked(|| drop(self.listener.take()));
    }
}

/// Runs `notify`, which may hold the lock of a list, and then wakes the notified tasks.
fn unlocked<R>(notify: impl FnOnce() -> R) {
    // At the end of a thread there is no list. Then wakers run at once.
    let begun = WOKEN.try_with(|woken| woken.is_collecting.set(true));
    notify();
    if begun.is_ok() {
        let tasks = WOKEN.try_with(|woken| {
            woken.is_collecting.set(false);
            woken.tasks.take()
        });
        tasks.into_iter().flatten().for_each(|task| task.wake_task());
    }
}

/// Runs `tell`, which may wake foreign tasks, and logs a panic of their wakers.
pub(crate) fn shielded<R>(tell: impl FnOnce() -> R) -> Option<R> {
    let told = catch_unwind(AssertUnwindSafe(tell));
    if told.is_err() {
        tracing::error!("the waker of a task panicked; the task was not woken");
    }
    told.ok()
}

/// A waker whose panics end here, and that wakes its task when this thread holds no lock.
pub(super) struct Shielded(Waker);

impl Shielded {
    /// Returns the waker to register in place of the waker of a task.
    pub(super) fn over(waker: Waker) -> Waker {
        Waker::from(Arc::new(Self(waker)))
    }

    fn wake_task(&self) {
        shielded(|| self.0.wake_by_ref());
    }
}

impl Wake for Shielded {
    fn wake(self: Arc<Self>) {
        let is_collected = WOKEN.try_with(|woken| {
            let is_collecting = woken.is_collecting.get();
            if is_collecting {
                woken.tasks.borrow_mut().push(Arc::clone(&self));
            }
            is_collecting
        });
        if !matches!(is_collected, Ok(true)) {
            self.wake_task();
        }
    }
}
