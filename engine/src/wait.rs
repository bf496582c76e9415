//! Waiting for a condition that others bring about: listen, look, wait.
//!
//! A notification tells only those who listened before it was given, so the order is the whole
//! point: whoever looks first and listens then misses what happens in between, and waits for ever
//! if it was the last notification (closing and poisoning are told once). [`wait_until`] and
//! [`wait_either`] have that order; nothing else in the engine calls `listen`, except what waits
//! for something besides events, and looks once more after it has listened.

use event_listener::Event;
use futures::future::select;

/// Waits until `look` finds something, looking again after each notification of `event`.
///
/// # Cancel safety
/// Nothing is lost: a later call looks at once.
pub(crate) async fn wait_until<T>(event: &Event, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        let told = event.listen();
        if let Some(found) = look() {
            return found;
        }
        told.await;
    }
}

/// As [`wait_until`], with two events either of which may tell.
///
/// # Cancel safety
/// As [`wait_until`].
pub(crate) async fn wait_either<T>(
    [one, other]: [&Event; 2],
    mut look: impl FnMut() -> Option<T>,
) -> T {
    loop {
        let told = select(one.listen(), other.listen());
        if let Some(found) = look() {
            return found;
        }
        told.await;
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A timed checkpoint looked whether the store was open, found it closed in the meantime, and
    /// then listened for a change that had been told already: `close` never returned.
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
    fn either_event_is_enough() {
        for which in 0..2 {
            let events = [Event::new(), Event::new()];
            let looks = Cell::new(0);
            let found = kvick_runtime::block_on(wait_either([&events[0], &events[1]], || {
                looks.set(looks.get() + 1);
                events[which].notify(usize::MAX);
                (looks.get() == 2).then_some(which)
            }));
            assert_eq!(found, which);
        }
    }
}
