//! Waits for events: listen, look, wait.
//!
//! A notification reaches only tasks that listened before it. So the order is essential. A task
//! that looks first and then listens misses the changes in between. It waits forever if that was
//! the last notification (closing and poisoning notify once). [`wait_until`] and [`wait_either`]
//! have the right order. [`listen`] is for a task that waits for something besides events, and
//! looks once more after it has listened. `tests/tidy/` lists the files that may call it.
//!
//! # Wakers that panic
//! A waker is foreign code, and it runs within the notification: in the middle of a driver, or of
//! another operation. So wakers are wrapped in a [`Shield`] while they wait here. A panic of a
//! waker is logged, and reaches neither the notifying task nor the other waiting tasks.

pub(crate) mod backoff;
pub(crate) mod in_order;

use event_listener::{Event, EventListener};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Waits until `look` returns a value, and looks again after each notification of `event`.
///
/// # Cancel safety
/// Nothing is lost: a later call looks at once.
pub(crate) async fn wait_until<T>(event: &Event, look: impl FnMut() -> Option<T>) -> T {
    wait_either([event], look).await
}

/// Waits like [`wait_until`], with several events, any of which may notify.
///
/// # Cancel safety
/// As for [`wait_until`].
pub(crate) async fn wait_either<const N: usize, T>(
    events: [&Event; N],
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let mut shield = Shield::default();
    loop {
        let mut told = events.map(Event::listen);
        if let Some(found) = look() {
            return found;
        }
        poll_fn(|context| poll_any(&mut told, &mut shield, context)).await;
    }
}

/// Listens for the next notification of any of `events`, from this call on. The caller then checks
/// its condition, and then waits.
pub(crate) fn listen<const N: usize>(events: [&Event; N]) -> Told<N> {
    Told { listeners: events.map(Event::listen), shield: Shield::default() }
}

/// The future of [`listen`]: ready after a notification of one of the events.
#[derive(Debug)]
#[must_use]
pub(crate) struct Told<const N: usize = 1> {
    listeners: [EventListener; N],
    shield: Shield,
}

impl<const N: usize> Future for Told<N> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { listeners, shield } = self.get_mut();
        poll_any(listeners, shield, context)
    }
}

fn poll_any(
    listeners: &mut [EventListener],
    shield: &mut Shield,
    context: &Context<'_>,
) -> Poll<()> {
    let mut context = Context::from_waker(shield.over(context.waker()));
    let is_told = |listener: &mut EventListener| Pin::new(listener).poll(&mut context).is_ready();
    if listeners.iter_mut().any(is_told) { Poll::Ready(()) } else { Poll::Pending }
}

/// Lets other tasks of the executor run once.
///
/// # Cancel safety
/// Has no effect.
pub(crate) async fn yield_once() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs `tell`, which may wake foreign tasks, and logs a panic of their wakers.
pub(crate) fn shielded<R>(tell: impl FnOnce() -> R) -> Option<R> {
    let told = catch_unwind(AssertUnwindSafe(tell));
    if told.is_err() {
        tracing::error!("the waker of a task panicked; the task was not woken");
    }
    told.ok()
}

/// A waker whose panics end here. It is made when there is something to wait for.
#[derive(Default)]
struct Shield {
    /// The waker of the task, and the waker that is registered in its place.
    wakers: Option<(Waker, Waker)>,
}

impl Shield {
    fn over(&mut self, waker: &Waker) -> &Waker {
        let known = self.wakers.take().filter(|(task, _)| task.will_wake(waker));
        let make = || (waker.clone(), Waker::from(Arc::new(Shielded(waker.clone()))));
        &self.wakers.insert(known.unwrap_or_else(make)).1
    }
}

impl fmt::Debug for Shield {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Shield").field(&self.wakers.is_some()).finish()
    }
}

struct Shielded(Waker);

impl Wake for Shielded {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        shielded(|| self.0.wake_by_ref());
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;

    /// A timed checkpoint found the store open, and the store was closed meanwhile. Then the
    /// checkpoint listened for a change that had already been notified: `close` never returned.
    #[test]
    fn what_happens_between_two_looks_is_not_missed() {
        let (event, looks) = (Event::new(), Cell::new(0));
        let found = kvick_runtime::block_on(wait_until(&event, || {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                // The only notification comes just after the first look.
                event.notify(usize::MAX);
                return None;
            }
            Some(looks.get())
        }));
        assert_eq!(found, 2);
    }

    #[test]
    fn any_event_is_enough() {
        for which in 0..3 {
            let events = [Event::new(), Event::new(), Event::new()];
            let looks = Cell::new(0);
            let found = kvick_runtime::block_on(wait_either(events.each_ref(), || {
                looks.set(looks.get() + 1);
                events[which].notify(usize::MAX);
                (looks.get() == 2).then_some(which)
            }));
            assert_eq!(found, which);
        }
    }

    struct Broken;

    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("a waker of an executor panics");
        }
    }

    /// A waker of a user panicked when a driver notified it of a written page. The driver ended,
    /// and the store was poisoned. Later waiters were not woken at all.
    #[test]
    fn a_waker_that_panics_hurts_nobody_else() {
        let event = Event::new();
        let (broken, sound) = (Waker::from(Arc::new(Broken)), Waker::noop());
        let mut first = pin!(listen([&event]));
        let mut second = pin!(listen([&event]));
        let is_ready = |told: Pin<&mut Told>, waker: &Waker| {
            told.poll(&mut Context::from_waker(waker)).is_ready()
        };
        assert!(!is_ready(first.as_mut(), &broken) && !is_ready(second.as_mut(), sound));
        event.notify(usize::MAX);
        assert!(is_ready(second, sound), "the waiter after the panicking waker is not woken");
        assert!(is_ready(first, sound));
    }
}
