//! Page frames: the memory that holds pages of the log.
//!
//! Frames form a ring of `2^n` frames. It is reserved once, for the largest budget of memory. Page
//! `p` is in frame `p mod 2^n`, so an address in the ring is an address of the log without its
//! upper bits.
//!
//! ```text
//!  ring     | . . . . p p p p p p p f f f . . . . . . . . |
//!                     ^ safe head ^ tail ^ safe head + limit
//!            '.': no memory   'p': a page in memory   'f': free for the next pages
//! ```
//!
//! Only the frames of pages from the safe head on have memory, and only [`limit`](Frames::limit)
//! frames at most. An evicted frame returns its memory, unless the limit is the whole ring: then
//! the frame is needed again soon, and is cleared. To return memory and to get zeroed memory from
//! the system costs about as much as clearing it.
//!
//! A caller that asks for the words of an address is protected and has checked that the address is
//! at or above the head. It keeps neither the words nor the protection across a suspension.

#![expect(unsafe_code, reason = "immutable pages are read as bytes, without a copy")]

use super::limit::FrameLimit;
use crate::base::address::Address;
use crate::base::memory::{WordMemory, as_bytes, prefetch};
use crate::record::{Layout, RecordRef, WORD};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::ops::Range;

/// The frames of one log.
#[derive(Debug)]
pub(crate) struct Frames {
    // Fixed after creation; its words change by the rules of their records.
    words: WordMemory,
    /// The bits of a word number that count in the ring.
    ring_mask: usize,
    page_bits: u32,
    page_words: usize,
    // Any thread, atomic.
    limit: FrameLimit,
}

/// The largest number of frames of a ring.
const MOST_FRAMES: u32 = 1 << 28;
/// The binary logarithm of the smallest page that gets huge pages although other frames have no
/// memory. A huge page of a smaller one reaches into a frame that should have no memory.
const HUGE_FROM: u32 = 21;

impl Frames {
    /// Creates a ring with room for `reserved` frames of `2^page_bits` bytes, each with `capacity`
    /// bytes of records. At most `limit` of them have memory.
    ///
    /// The ring is smaller if the system refuses so much address space.
    pub(crate) fn new(
        page_bits: u32,
        [limit, reserved]: [u32; 2],
        capacity: u64,
        huge_pages: bool,
    ) -> std::io::Result<Self> {
        assert!(reserved <= MOST_FRAMES, "settings are checked");
        let mut ring = reserved.next_power_of_two();
        let words = loop {
            let huge_pages = huge_pages && (ring == limit || page_bits >= HUGE_FROM);
            match reserve(ring, page_bits, huge_pages) {
                Ok(words) => break words,
                Err(error) if ring / 2 >= limit => {
                    ring /= 2;
                    tracing::warn!(%error, "less address space: memory_max is not reached");
                }
                Err(error) => return Err(error),
            }
        };
        let reserved = reserved.min(ring);
        assert!(capacity <= 1 << page_bits, "a frame holds the records of a page: {capacity}");
        let page_words = usize::try_from(capacity).expect("a page fits") / WORD;
        assert!(words.len().is_power_of_two(), "a ring has 2^n words");
        let (ring_mask, limit) = (words.len() - 1, FrameLimit::new(limit, reserved));
        Ok(Self { words, ring_mask, page_bits, page_words, limit })
    }

