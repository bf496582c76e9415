//! An allocator that counts, for tests of what allocates nothing, or no more than so much.
//!
//! A test program makes it its own: `#[global_allocator] static COUNTING: Counting = Counting;`.
//! Each thread counts for itself, so what background threads allocate does not disturb.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator of the system, and a count for each thread.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    // Bytes of this thread's allocations less those that it freed, and the most that there were.
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

/// Runs `body`; gives by how many bytes this thread's allocations were more meanwhile than before,
/// at the most. Always 0 unless [`Counting`] is the allocator of the program.
pub fn peak<R>(body: impl FnOnce() -> R) -> (R, u64) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = body();
    (result, PEAK.get().abs_diff(before))
}

/// Runs `body`; gives how often this thread allocated meanwhile, too. Always 0 unless [`Counting`]
/// is the allocator of the program.
pub fn counted<R>(body: impl FnOnce() -> R) -> (R, u64) {
    let before = ALLOCATIONS.get();
    let result = body();
    (result, ALLOCATIONS.get() - before)
}
