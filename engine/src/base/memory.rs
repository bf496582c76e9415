//! Large zeroed memory as a slice of atomic words: the index table and the log's page frames.
//!
//! It is reserved from the kernel at once, and resident only where touched. A reservation counts
//! only as address space, however large it is. It is aligned to huge pages and advises the kernel
//! to use them, since both users read it at random. Other files access the words with safe code,
//! except to view final words as bytes ([`as_bytes`]).
#![expect(unsafe_code, reason = "mapping memory and viewing it as words")]

use kvick_io::sync::atomic::AtomicU64;
use std::ops::{Deref, Range};

/// The code writes records as little-endian words and reads them back as bytes.
#[cfg(not(target_endian = "little"))]
compile_error!("kvick keeps its log in little-endian words; big-endian machines are not supported");

/// The bytes of a huge page, on processors that have them.
#[cfg(all(unix, not(any(loom, shuttle, miri))))]
const HUGE_PAGE: usize = 2 << 20;

/// Whether a reservation takes no memory before it is touched. The memory of model checkers, and
/// of systems without `mmap`, is allocated at once.
pub(crate) const RESERVES_LAZILY: bool = cfg!(all(unix, not(any(loom, shuttle, miri))));

/// Zero-initialised atomic words that never move.
#[derive(Debug)]
pub(crate) struct WordMemory {
    #[cfg(all(unix, not(any(loom, shuttle, miri))))]
    mapping: Mapping,
    #[cfg(not(all(unix, not(any(loom, shuttle, miri)))))]
    words: Box<[AtomicU64]>,
}

#[cfg(all(unix, not(any(loom, shuttle, miri))))]
#[derive(Debug)]
struct Mapping {
    base: *mut std::ffi::c_void,
    bytes: usize,
    first: *const AtomicU64,
    words: usize,
}

// SAFETY: the mapping is owned by this value and its words are atomic.
#[cfg(all(unix, not(any(loom, shuttle, miri))))]
unsafe impl Send for Mapping {}
// SAFETY: shared access reaches atomic words only.
#[cfg(all(unix, not(any(loom, shuttle, miri))))]
unsafe impl Sync for Mapping {}

#[cfg(all(unix, not(any(loom, shuttle, miri))))]
impl WordMemory {
    /// Reserves `words` zero words.
    pub(crate) fn zeroed(words: usize, huge_pages: bool) -> std::io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        assert!(words > 0, "memory of something");
        let wanted = words * size_of::<AtomicU64>();
        // The slack aligns the words to a huge page, if the memory is large enough to hold one.
        let slack = if wanted >= HUGE_PAGE { HUGE_PAGE } else { 0 };
        let bytes = wanted + slack;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // Most of a large reservation is never touched, so the kernel need not promise it.
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a fresh anonymous mapping at an address that the kernel chooses overlaps nothing.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, flags) }?;
        let padding = if slack == 0 { 0 } else { base.align_offset(HUGE_PAGE) };
        debug_assert!(padding <= slack);
        if huge_pages && slack > 0 {
            advise_huge_pages(base, bytes);
        }
        // SAFETY: `padding + wanted <= bytes`, so the result is within the mapping.
        let first = unsafe { base.byte_add(padding) }.cast::<AtomicU64>().cast_const();
        Ok(Self { mapping: Mapping { base, bytes, first, words } })
    }
}

/// Asks for huge pages in a mapping of this file, from `base` on.
#[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
fn advise_huge_pages(base: *mut std::ffi::c_void, bytes: usize) {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the caller owns the mapping; the advice changes no contents.
    let advised = unsafe { madvise(base, bytes, Advice::LinuxHugepage) };
    if let Err(error) = advised {
        tracing::debug!(%error, "no huge pages");
    }
}

#[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
impl WordMemory {
    /// Stores zero in every word of `range` by returning its memory to the system. Returns whether
    /// it did; nothing has changed if not.
    pub(crate) fn discard(&self, range: Range<usize>) -> bool {
        use rustix::mm::{Advice, madvise};
        let Some((start, bytes)) = self.system_pages(range) else {
            return false;
        };
        // SAFETY: the range is within the mapping of `self`. The pages of a private anonymous
        // mapping are zero afterwards, as after atomic stores of zero: each is replaced at once.
        let discarded = unsafe { madvise(start, bytes, Advice::LinuxDontNeed) };
        if let Err(error) = discarded {
            // Locked memory stays.
            tracing::debug!(%error, "memory is not returned to the system");
        }
        discarded.is_ok()
    }

    /// Makes the system allocate the memory of `range` and returns whether it did. No word changes.
    pub(crate) fn populate(&self, range: Range<usize>) -> bool {
        use rustix::mm::{Advice, madvise};
        let Some((start, bytes)) = self.system_pages(range) else {
            return false;
        };
        // SAFETY: the range is within the mapping of `self`; the advice changes no contents.
        unsafe { madvise(start, bytes, Advice::LinuxPopulateWrite) }.is_ok()
    }