    /// Returns the record at `address`, with the rest of its page.
    #[inline(always)]
    pub(crate) fn record(&self, address: Address) -> RecordRef<'_> {
        RecordRef::new(self.words_from(address))
    }

    /// Returns the record of this layout at `address`. It ends with the record, and not with its
    /// page, if all records of the layout have the same length. Returns `None` if the ring has no
    /// room for it. Then the record is shorter, and of another layout.
    #[inline(always)]
    pub(crate) fn record_of(&self, layout: Layout, address: Address) -> Option<RecordRef<'_>> {
        // One check of bounds for all fields.
        let words = match layout.fixed_words() {
            Some(words) => {
                let start = self.index(address);
                self.words.get(start..start + words)?
            }
            None => self.words_from(address),
        };
        Some(RecordRef::new(words))
    }

    /// Prefetches the cache line of the record at `address`.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: Address) {
        prefetch(&self.words[self.index(address)]);
    }

    /// Returns the words from `address` to the end of its page.
    #[inline(always)]
    pub(crate) fn words_from(&self, address: Address) -> &[AtomicU64] {
        let start = self.index(address);
        let in_page = start & ((1 << (self.page_bits - WORD.ilog2())) - 1);
        &self.words[start..start - in_page + self.page_words]
    }

    /// Returns the bytes of `[start, start + length)`, which are in one page.
    ///
    /// # Safety
    /// The range is immutable (below the safe read-only address) and its page is not evicted while
    /// the result lives.
    pub(crate) unsafe fn immutable_bytes(&self, start: Address, length: usize) -> &[u8] {
        let words = &self.words_from(start)[..length.div_ceil(WORD)];
        // SAFETY: the caller promises that no thread writes the range.
        let bytes = unsafe { as_bytes(words) };
        &bytes[..length]
    }

    /// Fills the frame of a page from `start` on. No thread reads or writes there yet.
    pub(crate) fn load(&self, start: Address, bytes: &[u8]) {
        debug_assert!(bytes.len().is_multiple_of(WORD), "a page is whole words");
        assert!(
            bytes.len() <= self.words_from(start).len() * WORD,
            "a page takes all of its bytes: {} from {start:?}",
            bytes.len()
        );
        for (word, stored) in self.words_from(start).iter().zip(bytes.chunks_exact(WORD)) {
            let stored = u64::from_le_bytes(stored.try_into().expect("a word has 8 bytes"));
            // Relaxed: the thread that shares the log with other threads afterwards releases it.
            word.store(stored, Ordering::Relaxed);
        }
    }

    /// Makes the system allocate memory for the frame of `page`.
    ///
    /// Otherwise the first writer there would wait for each page of the system. Writers may use the
    /// frame meanwhile, but readers of immutable bytes may not.
    pub(crate) fn touch(&self, page: u64) {
        const SYSTEM_PAGE_WORDS: usize = 4096 / WORD;
        let frame = self.frame(page);
        if self.words.populate(frame.clone()) {
            return;
        }
        for word in self.words[frame].iter().step_by(SYSTEM_PAGE_WORDS) {
            // Relaxed: it adds nothing, and so orders nothing.
            word.fetch_or(0, Ordering::Relaxed);
        }
    }

    /// Zeroes the frames of `pages`, which have left memory, for their next pages. Returns their
    /// memory, unless all frames of the ring may have memory.
    pub(crate) fn clear(&self, pages: Range<u64>) {
        let returns_memory = self.limit.load() < self.ring();
        for part in self.parts(pages) {
            if returns_memory && self.words.discard(part.clone()) {
                continue;
            }
            for word in &self.words[part] {
                // Relaxed: the raise of the safe head that follows releases all of them.
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Returns the memory of the frames of `pages`, which are zero.
    pub(crate) fn release(&self, pages: Range<u64>) {
        for part in self.parts(pages) {
            // A system that does not take it back leaves the frames as they are: zero.
            self.words.discard(part);
        }
    }

    /// Returns the limit of frames with memory.
    pub(crate) fn limit(&self) -> &FrameLimit {
        &self.limit
    }

    /// Returns the number of frames of the ring.
    pub(crate) fn ring(&self) -> u32 {
        u32::try_from(self.words.len() >> (self.page_bits - WORD.ilog2())).expect("bounded")
    }

    /// Returns the limit of frames with memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.limit.load()) << self.page_bits
    }

    /// Returns the words of the frame of `page`.
    fn frame(&self, page: u64) -> Range<usize> {
        let start = self.index(Address::at(page, 0, self.page_bits));
        start..start + (1 << (self.page_bits - WORD.ilog2()))
    }

    /// Returns the words of the frames of `pages`: at most two ranges of the ring.
    fn parts(&self, pages: Range<u64>) -> impl Iterator<Item = Range<usize>> {
        let ring = u64::from(self.ring());
        assert!(pages.end.saturating_sub(pages.start) <= ring, "each frame once: {pages:?}");
        let wrap = pages.start.next_multiple_of(ring).min(pages.end).max(pages.start);
        let parts = [pages.start..wrap, wrap..pages.end];
        let full = parts.into_iter().filter(|part| !part.is_empty());
        full.map(|part| self.frame(part.start).start..self.frame(part.end - 1).end)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "an offset in the ring fits in memory")]
    fn index(&self, address: Address) -> usize {
        debug_assert!(address.raw().is_multiple_of(WORD as u64), "records are aligned");
        (address.raw() >> WORD.ilog2()) as usize & self.ring_mask
    }
}

/// Reserves the words of a ring.
fn reserve(ring: u32, page_bits: u32, huge_pages: bool) -> std::io::Result<WordMemory> {
    let words = u64::from(ring) << (page_bits - WORD.ilog2());
    let words = usize::try_from(words).map_err(std::io::Error::other)?;
    WordMemory::zeroed(words, huge_pages)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn first_words(frames: &Frames) -> Vec<u64> {
        let starts = (0..u64::from(frames.ring())).map(|page| Address::at(page, 0, 12));
        starts.map(|start| frames.words_from(start)[0].load(Ordering::Relaxed)).collect()
    }

    /// The frame was looked up with a page number of only 32 bits. At page 2^32 the tail reached a
    /// frame still in use, unless the number of frames was a power of two.
    #[test]
    fn every_page_has_the_frame_that_follows_the_one_before() {
        for reserved in [2, 3, 8, 9] {
            let frames = Frames::new(12, [2, reserved], 4032, false).expect("memory");
            let ring = u64::from(reserved.next_power_of_two());
            for page in [0, 1, 7, (1 << 32) - 1, 1 << 32, (3 << 32) + 5, (1 << 36) - 1] {
                assert_eq!(frames.frame(page).start as u64, page % ring * 512, "page {page}");
            }
        }
    }

    #[test]
    fn frames_are_cleared_over_the_end_of_the_ring() {
        for limit in [3, 8] {
            let frames = Frames::new(12, [limit, 8], 4032, false).expect("memory");
            for page in 13..20 {
                frames.touch(page);
                frames.load(Address::at(page, 0, 12), &page.to_le_bytes());
            }
            assert_eq!(first_words(&frames), [16, 17, 18, 19, 0, 13, 14, 15]);
            frames.clear(14..14);
            frames.clear(14..18);
            assert_eq!(first_words(&frames), [0, 0, 18, 19, 0, 13, 0, 0], "limit {limit}");
            frames.release(20..21);
            assert_eq!(first_words(&frames), [0, 0, 18, 19, 0, 13, 0, 0]);
        }
    }
}
