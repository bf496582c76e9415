//! Things that one user at a time needs for the length of a poll, a few for everybody.

use crossbeam_utils::CachePadded;
use kvick_io::sync::Mutex;
use std::sync::{PoisonError, TryLockError};

/// A few equal things, each behind a lock that is nearly never contended.
#[derive(Debug)]
pub(crate) struct Stripes<T> {
    stripes: Box<[CachePadded<Mutex<T>>]>,
}

impl<T> Stripes<T> {
    pub(crate) fn new(count: usize, mut make: impl FnMut() -> T) -> Self {
        assert!(count.is_power_of_two());
        Self { stripes: (0..count).map(|_| CachePadded::new(Mutex::new(make()))).collect() }
    }

    /// Runs `body` with one that nobody else uses meanwhile. Held within a poll only, so one is
    /// free unless more threads than there are stripes are in here at this instant.
    #[inline]
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let hint = self.hint();
        for turn in 0..self.stripes.len() {
            let stripe = &self.stripes[(hint + turn) & (self.stripes.len() - 1)];
            match stripe.try_lock() {
                Ok(mut held) => return body(&mut held),
                // A closure of a user panicked in here; what it held is sound.
                Err(TryLockError::Poisoned(held)) => return body(&mut held.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let held = self.stripes[hint].lock();
        body(&mut held.unwrap_or_else(PoisonError::into_inner))
    }

    /// Threads start their search at different stripes: by where their thread-local memory is.
    #[inline]
    fn hint(&self) -> usize {
        thread_local!(static PLACE: u8 = const { 0 });
        let place = PLACE.with(|place| std::ptr::from_ref(place).addr()) >> 12;
        // The low bits of such addresses are alike; multiplication spreads the others.
        place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (self.stripes.len() - 1)
    }
}