    /// Returns the start and the bytes of `range` if it consists of whole pages of the system. The
    /// system would extend any other range.
    fn system_pages(&self, range: Range<usize>) -> Option<(*mut std::ffi::c_void, usize)> {
        let words = &self[range];
        let (start, bytes) = (words.as_ptr().cast_mut(), size_of_val(words));
        let page = rustix::param::page_size();
        let is_whole = start.addr().is_multiple_of(page) && bytes.is_multiple_of(page);
        (is_whole && bytes > 0).then_some((start.cast(), bytes))
    }
}

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle, miri)))))]
impl WordMemory {
    /// Returns false: memory is not returned to the system.
    pub(crate) fn discard(&self, range: Range<usize>) -> bool {
        debug_assert!(range.end <= self.len(), "a range of this memory");
        false
    }

    /// Returns false: the memory is there, or each page is allocated when it is touched.
    pub(crate) fn populate(&self, range: Range<usize>) -> bool {
        debug_assert!(range.end <= self.len(), "a range of this memory");
        false
    }
}

/// Does nothing: other systems use huge pages by their own rules.
#[cfg(all(unix, not(any(target_os = "linux", loom, shuttle, miri))))]
fn advise_huge_pages(_base: *mut std::ffi::c_void, _bytes: usize) {}

#[cfg(not(all(unix, not(any(loom, shuttle, miri)))))]
impl WordMemory {
    /// Reserves `words` zero words.
    pub(crate) fn zeroed(words: usize, _huge_pages: bool) -> std::io::Result<Self> {
        Ok(Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() })
    }
}

#[cfg(all(unix, not(any(loom, shuttle, miri))))]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `zeroed` mapped `base` and `bytes`, and no borrow outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.base, self.bytes) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

impl Deref for WordMemory {
    type Target = [AtomicU64];

    #[inline(always)]
    #[cfg(all(unix, not(any(loom, shuttle, miri))))]
    fn deref(&self) -> &[AtomicU64] {
        let mapping = &self.mapping;
        // SAFETY: `first` is aligned and valid for `words` words for as long as `self` lives
        // (`zeroed`). Zero bytes are valid atomics, and all writes go through atomics.
        unsafe { std::slice::from_raw_parts(mapping.first, mapping.words) }
    }

    #[cfg(not(all(unix, not(any(loom, shuttle, miri)))))]
    fn deref(&self) -> &[AtomicU64] {
        &self.words
    }
}

/// Prefetches the cache line of `word`.
#[inline(always)]
pub(crate) fn prefetch(word: &AtomicU64) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is a hint and never faults; SSE is part of x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
    let _ = word;
}

/// Returns a view of final words as bytes, in their stored form: little endian.
///
/// # Safety
/// No word of `words` may be written while the result lives.
#[cfg(not(any(loom, shuttle)))]
pub(crate) unsafe fn as_bytes(words: &[AtomicU64]) -> &[u8] {
    let start = words.as_ptr().cast::<u8>();
    // SAFETY: the words are valid for reads for the lifetime of the borrow, and any byte is a valid
    // u8. The caller promises that no thread writes them.
    unsafe { std::slice::from_raw_parts(start, size_of_val(words)) }
}

/// Copies the words and leaks the copy: the atomics of a model checker are not plain memory. A
/// model of a few pages can afford this.
///
/// # Safety
/// As for the function that it replaces.
#[cfg(any(loom, shuttle))]
pub(crate) unsafe fn as_bytes(words: &[AtomicU64]) -> &[u8] {
    use kvick_io::sync::atomic::Ordering;
    let bytes = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
    Box::leak(bytes.collect::<Vec<u8>>().into_boxed_slice())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn is_zero_and_keeps_what_is_stored() {
        for words in [1, 8, 1 << 19] {
            let memory = WordMemory::zeroed(words, true).expect("memory");
            assert_eq!(memory.len(), words);
            assert_eq!(memory[words - 1].load(Ordering::Relaxed), 0);
            memory[words - 1].store(7, Ordering::Relaxed);
            prefetch(&memory[words - 1]);
            assert_eq!(memory[words - 1].load(Ordering::Relaxed), 7);
        }
    }

    #[test]
    fn what_is_discarded_is_zero_and_nothing_else() {
        // Whole pages of any system.
        let words = 3 << 13;
        let memory = WordMemory::zeroed(words, false).expect("memory");
        memory.iter().for_each(|word| word.store(7, Ordering::Relaxed));
        let (start, end) = (words / 3, 2 * words / 3);
        assert!(!memory.discard(start + 1..end), "a part of a page stays");
        assert!(!memory.discard(start..start), "no page");
        let is_discarded = memory.discard(start..end);
        assert_eq!(is_discarded, cfg!(all(target_os = "linux", not(any(shuttle, miri)))));
        memory.populate(start..end);
        for (at, word) in memory.iter().enumerate() {
            let is_kept = !is_discarded || !(start..end).contains(&at);
            assert_eq!(word.load(Ordering::Relaxed), if is_kept { 7 } else { 0 }, "word {at}");
        }
    }
}
