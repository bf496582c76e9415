//! An allocator that counts, for tests of what allocates nothing.
//!
//! A test program makes it its own: `#[global_allocator] static COUNTING: Counting = Counting;`.
//! Each thread counts for itself, so what background threads allocate does not disturb.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator of the system, and a count for each thread.
#[derive(Debug)]
pub struct Counting;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

// SAFETY: everything is passed on to the allocator of the system as it came; counting allocates
// nothing, since the counter needs neither initialisation nor a destructor.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller promises what `System::alloc` asks.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _counted = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller promises what `System::dealloc` asks.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; `pointer` came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `body`; gives how often this thread allocated meanwhile, too. Always 0 unless [`Counting`]
/// is the allocator of the program.
pub fn counted<R>(body: impl FnOnce() -> R) -> (R, u64) {
    let before = ALLOCATIONS.get();
    let result = body();
    (result, ALLOCATIONS.get() - before)
}
