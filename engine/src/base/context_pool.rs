//! A few resources for all tasks; one task at a time uses a resource, for one poll.
//!
//! Nothing here blocks. A closure of a user may run while its operation has a stripe. It may take
//! any time, or begin another operation. So an operation that finds no free stripe makes a new
//! resource for itself. As no task ever waits for a lock, its release is a plain store.

use crossbeam_utils::CachePadded;
use spin::mutex::SpinMutex;
use std::fmt;

/// A few equal resources, each under a lock that is nearly never contended.
pub(crate) struct ContextPool<T> {
    // Fixed after creation.
    make: Box<dyn Fn() -> T + Send + Sync>,
    // Each under its lock.
    stripes: Box<[CachePadded<SpinMutex<T>>]>,
}

impl<T> ContextPool<T> {
    pub(crate) fn new(count: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        assert!(count.is_power_of_two());
        let stripes = (0..count).map(|_| CachePadded::new(SpinMutex::new(make()))).collect();
        Self { make: Box::new(make), stripes }
    }

    /// Runs `body` with a resource that no other task uses meanwhile. It is one of the stripes, or
    /// a new one if all stripes are in use: by other threads or by nested calls.
    #[inline]
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let hint = self.hint();
        for turn in 0..self.stripes.len() {
            let stripe = &self.stripes[(hint + turn) & (self.stripes.len() - 1)];
            // A closure of a user may panic in here. The lock is then free, and the resource sound.
            if let Some(mut held) = stripe.try_lock() {
                return body(&mut held);
            }
        }
        self.with_another(body)
    }

    #[cold]
    #[inline(never)]
    fn with_another<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        body(&mut (self.make)())
    }

    /// Returns the stripe at which a thread starts its search, from the address of its thread-local
    /// memory.
    #[inline]
    fn hint(&self) -> usize {
        thread_local!(static PLACE: u8 = const { 0 });
        let place = PLACE.with(|place| std::ptr::from_ref(place).addr()) >> 12;
        // The low bits of such addresses are alike; multiplication spreads the other bits.
        place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (self.stripes.len() - 1)
    }
}

impl<T> fmt::Debug for ContextPool<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stripes = self.stripes.len();
        formatter.debug_struct("ContextPool").field("stripes", &stripes).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static MADE: AtomicUsize = AtomicUsize::new(0);

    /// Uses a stripe within the use of another, `depth` times.
    fn nest(stripes: &ContextPool<u32>, depth: u32) {
        if depth > 0 {
            stripes.with(|mark| {
                assert_eq!(std::mem::replace(mark, depth), 0, "in use");
                nest(stripes, depth - 1);
                *mark = 0;
            });
        }
    }

    #[test]
    fn calls_within_calls_have_one_each_and_never_wait() {
        let stripes = ContextPool::new(4, || {
            // Relaxed: one thread.
            MADE.fetch_add(1, Ordering::Relaxed);
            0
        });
        nest(&stripes, 4);
        assert_eq!(MADE.load(Ordering::Relaxed), 4);
        nest(&stripes, 10);
        assert_eq!(MADE.load(Ordering::Relaxed), 10, "six for the calls beyond the stripes");
    }
}
