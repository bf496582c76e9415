//! An allocator that counts, for tests that limit allocations.
//!
//! A test program installs it: `#[global_allocator] static COUNTING: Counting = Counting;`. Each
//! thread counts for itself, so allocations of background threads do not disturb.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system allocator with counters for each thread.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    // LIVE has the bytes that this thread allocated, less the bytes that it freed. PEAK has its
    // maximum.
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the allocator of the system as it came; counting allocates
// nothing, since the counter needs neither initialisation nor a destructor.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller promises what `System::alloc` asks.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _counted = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        note_live(bytes(layout));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller promises what `System::dealloc` asks.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note_live(-bytes(layout));
        // SAFETY: the caller's promise; `pointer` came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn bytes(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

fn note_live(change: i64) {
    // A thread that is ending has no counters any more.
    let _counted = LIVE.try_with(|live| {
        live.set(live.get() + change);
        PEAK.try_with(|peak| peak.set(peak.get().max(live.get())))
    });
}

/// Runs `body`. Returns the maximum by which the live bytes of this thread exceeded those before.
/// The maximum is 0 unless [`Counting`] is the allocator of the program.
pub fn peak<R>(body: impl FnOnce() -> R) -> (R, u64) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = body();
    (result, PEAK.get().abs_diff(before))
}

/// Runs `body`. Returns also the number of allocations of this thread meanwhile. The number is 0
/// unless [`Counting`] is the allocator of the program.
pub fn counted<R>(body: impl FnOnce() -> R) -> (R, u64) {
    let before = ALLOCATIONS.get();
    let result = body();
    (result, ALLOCATIONS.get() - before)
}
