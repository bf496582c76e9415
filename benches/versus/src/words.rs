//! Zeroed words in huge pages, and prefetching, which the bare probe needs and safe Rust lacks.

use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

/// Returns zeroed words, in huge pages if the system has them. They stay until the process ends.
pub fn huge_words(count: usize) -> &'static [AtomicU64] {
    let bytes = count * size_of::<AtomicU64>();
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh private mapping at an address of the kernel's choice overlaps nothing.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, MapFlags::PRIVATE) }
        .expect("memory for the bare probe");
    // SAFETY: the range is exactly the mapping made above; the advice changes no contents.
    let advised = unsafe { madvise(start, bytes, Advice::LinuxHugepage) };
    if let Err(error) = advised {
        eprintln!("bare probe without huge pages: {error}");
    }
    // SAFETY: the mapping is zeroed, page-aligned, `count` words long, never unmapped, and from
    // here on reached only through this slice of atomics.
    unsafe { slice::from_raw_parts(start.cast::<AtomicU64>(), count) }
}

/// Prefetches the cache line of `word`.
#[inline]
pub fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching has no effect on memory, and the address is that of a live word.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(word).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}
