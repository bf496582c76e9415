//! The tail: the address of the next record.
//!
//! ```text
//!  63.................28   27          26...........................0
//! +--------------------+----------+--------------------------------+
//! |        page        | reserved |  offset in the page, in words  |
//! +--------------------+----------+--------------------------------+
//! ```
//!
//! A writer takes room by adding to the word. A writer that finds no room in the page *turns* to
//! the next page by a CAS, if the frame of that page is free. So there is no owner to wait for. An
//! offset may overshoot the page, which closes the page. Exactly one writer learns of the rest of a
//! closed page: the first to overshoot it, or the writer that turned it. The rest stays zero unless
//! that writer writes there.
//!
//! # A reserved page
//! A copy of compaction may open a page that values may not open (`limits.rs`). Such a page is
//! *reserved*: its offset counts as one at the end. So a writer that adds to it comes to the slow
//! path, without a further look at any word. The room that it has taken is its own, but from then
//! on its thread looks before it adds, and is refused. So a thread takes at most one record of a
//! reserved page, for each writer that turns the page and is overtaken while it does.
//!
//! # An offset does not run into the page
//! A writer that overshoots takes the offset back to the end of the page before it does anything
//! else. So each thread adds at most one record to an offset that is already at the end. With `n`
//! threads in `reserve` at once, an offset is at most `page + n * record`. The field holds 2^30
//! bytes, the largest page has 2^25 and the largest record there 2^19 (`LARGEST_INLINE`). This is
//! enough for 1,900 threads that are all between adding and taking back.

use super::limits::{Claim, PageLimits};
use crate::base::address::Address;
use crossbeam_utils::CachePadded;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const OFFSET_BITS: u32 = 28;
/// The page is reserved.
const RESERVED: u64 = 1 << (OFFSET_BITS - 1);
const OFFSET_MASK: u64 = RESERVED - 1;
/// The binary logarithm of the bytes of a word, in which offsets are counted.
const WORD_BITS: u32 = 3;

/// The size in bytes of the largest record that a writer takes by adding.
pub(crate) const LARGEST_INLINE: u64 = 512 << 10;
/// The limit of pages of a log.
pub(crate) const MOST_PAGES: u64 = 1 << (u64::BITS - OFFSET_BITS);

const LARGEST_PAGE: u64 = 32 << 20;
const THREADS: u64 = 1900;
const _: () = assert!(LARGEST_PAGE < RESERVED << WORD_BITS, "a reserved page counts as closed");
const _: () =
    assert!(LARGEST_PAGE + THREADS * LARGEST_INLINE < (OFFSET_MASK + 1) << WORD_BITS, "they fit");

/// The packed tail of one log.
#[derive(Debug)]
pub(crate) struct Tail {
    // Every writer that appends writes it: a line of its own, which each writer fetches once.
    word: CachePadded<AtomicU64>,
    /// The page may be closed or reserved, so a writer looks before it adds. A hint, set by a
    /// writer that overshoots, or opens a reserved page.
    must_look: AtomicBool,
    limits: PageLimits,
    // Fixed after creation.
    capacity: u64,
    page_bits: u32,
}

/// The tail page has no room for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct PageClosed {
    pub(crate) page: u64,
    /// The rest of the page, if this attempt closed it.
    pub(crate) rest: Option<PageRemainder>,
}

/// Bytes at the end of a page that no record will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRemainder {
    pub(crate) start: Address,
    pub(crate) bytes: u64,
}

/// A position in the form of the word: within a page, or at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) page: u64,
    pub(crate) offset: u64,
}

impl Tail {
    /// Creates a tail that begins at `address`; a page holds `capacity` bytes.
    pub(crate) fn new(address: Address, page_bits: u32, capacity: u64) -> Self {
        let word = pack(address.page(page_bits), address.offset(page_bits));
        assert!(
            capacity <= 1 << page_bits && capacity.is_multiple_of(1 << WORD_BITS),
            "a page holds whole words: {capacity} bytes"
        );
        assert!(
            address.offset(page_bits) <= capacity && address.raw().is_multiple_of(1 << WORD_BITS),
            "a record can begin at {address:?}"
        );
        let (word, must_look) = (AtomicU64::new(word).into(), AtomicBool::new(false));
        Self { word, must_look, limits: PageLimits::default(), capacity, page_bits }
    }

