//! The tail: the address of the next record.
//!
//! ```text
//!  63.................28   27...........................0
//! +--------------------+-------------------------------+
//! |        page        |  offset in the page, in words |
//! +--------------------+-------------------------------+
//! ```
//!
//! A writer takes room by adding to the word. A writer that finds no room in the page *turns* to
//! the next page by a CAS, if the frame of that page is free. So there is no owner to wait for. An
//! offset may overshoot the page, which closes the page. Exactly one writer learns of the rest of a
//! closed page: the first to overshoot it, or the writer that turned it. The rest stays zero unless
//! that writer writes there.
//!
//! # An offset does not run into the page
//! A writer that overshoots takes the offset back to the end of the page before it does anything
//! else. So each thread adds at most one record to an offset that is already at the end. With `n`
//! threads in `reserve` at once, an offset is at most `page + n * record`. The field holds 2^31
//! bytes, the largest page has 2^25 and the largest record there 2^19 (`LARGEST_INLINE`). This is
//! enough for 4,000 threads that are all between adding and taking back.

use crate::base::address::Address;
use crossbeam_utils::CachePadded;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const OFFSET_BITS: u32 = 28;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
/// The binary logarithm of the bytes of a word, in which offsets are counted.
const WORD_BITS: u32 = 3;

/// The size in bytes of the largest record that a writer takes by adding.
pub(crate) const LARGEST_INLINE: u64 = 512 << 10;
/// The limit of pages of a log.
pub(crate) const MOST_PAGES: u64 = 1 << (u64::BITS - OFFSET_BITS);

const LARGEST_PAGE: u64 = 32 << 20;
const THREADS: u64 = 4000;
const _: () =
    assert!(LARGEST_PAGE + THREADS * LARGEST_INLINE < 1 << (OFFSET_BITS + WORD_BITS), "they fit");

