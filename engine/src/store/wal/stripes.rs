//! Locks of keys, for the order of their entries in the write-ahead log.
//!
//! Keys share a lock if the low bits of their hashes agree. A thread holds at most one, and neither
//! waits for a task nor runs code of the user meanwhile. A batch *holds* the stripes of its keys
//! for longer, without a lock: their other writers wait as futures.

use crate::base::hash::KeyHash;
use crate::base::wait::wait_until;
use crate::base::weak_spot;
use event_listener::Event;
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// The number of locks. Few threads change keys at once.
const COUNT: usize = 1024;
/// The bytes that a buffer keeps from one entry to the next.
const KEPT: usize = 512;

/// The locks.
#[derive(Debug)]
pub(super) struct Stripes {
    stripes: Box<[Mutex<State>]>,
    /// Notified when batches release keys.
    released: Event,
}

#[derive(Debug, Default)]
struct State {
    /// The buffer in which an entry is encoded.
    buffer: Vec<u8>,
    /// Whether a batch holds a key of this stripe.
    is_held: bool,
}

/// A locked stripe, with an empty buffer.
pub(super) struct Stripe<'s>(MutexGuard<'s, State>);

impl Stripes {
    pub(super) fn new() -> Self {
        let stripes = (0..COUNT).map(|_stripe| Mutex::default()).collect();
        Self { stripes, released: Event::new() }
    }

    /// Returns the number of the stripe of a key.
    pub(super) fn stripe_of(hash: KeyHash) -> usize {
        usize::try_from(hash.bits() % COUNT as u64).expect("few stripes")
    }

    /// Locks the stripe of a key. Returns `None` if a batch holds it.
    pub(super) fn lock(&self, hash: KeyHash) -> Option<Stripe<'_>> {
        if weak_spot::is_logged_without_stripe()
            && let Some(other) = self.stripes.iter().find_map(|stripe| stripe.try_lock().ok())
        {
            return Some(Stripe::begin(other));
        }
        let state = self.state(Self::stripe_of(hash));
        (!state.is_held).then(|| Stripe::begin(state))
    }

    /// Holds a stripe for a batch, unless another batch does.
    pub(super) fn try_hold(&self, stripe: usize) -> bool {
        let mut state = self.state(stripe);
        !std::mem::replace(&mut state.is_held, true)
    }

    /// Releases stripes that a batch has held.
    pub(super) fn release(&self, stripes: &[usize]) {
        for stripe in stripes {
            self.state(*stripe).is_held = false;
        }
        self.released.notify(usize::MAX);
    }

    /// Waits until no batch holds the stripe of a key.
    pub(super) async fn released(&self, hash: KeyHash) {
        let stripe = Self::stripe_of(hash);
        wait_until(&self.released, || (!self.state(stripe).is_held).then_some(())).await;
    }

    fn state(&self, stripe: usize) -> MutexGuard<'_, State> {
        // The buffer of a writer that panicked is encoded anew.
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'s> Stripe<'s> {
    fn begin(mut state: MutexGuard<'s, State>) -> Self {
        state.buffer.clear();
        Self(state)
    }

    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0.buffer
    }
}

impl Drop for Stripe<'_> {
    fn drop(&mut self) {
        if self.0.buffer.capacity() > KEPT {
            self.0.buffer = Vec::new();
        }
    }
}
