//! Page frames: the memory that holds pages of the log.
//!
//! Page `p` is in frame `p mod frames`, found without a division. The reciprocal `r` is `(2^64 + e)
//! / frames` with `0 < e <= frames`. So `p * r / 2^64` exceeds `p / frames`, but by less than `1 /
//! frames` if `p * e < 2^64`. Rounded down, both are the same. Pages have 36 bits (`tail.rs`),
//! frames at most 28.
//!
//! A caller that asks for the words of an address is protected and has checked that the address is
//! at or above the head. It keeps neither the words nor the protection across a suspension.

#![expect(unsafe_code, reason = "immutable pages are read as bytes, without a copy")]

use crate::base::address::Address;
use crate::base::memory::{WordMemory, as_bytes, prefetch};
use crate::hybrid_log::allocate::tail::MOST_PAGES;
use crate::record::{RecordRef, WORD};
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The frames of one log.
#[derive(Debug)]
pub(crate) struct Frames {
    // Fixed after creation; its words change by the rules of their records.
    words: WordMemory,
    page_bits: u32,
    frames: u32,
    reciprocal: u64,
    page_words: usize,
}

/// The limit of frames of a log.
const MOST_FRAMES: u32 = 1 << 28;
const _: () = assert!(MOST_PAGES as u128 * MOST_FRAMES as u128 <= 1 << 64, "divided exactly");

impl Frames {
    /// Creates `frames` frames of `2^page_bits` bytes, each with `capacity` bytes of records.
    pub(crate) fn new(
        page_bits: u32,
        frames: u32,
        capacity: u64,
        huge_pages: bool,
    ) -> std::io::Result<Self> {
        assert!(frames >= 2, "a page to fill and a page to flush");
        assert!(frames <= MOST_FRAMES, "settings are checked");
        let words = (frames as usize) << (page_bits - WORD.ilog2());
        let words = WordMemory::zeroed(words, huge_pages)?;
        assert!(capacity <= 1 << page_bits, "a frame holds the records of a page: {capacity}");
        let page_words = usize::try_from(capacity).expect("a page fits") / WORD;
        let reciprocal = reciprocal(frames);
        Ok(Self { words, page_bits, frames, reciprocal, page_words })
    }

    /// Returns the record at `address`, with the rest of its page.
    #[inline(always)]
    pub(crate) fn record(&self, address: Address) -> RecordRef<'_> {
        RecordRef::new(self.words_from(address))
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
        let start = self.index(Address::at(page, 0, self.page_bits));
        for word in self.words[start..start + self.page_words].iter().step_by(SYSTEM_PAGE_WORDS) {
            // Relaxed: it adds nothing, and so orders nothing.
            word.fetch_or(0, Ordering::Relaxed);
        }
    }

    /// Clears the frame of `page` for its next page.
    pub(crate) fn clear(&self, page: u64) {
        let start = self.index(Address::at(page, 0, self.page_bits));
        for word in &self.words[start..start + self.page_words] {
            // Relaxed: the raise of the safe head that follows releases all of them.
            word.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.frames
    }

    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.frames) << self.page_bits
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a page and its offset fit in memory")]
    fn index(&self, address: Address) -> usize {
        let frame = remainder(address.page(self.page_bits), self.frames, self.reciprocal);
        let offset = address.offset(self.page_bits) as usize;
        debug_assert!(offset.is_multiple_of(WORD), "records are aligned");
        ((frame as usize) << (self.page_bits - WORD.ilog2())) + offset / WORD
    }
}

/// Returns the factor for [`remainder`].
fn reciprocal(frames: u32) -> u64 {
    u64::MAX / u64::from(frames) + 1
}

/// Returns `page % frames`.
#[inline(always)]
fn remainder(page: u64, frames: u32, reciprocal: u64) -> u64 {
    let quotient = ((u128::from(page) * u128::from(reciprocal)) >> u64::BITS) as u64;
    let remainder = page - quotient * u64::from(frames);
    debug_assert_eq!(remainder, page % u64::from(frames), "the reciprocal divides exactly");
    remainder
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The frame was looked up with a page number of only 32 bits. At page 2^32 the tail reached a
    /// frame still in use, unless the number of frames was a power of two.
    #[test]
    fn every_page_has_the_frame_that_follows_the_one_before() {
        for frames in (2..70).chain([1000, 4095, 4097, (1 << 28) - 1, 1 << 28]) {
            let reciprocal = reciprocal(frames);
            let near = |page: u64| page.saturating_sub(200)..(page + 200).min(MOST_PAGES);
            let far = [0, 1 << 31, 1 << 32, 3 << 32, MOST_PAGES / 7, MOST_PAGES];
            let multiples = [1, 3, 77, 255].map(|many| many * u64::from(frames));
            for page in far.into_iter().chain(multiples).flat_map(near) {
                let frame = remainder(page, frames, reciprocal);
                assert_eq!(frame, page % u64::from(frames), "page {page} of {frames}");
            }
        }
    }
}