    /// Creates a tail at the end of the page before `address`, at which a page begins. No room is
    /// taken before a writer turns to that page.
    pub(crate) fn closed_before(address: Address, page_bits: u32, capacity: u64) -> Self {
        assert_eq!(address.offset(page_bits), 0, "a page begins there");
        assert!(address.page(page_bits) > 0, "the first page has no page before it");
        let tail = Self::new(Address::FIRST, page_bits, capacity);
        let word = pack(address.page(page_bits) - 1, capacity);
        Self { word: AtomicU64::new(word).into(), must_look: AtomicBool::new(true), ..tail }
    }

    /// Returns the limits of its pages.
    pub(super) fn limits(&self) -> &PageLimits {
        &self.limits
    }

    /// Takes `bytes` bytes in the tail page.
    #[inline(always)]
    pub(crate) fn reserve(&self, bytes: u64, claim: Claim) -> Result<Address, PageClosed> {
        debug_assert!(
            bytes.is_multiple_of(8) && bytes <= self.capacity.min(LARGEST_INLINE),
            "an overshoot does not run into the page number: {bytes} bytes"
        );
        // Relaxed: a hint that keeps waiting writers from adding to a closed page without end. Each
        // writer that misses it adds once.
        if self.must_look.load(Ordering::Relaxed) {
            self.look(bytes, claim)?;
        }
        // Acquire: pairs with the Release of `turn`, which follows the zeroing of the frame.
        let before = self.word.fetch_add(bytes >> WORD_BITS, Ordering::AcqRel);
        let start = offset_or_end(before);
        if start + bytes > self.capacity {
            return self.reserve_slowly(before, bytes);
        }
        Ok(Address::at(page(before), start, self.page_bits))
    }

    /// Refuses a writer to which the page is closed. The caller waits until it may open a further
    /// page, also if a page is only closed to its claim.
    #[cold]
    #[inline(never)]
    fn look(&self, bytes: u64, claim: Claim) -> Result<(), PageClosed> {
        let guess = self.word.load(Ordering::Relaxed);
        let is_closed = offset(guess) + bytes > self.capacity;
        if is_closed || !self.is_open_to(claim, guess) {
            return Err(PageClosed { page: page(guess), rest: None });
        }
        Ok(())
    }

    /// Takes the room that the caller has added to a reserved page, or closes the page. `before` is
    /// the word before it added.
    #[cold]
    #[inline(never)]
    fn reserve_slowly(&self, before: u64, bytes: u64) -> Result<Address, PageClosed> {
        self.must_look.store(true, Ordering::Relaxed);
        if offset(before) + bytes > self.capacity {
            return Err(self.transition_to_closed(before));
        }
        debug_assert!(is_reserved(before), "a page with room is open or reserved");
        Ok(Address::at(page(before), offset(before), self.page_bits))
    }

    /// Takes the offset back to the end of the full page, for the next writer that adds. `before`
    /// is the word before the caller added to it.
    fn transition_to_closed(&self, before: u64) -> PageClosed {
        debug_assert!(offset(before) < OFFSET_MASK << (WORD_BITS - 1), "far from the flag");
        let end = pack(page(before), self.capacity) | before & RESERVED;
        let mut current = self.word.load(Ordering::Relaxed);
        while page(current) == page(before) && offset(current) > self.capacity {
            // AcqRel: as in `reserve`; the word stays one chain of exchanges from `turn` on.
            match self.word.compare_exchange(current, end, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => current = now,
            }
        }
        PageClosed { page: page(before), rest: self.rest(before) }
    }