/// The packed tail of one log.
#[derive(Debug)]
pub(crate) struct Tail {
    // Every writer that appends writes it: a line of its own, which each writer fetches once.
    word: CachePadded<AtomicU64>,
    /// The page may be closed, so a writer checks before it adds. A hint, set by a writer that
    /// overshoots.
    is_closed: AtomicBool,
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
        let (word, is_closed) = (AtomicU64::new(word).into(), AtomicBool::new(false));
        Self { word, is_closed, capacity, page_bits }
    }

    /// Creates a tail at the end of the page before `address`, at which a page begins. No room is
    /// taken before a writer turns to that page.
    pub(crate) fn closed_before(address: Address, page_bits: u32, capacity: u64) -> Self {
        assert_eq!(address.offset(page_bits), 0, "a page begins there");
        assert!(address.page(page_bits) > 0, "the first page has no page before it");
        let tail = Self::new(Address::FIRST, page_bits, capacity);
        let word = pack(address.page(page_bits) - 1, capacity);
        Self { word: AtomicU64::new(word).into(), is_closed: AtomicBool::new(true), ..tail }
    }

    /// Takes `bytes` bytes in the tail page.
    #[inline(always)]
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Address, PageClosed> {
        debug_assert!(
            bytes.is_multiple_of(8) && bytes <= self.capacity.min(LARGEST_INLINE),
            "an overshoot does not run into the page number: {bytes} bytes"
        );
        // Relaxed: a hint that keeps waiting writers from adding to a closed page without end. Each
        // writer that misses it adds once.
        if self.is_closed.load(Ordering::Relaxed) {
            let guess = self.word.load(Ordering::Relaxed);
            if offset(guess) + bytes > self.capacity {
                return Err(PageClosed { page: page(guess), rest: None });
            }
        }
        // Acquire: pairs with the Release of `turn`, which follows the zeroing of the frame.
        let before = self.word.fetch_add(bytes >> WORD_BITS, Ordering::AcqRel);
        if offset(before) + bytes > self.capacity {
            return Err(self.transition_to_closed(before));
        }
        Ok(Address::at(page(before), offset(before), self.page_bits))
    }

    /// Takes the offset back to the end of the full page, for the next writer that adds. `before`
    /// is the word before the caller added to it.
    #[cold]
    #[inline(never)]
    fn transition_to_closed(&self, before: u64) -> PageClosed {
        debug_assert!(offset(before) < 1 << (OFFSET_BITS + WORD_BITS - 1), "far from the page");
        self.is_closed.store(true, Ordering::Relaxed);
        let end = pack(page(before), self.capacity);
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
        let next = pack(closed.page + 1, 0);
        let mut current = self.word.load(Ordering::Relaxed);
        while page(current) == closed.page {
            // Release: pairs with the Acquire of `reserve`.
            match self.word.compare_exchange(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.is_closed.store(false, Ordering::Relaxed);
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
            let word = pack(to.page, to.offset);
            match self.word.compare_exchange(current, word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.is_closed.store(false, Ordering::Relaxed);
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
            let word = pack(page(current), padded.max(offset(current)));
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

    /// Returns whether the tail page has room for `bytes`.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        offset(self.word.load(Ordering::Acquire)) + bytes <= self.capacity
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
fn offset(word: u64) -> u64 {
    (word & OFFSET_MASK) << WORD_BITS
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn fills_a_page_and_turns() {
        let tail = Tail::new(Address::FIRST, 12, 4032);
        let mut taken = Vec::new();
        while let Ok(address) = tail.reserve(104) {
            taken.push(address);
        }
        assert_eq!(taken.len(), (4032 - 64) / 104);
        assert!(taken.windows(2).all(|pair| pair[0].raw() + 104 == pair[1].raw()));
        // The first writer that overshot received the rest; that ended the loop above.
        let closed = PageClosed { page: 0, rest: None };
        assert_eq!(tail.reserve(104), Err(closed));
        assert_eq!(tail.turn(closed), None);
        assert_eq!(tail.reserve(104), Ok(Address::at(1, 0, 12)));
        // If a page is turned before a writer overshoots, the turn returns its rest.
        let closed = PageClosed { page: 1, rest: None };
        let rest = PageRemainder { start: Address::at(1, 104, 12), bytes: 4032 - 104 };
        assert_eq!(tail.turn(closed), Some(rest));
        assert_eq!(tail.turn(closed), None);
    }

    /// Four threads append to pages of 4 KiB. A record that overshot by far would have run into the
    /// page number. Each thread that finds the page full takes its overshoot back.
    #[test]
    fn an_overshoot_is_taken_back() {
        let tail = Tail::new(Address::FIRST, 12, 4032);
        assert_eq!(tail.reserve(3960), Ok(Address::FIRST));
        let rest = PageRemainder { start: Address::new(4024), bytes: 8 };
        assert_eq!(tail.reserve(504), Err(PageClosed { page: 0, rest: Some(rest) }));
        assert_eq!(offset(tail.word.load(Ordering::Relaxed)), 4032);
        assert_eq!(tail.reserve(8), Err(PageClosed { page: 0, rest: None }));
        assert_eq!(offset(tail.word.load(Ordering::Relaxed)), 4032);
        assert_eq!(tail.address(), Address::at(1, 0, 12));
    }

    #[test]
    fn the_last_page_has_an_address() {
        for page_bits in [12, 21, 25] {
            let start = Address::at(MOST_PAGES - 2, 0, page_bits);
            let tail = Tail::new(start, page_bits, 4032);
            assert_eq!(tail.reserve(4032), Ok(start));
            let closed = tail.reserve(8).expect_err("full");
            assert_eq!(tail.turn(closed), None);
            assert_eq!(tail.reserve(8), Ok(Address::at(MOST_PAGES - 1, 0, page_bits)));
        }
    }

    #[test]
    fn many_pages_are_taken_in_one_step() {
        let tail = Tail::new(Address::FIRST, 12, 4032);
        assert_eq!(tail.reserve_with(|_from| None), None);
        let to = Position { page: 2, offset: 504 };
        let taken = tail.reserve_with(|from| Some(to).filter(|_| from.offset == 64));
        assert_eq!(taken, Some([Position { page: 0, offset: 64 }, to]));
        assert_eq!(tail.reserve(8), Ok(Address::at(2, 504, 12)));
    }

    #[test]
    fn padding_ends_on_a_unit_and_is_idempotent() {
        let tail = Tail::new(Address::FIRST, 12, 4032);
        assert_eq!(tail.pad(504), Address::new(504));
        assert_eq!(tail.pad(504), Address::new(504));
        tail.reserve(8).expect("room");
        assert_eq!(tail.pad(504), Address::new(1008));
        while tail.reserve(504).is_ok() {}
        assert_eq!(tail.pad(504), Address::at(1, 0, 12));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::{sync::Arc, thread};

    /// Two writers over a page turn never get the same bytes.
    #[test]
    fn loom_no_bytes_are_taken_twice() {
        loom::model(|| {
            let tail = Arc::new(Tail::new(Address::FIRST, 12, 128));
            let take = |tail: &Tail| loop {
                match tail.reserve(48) {
                    Ok(address) => return address,
                    Err(closed) => _ = tail.turn(closed),
                }
            };
            let other = {
                let tail = Arc::clone(&tail);
                thread::spawn(move || [take(&tail), take(&tail)])
            };
            let own = take(&tail);
            let [first, second] = other.join().expect("no panic");
            assert!(first < second);
            for address in [first, second] {
                let apart = own.raw().abs_diff(address.raw());
                assert!(apart >= 48, "{own:?} and {address:?} overlap");
            }
        });
    }

    /// Two writers beside a full page take back the bytes that they add to its offset. Without that
    /// (`takes_back` false) some order adds both records and leaves them there.
    fn overshoot(takes_back: bool) -> u64 {
        let most = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let seen = std::sync::Arc::clone(&most);
        loom::model(move || {
            let tail = Arc::new(Tail::new(Address::FIRST, 12, 128));
            let add = move |tail: &Tail| {
                if takes_back {
                    let _closed = tail.reserve(72).expect_err("there are 64 bytes");
                } else {
                    tail.word.fetch_add(72 >> WORD_BITS, Ordering::AcqRel);
                }
            };
            let other = {
                let tail = Arc::clone(&tail);
                thread::spawn(move || (add(&tail), add(&tail)))
            };
            add(&tail);
            other.join().expect("no panic");
            let left = offset(tail.word.load(Ordering::Relaxed));
            seen.fetch_max(left, Ordering::Relaxed);
        });
        most.load(Ordering::Relaxed)
    }

    #[test]
    fn loom_an_overshoot_is_taken_back() {
        assert_eq!(overshoot(true), 128);
        assert_eq!(overshoot(false), 64 + 3 * 72);
    }

    /// Two writers close a page. Its rest is returned once, and no bytes of it are taken.
    #[test]
    fn loom_the_rest_of_a_page_is_told_once() {
        loom::model(|| {
            let tail = Arc::new(Tail::new(Address::FIRST, 12, 128));
            let take = |tail: &Tail| {
                let mut rests = Vec::new();
                loop {
                    match tail.reserve(40) {
                        Ok(address) => return (address, rests),
                        Err(closed) => {
                            rests.extend(closed.rest);
                            rests.extend(tail.turn(closed));
                        }
                    }
                }
            };
            let other = {
                let tail = Arc::clone(&tail);
                thread::spawn(move || take(&tail))
            };
            let (own, mut rests) = take(&tail);
            let (address, others) = other.join().expect("no panic");
            rests.extend(others);
            let second = PageRemainder { start: Address::new(104), bytes: 24 };
            assert_eq!(rests, [second]);
            assert_eq!(own.raw().min(address.raw()), 64);
            assert_eq!(own.raw().max(address.raw()), 1 << 12);
        });
    }
}
