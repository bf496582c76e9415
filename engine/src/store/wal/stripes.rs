//! Locks of keys, for the order of their entries in the write-ahead log.
//!
//! Keys share a lock if the low bits of their hashes agree. A thread holds at most one, and neither
//! waits for a task nor runs code of the user meanwhile.

use crate::base::hash::KeyHash;
use crate::base::weak_spot;
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// The number of locks. Few threads change keys at once.
const COUNT: usize = 1024;
/// The bytes that a buffer keeps from one entry to the next.
const KEPT: usize = 512;

/// The locks, each with the buffer in which an entry is encoded.
#[derive(Debug)]
pub(super) struct Stripes(Box<[Mutex<Vec<u8>>]>);

/// A locked stripe, with an empty buffer.
pub(super) struct Stripe<'s>(MutexGuard<'s, Vec<u8>>);

impl Stripes {
    pub(super) fn new() -> Self {
        Self((0..COUNT).map(|_stripe| Mutex::new(Vec::new())).collect())
    }

    /// Locks the stripe of a key.
    pub(super) fn lock(&self, hash: KeyHash) -> Stripe<'_> {
        let place = usize::try_from(hash.bits() % COUNT as u64).expect("few stripes");
        if weak_spot::is_logged_without_stripe()
            && let Some(other) = self.0.iter().find_map(|stripe| stripe.try_lock().ok())
        {
            return Stripe::begin(other);
        }
        // The buffer of a writer that panicked is encoded anew.
        Stripe::begin(self.0[place].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<'s> Stripe<'s> {
    fn begin(mut buffer: MutexGuard<'s, Vec<u8>>) -> Self {
        buffer.clear();
        Self(buffer)
    }

    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Stripe<'_> {
    fn drop(&mut self) {
        if self.0.capacity() > KEPT {
            *self.0 = Vec::new();
        }
    }
}