    /// Moves to the page after `closed.page`, unless another writer already did. The caller knows
    /// that the frame of the next page is free. Returns the rest that this call has closed.
    pub(crate) fn turn(&self, closed: PageClosed) -> Option<PageRemainder> {
        let next = self.opened(closed.page + 1, 0);
        let mut current = self.word.load(Ordering::Relaxed);
        while page(current) == closed.page {
            // Release: pairs with the Acquire of `reserve`.
            match self.word.compare_exchange(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.must_look.store(is_reserved(next), Ordering::Relaxed);
                    return self.rest(current);
                }
                Err(now) => current = now,
            }
        }
        debug_assert!(page(current) > closed.page, "the tail never goes back");
        None
    }

    /// Takes everything from the tail to the position that `plan` returns, over any number of
    /// pages, in one step.
    ///
    /// `plan` is asked again if another writer was faster. It returns `None` if there is no room.
    /// Returns both ends.
    pub(crate) fn reserve_with(
        &self,
        mut plan: impl FnMut(Position) -> Option<Position>,
    ) -> Option<[Position; 2]> {
        // Acquire: as in `reserve`.
        let mut current = self.word.load(Ordering::Acquire);
        loop {
            let from = Position { page: page(current), offset: offset(current).min(self.capacity) };
            let to = plan(from)?;
            assert!(
                to.offset <= self.capacity && to.offset.is_multiple_of(8),
                "a range ends in a page, at a word: {to:?}"
            );
            assert!(
                (to.page, to.offset) > (from.page, from.offset),
                "a range has bytes: {from:?} to {to:?}"
            );
            let word = self.opened(to.page, to.offset);
            match self.word.compare_exchange(current, word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.must_look.store(is_reserved(word), Ordering::Relaxed);
                    return Some([from, to]);
                }
                Err(now) => current = now,
            }
        }
    }

    /// Returns the rest of the page of a word that is about to be closed.
    fn rest(&self, word: u64) -> Option<PageRemainder> {
        let start = Address::at(page(word), offset(word), self.page_bits);
        let bytes = self.capacity.checked_sub(offset(word)).filter(|bytes| *bytes > 0)?;
        Some(PageRemainder { start, bytes })
    }

    /// Moves the tail up to a multiple of `unit` within its page, so that a flush can end there.
    /// Returns the tail.
    pub(crate) fn pad(&self, unit: u64) -> Address {
        debug_assert!(self.capacity.is_multiple_of(unit), "a page holds whole blocks of {unit}");
        let mut current = self.word.load(Ordering::Relaxed);
        loop {
            let padded = offset(current).next_multiple_of(unit).min(self.capacity);
            let padded = pack(page(current), padded.max(offset(current)));
            let word = padded | current & RESERVED;
            match self.word.compare_exchange(current, word, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return self.address_of(word),
                Err(now) => current = now,
            }
        }
    }

    /// Returns the tail. Every byte below it was taken by a writer, or never will be.
    ///
    /// Acquire: pairs with `reserve` and `turn`.
    pub(crate) fn address(&self) -> Address {
        self.address_of(self.word.load(Ordering::Acquire))
    }

    /// Returns the page that is being filled.
    pub(crate) fn page(&self) -> u64 {
        page(self.word.load(Ordering::Acquire))
    }

    /// Returns whether the tail page has room for `bytes`, and is open to `claim`.
    pub(crate) fn has_room(&self, bytes: u64, claim: Claim) -> bool {
        let word = self.word.load(Ordering::Acquire);
        offset(word) + bytes <= self.capacity && self.is_open_to(claim, word)
    }

    fn is_open_to(&self, claim: Claim, word: u64) -> bool {
        !is_reserved(word) || self.limits.admit(claim, page(word))
    }

    /// Returns the word of an opened page, which is reserved if values may not open it.
    fn opened(&self, page: u64, offset: u64) -> u64 {
        let is_reserved = !self.limits.admit(Claim::Value, page);
        pack(page, offset) | if is_reserved { RESERVED } else { 0 }
    }

    /// Returns the address of a word. For a full page, it is the start of the next page.
    fn address_of(&self, word: u64) -> Address {
        if offset(word) >= self.capacity {
            Address::at(page(word) + 1, 0, self.page_bits)
        } else {
            Address::at(page(word), offset(word), self.page_bits)
        }
    }
}

fn pack(page: u64, offset: u64) -> u64 {
    let words = offset >> WORD_BITS;
    assert!(page < MOST_PAGES && words <= OFFSET_MASK, "the log is within its bounds");
    page << OFFSET_BITS | words
}

#[inline(always)]
fn page(word: u64) -> u64 {
    word >> OFFSET_BITS
}

#[inline(always)]
fn is_reserved(word: u64) -> bool {
    word & RESERVED != 0
}

/// Returns the offset of an open page. That of a reserved page is after the end of any page.
#[inline(always)]
fn offset_or_end(word: u64) -> u64 {
    (word & (RESERVED | OFFSET_MASK)) << WORD_BITS
}

#[inline(always)]
fn offset(word: u64) -> u64 {
    (word & OFFSET_MASK) << WORD_BITS
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
