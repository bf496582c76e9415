//! A few resources for all tasks; one task at a time uses a resource, for one poll.
//!
//! Each of the first threads has a resource of its own, so that a use takes no locked instruction.
//! Other threads, and calls within calls, share a few *stripes*.
//!
//! Nothing here blocks. A closure of a user may run while its operation has a resource. It may take
//! any time, or begin another operation. So an operation that finds no free stripe makes a new
//! resource for itself. As no task ever waits for a lock, its release is a plain store.

use crossbeam_utils::CachePadded;
use spin::mutex::SpinMutex;
use std::fmt;

/// A few equal resources, each for a thread or under a lock that is nearly never contended.
pub(crate) struct ContextPool<T: Send> {
    // Fixed after creation.
    make: Box<dyn Fn() -> T + Send + Sync>,
    // Each used by its thread.
    #[cfg(not(any(loom, shuttle)))]
    own: own::OwnContexts<T>,
    // Each under its lock.
    stripes: Box<[CachePadded<SpinMutex<T>>]>,
}

impl<T: Send> ContextPool<T> {
    /// Creates a pool of `count` stripes, for as many threads beside them.
    pub(crate) fn new(count: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        assert!(count.is_power_of_two());
        let stripes = (0..count).map(|_| CachePadded::new(SpinMutex::new(make()))).collect();
        Self {
            make: Box::new(make),
            #[cfg(not(any(loom, shuttle)))]
            own: own::OwnContexts::new(count),
            stripes,
        }
    }

    /// Runs `body` with a resource that no other task uses meanwhile: that of this thread, one of
    /// the stripes, or a new one if all stripes are in use.
    #[inline]
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(not(any(loom, shuttle)))]
        if let Some(mut own) = self.own.get() {
            return body(&mut own);
        }
        self.with_shared(body)
    }

    /// Runs `body` with a resource for a thread that has none, or is using it.
    #[cold]
    #[inline(never)]
    fn with_shared<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(not(any(loom, shuttle)))]
        if let Some(mut own) = self.own.make(&self.make) {
            return body(&mut own);
        }
        let hint = self.hint();
        for turn in 0..self.stripes.len() {
            let stripe = &self.stripes[(hint + turn) & (self.stripes.len() - 1)];
            // A closure of a user may panic in here. The lock is then free, and the resource sound.
            if let Some(mut held) = stripe.try_lock() {
                return body(&mut held);
            }
        }
        body(&mut (self.make)())
    }

    /// Returns the stripe at which a thread starts its search, from the address of its thread-local
    /// memory.
    fn hint(&self) -> usize {
        thread_local!(static PLACE: u8 = const { 0 });
        let place = PLACE.with(|place| std::ptr::from_ref(place).addr()) >> 12;
        // The low bits of such addresses are alike; multiplication spreads the other bits.
        place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (self.stripes.len() - 1)
    }
}

/// Resources that belong to threads. The threads of model checkers have no memory of their own.
#[cfg(not(any(loom, shuttle)))]
mod own {
    use super::CachePadded;
    use std::cell::{RefCell, RefMut};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use thread_local::ThreadLocal;

    /// One resource for each of the first threads. A later thread may follow an ended one.
    pub(super) struct OwnContexts<T: Send> {
        contexts: ThreadLocal<CachePadded<RefCell<T>>>,
        most: usize,
        // Any thread, atomic.
        made: AtomicUsize,
    }

    impl<T: Send> OwnContexts<T> {
        pub(super) fn new(most: usize) -> Self {
            Self { contexts: ThreadLocal::new(), most, made: AtomicUsize::new(0) }
        }

        /// Returns the resource of this thread, unless it is in use.
        #[inline(always)]
        pub(super) fn get(&self) -> Option<RefMut<'_, T>> {
            self.contexts.get()?.try_borrow_mut().ok()
        }

        /// Makes the resource of this thread, if it has none and is among the first.
        pub(super) fn make(&self, make: impl FnOnce() -> T) -> Option<RefMut<'_, T>> {
            // Relaxed: a count.
            let is_first = |made| (made < self.most).then_some(made + 1);
            if self.contexts.get().is_some()
                || self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_first).is_err()
            {
                return None;
            }
            let own = self.contexts.get_or(|| CachePadded::new(RefCell::new(make())));
            own.try_borrow_mut().ok()
        }
    }
}

impl<T: Send> fmt::Debug for ContextPool<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stripes = self.stripes.len();
        formatter.debug_struct("ContextPool").field("stripes", &stripes).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};
    use std::thread;

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
        nest(&stripes, 5);
        assert_eq!(MADE.load(Ordering::Relaxed), 5, "the thread has one beside the stripes");
        nest(&stripes, 11);
        assert_eq!(MADE.load(Ordering::Relaxed), 11, "six for the calls beyond the stripes");
    }

    #[test]
    fn threads_beyond_the_first_share_the_stripes() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        // Relaxed: the joined threads order the counts.
        let pool = ContextPool::new(2, move || counted.fetch_add(1, Ordering::Relaxed));
        let all_are_within = Barrier::new(4);
        let mut used = thread::scope(|scope| {
            let enter = || pool.with(|context| (all_are_within.wait(), *context).1);
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        used.sort_unstable();
        assert_eq!(used, [0, 1, 2, 3], "two stripes, and two of the first threads");
        assert_eq!(made.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_panic_leaves_the_context_free() {
        let pool = ContextPool::new(1, || 0_u32);
        for _ in 0..3 {
            let panics = || {
                pool.with(|context| {
                    *context += 1;
                    panic!("on purpose")
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        }
        assert_eq!(pool.with(|context| *context), 3, "the same one each time");
    }
}
