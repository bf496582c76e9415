//! Locks of keys, for the order of their entries in the write-ahead log.
//!
//! Keys share a lock if the low bits of their hashes agree. A thread holds at most one, or those of
//! a batch, which it locks in ascending order. So threads do not wait for each other in a circle. A
//! thread neither waits for a task nor runs code of the user meanwhile, except wakers of drivers.

use crate::base::hash::KeyHash;
use crate::base::weak_spot;
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// The number of locks. Few threads change keys at once.
const COUNT: usize = if cfg!(loom) { 3 } else { 1024 };

/// The locks. They guard no memory of their own: another thread may have had the last change of a
/// stripe, and every line that belongs to it would come from the other core.
#[derive(Debug)]
pub(super) struct Stripes(Box<[Mutex<()>]>);

/// A locked stripe.
#[must_use]
pub(in crate::store) struct Stripe<'s> {
    _lock: MutexGuard<'s, ()>,
}

impl Stripes {
    pub(super) fn new() -> Self {
        Self((0..COUNT).map(|_stripe| Mutex::new(())).collect())
    }

    /// Locks the stripe of a key.
    pub(super) fn lock(&self, hash: KeyHash) -> Stripe<'_> {
        if weak_spot::is_logged_without_stripe()
            && let Some(_lock) = self.0.iter().find_map(|stripe| stripe.try_lock().ok())
        {
            return Stripe { _lock };
        }
        self.lock_at(stripe_of(hash))
    }

    /// Locks the stripes at these places, which ascend.
    pub(super) fn lock_all(&self, places: &[usize]) -> Vec<Stripe<'_>> {
        debug_assert!(places.is_sorted_by(|one, next| one < next), "all lock in one order");
        places.iter().map(|place| self.lock_at(*place)).collect()
    }

    fn lock_at(&self, place: usize) -> Stripe<'_> {
        // A writer that panicked has left nothing in it.
        Stripe { _lock: self.0[place].lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// Returns the places of the stripes of keys, each once and in the order of their locks.
pub(in crate::store) fn stripes_of(keys: impl Iterator<Item = KeyHash>) -> Vec<usize> {
    let mut places: Vec<usize> = keys.map(stripe_of).collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn stripe_of(hash: KeyHash) -> usize {
    usize::try_from(hash.bits() % COUNT as u64).expect("few stripes")
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::{sync::Arc, thread};

    const ZERO: KeyHash = KeyHash::from_bits(0);
    const ONE: KeyHash = KeyHash::from_bits(1);
    const TWO: KeyHash = KeyHash::from_bits(2);

    /// Runs batches of these keys, each in a thread, beside single changes.
    fn changes_end(batches: [[KeyHash; 2]; 2], lock: fn(&Stripes, [KeyHash; 2])) {
        loom::model(move || {
            let stripes = Arc::new(Stripes::new());
            let threads = batches.map(|keys| {
                let stripes = Arc::clone(&stripes);
                thread::spawn(move || lock(&stripes, keys))
            });
            drop(stripes.lock(ONE));
            drop(stripes.lock(ZERO));
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
    }

    #[test]
    fn loom_batches_end_beside_each_other_and_single_changes() {
        let lock = |stripes: &Stripes, keys: [KeyHash; 2]| {
            assert_eq!(stripes.lock_all(&stripes_of(keys.into_iter())).len(), 2);
        };
        changes_end([[ZERO, ONE], [ONE, ZERO]], lock);
        changes_end([[ZERO, TWO], [TWO, ONE]], lock);
    }
}
