//! Waits for events: listen, look, wait.
//!
//! A notification reaches only tasks that listened before it. So the order is essential. A task
//! that looks first and then listens misses the changes in between. It waits forever if that was
//! the last notification (closing and poisoning notify once). [`wait_until`] and [`wait_either`]
//! have the right order. [`listen`] is for a task that waits for something besides events, and
//! looks once more after it has listened. `tests/tidy/` lists the files that may call it.
//!
//! # Wakers are foreign code
//! A waker runs within the notification: in the middle of a driver, or of another operation. So
//! wakers are wrapped in a [`Shield`] while they wait here. A panic of a waker is logged, and
//! reaches neither the notifying task nor the other waiting tasks. No lock of an event is held
//! while a waker runs ([`event`]), so it may poll or drop futures that wait for one. Its thread may
//! hold another lock of the store then: the stripe of a logged key, or the list of scans.

pub(crate) mod backoff;
mod event;
pub(crate) mod in_order;

pub(crate) use event::{Event, shielded};

use event::{Listener, Shielded};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

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
    listeners: [Listener; N],
    shield: Shield,
}

impl<const N: usize> Future for Told<N> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { listeners, shield } = self.get_mut();
        poll_any(listeners, shield, context)
    }
}

fn poll_any(listeners: &mut [Listener], shield: &mut Shield, context: &Context<'_>) -> Poll<()> {
    // An earlier waker is dropped after the listeners, and their locks, have let go of it.
    let _earlier = shield.turn_to(context.waker());
    let mut context = Context::from_waker(shield.waker());
    let is_told = |listener: &mut Listener| Pin::new(listener).poll(&mut context).is_ready();
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

/// A waker whose panics end here. It is made when there is something to wait for.
#[derive(Default)]
struct Shield {
    /// The waker of the task, and the waker that is registered in its place.
    wakers: Option<(Waker, Waker)>,
}

impl Shield {
    /// Covers the waker of the task. Returns the wakers that it no longer needs.
    #[must_use]
    fn turn_to(&mut self, waker: &Waker) -> Option<(Waker, Waker)> {
        if self.wakers.as_ref().is_some_and(|(task, _)| task.will_wake(waker)) {
            return None;
        }
        self.wakers.replace((waker.clone(), Shielded::over(waker.clone())))
    }

    /// Returns the waker to register.
    fn waker(&self) -> &Waker {
        &self.wakers.as_ref().expect("it covers a waker").1
    }
}

impl fmt::Debug for Shield {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Shield").field(&self.wakers.is_some()).finish()
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

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

    /// A waker that polls another waiter of the same event, and drops it.
    struct Reentrant(Mutex<Option<(Arc<Event>, Told)>>);

    impl Wake for Reentrant {
        fn wake(self: Arc<Self>) {
            let inner = self.0.lock().expect("no panic").take();
            let (event, mut other) = inner.expect("woken once");
            // Each of these takes the lock of the list of waiters.
            let is_told = Pin::new(&mut other).poll(&mut Context::from_waker(Waker::noop()));
            assert!(is_told.is_ready(), "both waiters were notified");
            drop(listen([&event]));
            event.notify(usize::MAX);
        }
    }

    /// A waker ran while the lock of the list of waiters was held: it deadlocked as soon as it
    /// listened to the event, or dropped a future that did.
    #[test]
    fn a_waker_may_use_the_event_that_wakes_it() {
        let event = Arc::new(Event::new());
        let mut first = pin!(listen([&event]));
        let second = listen([&event]);
        let waker = Arc::new(Reentrant(Mutex::new(Some((Arc::clone(&event), second)))));
        let polled = first.as_mut().poll(&mut Context::from_waker(&Waker::from(waker.clone())));
        assert!(polled.is_pending());
        event.notify(usize::MAX);
        assert!(waker.0.lock().expect("no panic").is_none(), "the waker has run");
        assert!(first.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    /// A listener that is dropped passes its notification on, and runs that waker unlocked, too.
    #[test]
    fn a_waker_may_use_the_event_of_a_dropped_waiter() {
        let event = Arc::new(Event::new());
        let first = listen([&event]);
        let mut second = pin!(listen([&event]));
        let third = listen([&event]);
        let waker = Arc::new(Reentrant(Mutex::new(Some((Arc::clone(&event), third)))));
        let polled = second.as_mut().poll(&mut Context::from_waker(&Waker::from(waker.clone())));
        assert!(polled.is_pending());
        event.notify(1);
        // The third waiter is told by the drop of a fourth.
        let fourth = listen([&event]);
        drop(first);
        drop(fourth);
        assert!(waker.0.lock().expect("no panic").is_none(), "the waker has run");
    }
}
