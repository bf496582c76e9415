//! A few resources for all tasks; one task at a time uses a resource, for one poll.
//!
//! The first 64 threads of the process that use any pool have a resource of their own in each, so
//! that a use takes no locked instruction. When one ends, a new thread follows it. Other threads,
//! and calls within calls, share a few *stripes*. So does a destructor of thread-local memory in a
//! thread that ends.
//!
//! Nothing here blocks. A closure of a user may run while its operation has a resource. It may take
//! any time, or begin another operation. So an operation that finds no free stripe makes a new
//! resource for itself. As no task ever waits for a lock, its release is a plain store.

// The threads of model checkers have no memory of their own.
#[cfg(not(any(loom, shuttle)))]
mod own;
#[cfg(not(any(loom, shuttle)))]
mod thread_number;

use crossbeam_utils::CachePadded;
use spin::mutex::SpinMutex;
use std::fmt;

/// A few equal resources, each for a thread or under a lock that is nearly never contended.
pub(crate) struct ContextPool<T: Send> {
    // Fixed after creation.
    make: Box<dyn Fn() -> T + Send + Sync>,
    // Each used by the thread with its number.
    #[cfg(not(any(loom, shuttle)))]
    own: own::OwnContexts<T>,
    // Each under its lock.
    stripes: Box<[CachePadded<SpinMutex<T>>]>,
}

impl<T: Send> ContextPool<T> {
    /// Creates a pool of `count` stripes.
    pub(crate) fn new(count: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        assert!(count.is_power_of_two());
        let stripes = (0..count).map(|_| CachePadded::new(SpinMutex::new(make()))).collect();
        Self {
            make: Box::new(make),
            #[cfg(not(any(loom, shuttle)))]
            own: own::OwnContexts::new(),
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

impl<T: Send> fmt::Debug for ContextPool<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stripes = self.stripes.len();
        formatter.debug_struct("ContextPool").field("stripes", &stripes).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::thread_number::{NUMBERS, NUMBERS_FOR_A_TEST, ThreadNumber};
    use super::*;
    use std::cell::RefCell;
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
        assert_eq!(MADE.load(Ordering::Relaxed), 5, "one beside the stripes");
        nest(&stripes, 11);
        let made = MADE.load(Ordering::Relaxed) - 5;
        // The other tests have threads, too.
        let has_own = ThreadNumber::get().is_some();
        assert_eq!(made, if has_own { 6 } else { 7 }, "for the calls beyond the stripes");
    }

    #[test]
    fn threads_at_the_same_time_use_one_each() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        // Relaxed: the joined threads order the counts.
        let pool = ContextPool::new(2, move || counted.fetch_add(1, Ordering::Relaxed));
        let all_are_within = Barrier::new(6);
        let mut used = thread::scope(|scope| {
            let enter = || pool.with(|context| (all_are_within.wait(), *context).1);
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 6);
        // Two stripes, and one for each thread that has a number or found both in use.
        assert!((6..=8).contains(&made.load(Ordering::Relaxed)));
    }

    /// A thread has one resource for as long as it lives, and the next threads have it after that.
    #[test]
    fn threads_after_each_other_use_one() {
        let _numbers = NUMBERS_FOR_A_TEST.lock().expect("no other test failed");
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let pool = Arc::new(ContextPool::new(64, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            0_u32
        }));
        for _ in 0..1000 {
            let pool = Arc::clone(&pool);
            let uses = move || (0..3).for_each(|_| pool.with(|uses| *uses += 1));
            thread::scope(|scope| scope.spawn(uses).join().expect("no panic"));
        }
        // Threads of other tests have some of the numbers, in turn.
        let made = made.load(Ordering::Relaxed) - 64;
        assert!((1..=NUMBERS).contains(&made), "{made} for a thread at a time");
    }

    /// Uses a pool when its thread ends.
    struct UsesAtEnd(RefCell<Option<Arc<ContextPool<u32>>>>);

    impl Drop for UsesAtEnd {
        fn drop(&mut self) {
            self.0.take().expect("it was set").with(|uses| *uses += 1);
        }
    }

    /// The threads' numbers were those of a crate that panics when it is asked by a destructor that
    /// runs after its own: the process was aborted.
    #[test]
    fn destructors_of_a_thread_use_the_stripes() {
        thread_local! {
            static BEFORE: UsesAtEnd = const { UsesAtEnd(RefCell::new(None)) };
            static AFTER: UsesAtEnd = const { UsesAtEnd(RefCell::new(None)) };
        }
        let pool = Arc::new(ContextPool::new(1, || 0));
        let set = |local: &'static thread::LocalKey<UsesAtEnd>, pool: &Arc<ContextPool<u32>>| {
            local.with(|uses| uses.0.replace(Some(Arc::clone(pool))));
        };
        let ending = thread::Builder::new().spawn({
            let pool = Arc::clone(&pool);
            move || {
                set(&BEFORE, &pool);
                pool.with(|uses| *uses += 1);
                set(&AFTER, &pool);
            }
        });
        ending.expect("a thread").join().expect("no panic");
        // The only strong reference that is left: both destructors have run.
        let pool = Arc::into_inner(pool).expect("the thread has ended");
        let uses = pool.stripes[0].lock();
        assert!((1..=3).contains(&*uses), "{uses} uses of the stripe");
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
