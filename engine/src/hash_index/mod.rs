//! The hash index finds the newest address of a key.
//!
//! # Terms
//! A *bucket* is two cache lines: 15 *entries* and a *link* to overflow lines of 7 entries each. An
//! *entry* maps a *tag* (17 bits of the hash) to the address of the newest record of a chain. The
//! log knows the keys of the chain; the index does not. One bit of the hash selects the line that
//! is searched first. So most searches touch one line although a bucket fills evenly.
//!
//! ```text
//!  line 0   e e e e e e e e
//!  line 1   e e e e e e e link ---> e e e e e e e link ---> ...
//! ```
//!
//! Keys per bucket trade against memory. With 12 keys per bucket of 128 bytes, one bucket in six
//! has an overflow line, at 11.5 bytes a key. Buckets of one line would need 14 bytes for the same.
//!
//! # Invariants
//! 1. At most one complete entry per bucket and tag, ever (two-phase insert, below).
//! 2. A tentative entry is written by its creator alone; searches skip it.
//! 3. A slot changes only by a CAS on the whole word, or by its creator while tentative.
//! 4. A line, once linked, stays linked; searches may stop at a link of 0.
//!
//! # Two-phase insert
//! A creator claims a free slot with a tentative entry. Then it searches the whole bucket for
//! another entry of the same tag, tentative or not. If there is one, it frees the slot and starts
//! over; otherwise it clears the tentative bit. Two creators of one tag cannot both miss the other:
//! the claims are `SeqCst`, so the later creator sees the earlier claim.
//!
//! Source: FASTER, SIGMOD 2018, section 3.

mod entry;
mod image;
mod line;
mod overflow;

pub(crate) use entry::HashBucketEntry;

use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::base::memory::{WordMemory, prefetch};
use kvick_io::sync::atomic::{AtomicU64, Ordering, fence};
use kvick_io::sync::hint::spin_loop;
use line::{LINE_WORDS, Line};
use overflow::OverflowLines;
use std::io;

/// The lines of a bucket.
const BUCKET_LINES: usize = 2;
/// The bytes of a bucket.
pub(crate) const BUCKET_BYTES: u64 = (BUCKET_LINES * LINE_WORDS * 8) as u64;

/// Maps tags to their newest addresses, for every bucket of a store.
#[derive(Debug)]
pub(crate) struct HashIndex {
    // Fixed after creation.
    words: WordMemory,
    buckets: u64,
    // Any thread, atomic.
    overflow: OverflowLines,
}

/// An entry as it was found.
///
/// It has two words, so that an operation that only needs the address keeps it in registers. An
/// update searches its slot again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundEntry {
    hash: KeyHash,
    observed: HashBucketEntry,
}

/// The result of a search of a whole bucket for one tag.
enum Search<'i> {
    Found(HashBucketEntry),
    Free(&'i AtomicU64),
    Full(Line<'i>),
}

impl HashIndex {
    pub(crate) fn new(buckets: u64, huge_pages: bool) -> io::Result<Self> {
        assert!(buckets > 0, "at least one bucket");
        let words = usize::try_from(buckets * BUCKET_BYTES / 8).expect("fits in memory");
        let words = WordMemory::zeroed(words, huge_pages)?;
        Ok(Self { words, buckets, overflow: OverflowLines::new() })
    }

    /// Prefetches the line that a search for `hash` reads first.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: KeyHash) {
        prefetch(self.line(hash, 0).first_word());
    }

    /// Searches the first line like `find`. Prefetches the second line if the first has no match.
    #[inline(always)]
    pub(crate) fn find_or_prefetch(&self, hash: KeyHash) -> Option<FoundEntry> {
        let found = self.line(hash, 0).find(hash.tag());
        if found.is_none() {
            prefetch(self.line(hash, 1).first_word());
        }
        found.map(|observed| FoundEntry { hash, observed })
    }

    /// Returns the entry that leads to the records of `hash`, if one was ever made.
    #[inline(always)]
    pub(crate) fn find(&self, hash: KeyHash) -> Option<FoundEntry> {
        let tag = hash.tag();
        let observed = match self.line(hash, 0).find(tag) {
            Some(observed) => observed,
            None => self.find_further(hash),
        };
        (!observed.is_free()).then_some(FoundEntry { hash, observed })
    }

    /// Returns the entry of `hash`, and makes it if there is none. A new entry has the address
    /// `UNSET`.
    ///
    /// # Errors
    /// Fails if its bucket is full and the system has no memory for another line.
    #[inline(always)]
    pub(crate) fn find_or_create(&self, hash: KeyHash) -> io::Result<FoundEntry> {
        match self.find(hash) {
            Some(found) => Ok(found),
            None => Ok(FoundEntry { hash, observed: self.create(hash)? }),
        }
    }

    /// Makes `address` the newest record of an entry, if nothing has changed since it was found.
    #[inline(always)]
    pub(crate) fn try_update(&self, entry: FoundEntry, address: Address) -> bool {
        let FoundEntry { hash, observed } = entry;
        let desired = HashBucketEntry::new(hash.tag(), address).raw();
        let slot = self.line(hash, 0).slot_of(observed);
        slot.or_else(|| self.slot_further(hash, observed)).is_some_and(|word| {
            // Release: publishes the record; pairs with the Acquire of searches.
            let update =
                word.compare_exchange(observed.raw(), desired, Ordering::AcqRel, Ordering::Relaxed);
            update.is_ok()
        })
    }

    /// Makes `address` the newest record of its entry, unless the entry already leads to a newer
    /// record. So records of the log can be added in any order.
    ///
    /// # Errors
    /// As for [`find_or_create`](Self::find_or_create).
    pub(crate) fn raise(&self, hash: KeyHash, address: Address) -> io::Result<()> {
        loop {
            let entry = self.find_or_create(hash)?;
            if entry.address() >= address || self.try_update(entry, address) {
                return Ok(());
            }
        }
    }

    #[inline(never)]
    fn slot_further(&self, hash: KeyHash, observed: HashBucketEntry) -> Option<&AtomicU64> {
        self.lines(hash).find_map(|line| line.slot_of(observed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.buckets * BUCKET_BYTES + self.overflow.bytes()
    }

    /// Returns the line that is searched first (`turn` 0) or second (`turn` 1).
    #[inline(always)]
    fn line(&self, hash: KeyHash, turn: usize) -> Line<'_> {
        self.line_of(hash.bucket(self.buckets), hash.line() ^ turn)
    }

    /// Returns line 0 or 1 of a bucket.
    #[inline(always)]
    fn line_of(&self, bucket: u64, parity: usize) -> Line<'_> {
        let bucket = usize::try_from(bucket).expect("buckets are in memory");
        let start = (bucket * BUCKET_LINES + parity) * LINE_WORDS;
        let words = self.words[start..].first_chunk().expect("the table holds whole lines");
        Line::new(words, parity == 1)
    }

    #[inline(never)]
    fn find_further(&self, hash: KeyHash) -> HashBucketEntry {
        let tag = hash.tag();
        if let Some(observed) = self.line(hash, 1).find(tag) {
            return observed;
        }
        // The link is in line 1, which may have been the first or the second turn.
        let mut link = self.line(hash, hash.line() ^ 1).link();
        while link != 0 {
            let line = self.overflow.line(link);
            if let Some(observed) = line.find(tag) {
                return observed;
            }
            link = line.link();
        }
        HashBucketEntry::FREE
    }

    #[cold]
    #[inline(never)]
    fn create(&self, hash: KeyHash) -> io::Result<HashBucketEntry> {
        let entry = HashBucketEntry::new(hash.tag(), Address::UNSET);
        let mut attempts = 0_u32;
        loop {
            let word = match self.search(hash) {
                Search::Found(found) => return Ok(found),
                Search::Free(word) => word,
                Search::Full(line) => {
                    self.extend(line)?;
                    continue;
                }
            };
            // SeqCst with the fence below: of two claims of one tag, the later sees the earlier.
            let tentative = entry.with_tentative().raw();
            let claimed = word.compare_exchange(0, tentative, Ordering::SeqCst, Ordering::Relaxed);
            if claimed.is_err() {
                continue;
            }
            fence(Ordering::SeqCst);
            if self.is_alone(hash, word) {
                // Release: only the claim precedes it; pairs with the Acquire of searches.
                word.store(entry.raw(), Ordering::Release);
                return Ok(entry);
            }
            word.store(HashBucketEntry::FREE.raw(), Ordering::Release);
            // Two creators wait for different times, or they could meet forever.
            attempts += 1;
            let unlike = std::ptr::from_ref(word).addr() / 8 % LINE_WORDS;
            for _ in 0..attempts.min(16) as usize * (unlike + 1) {
                spin_loop();
            }
        }
    }

    /// Searches the bucket for a complete entry, else for a free slot, else for its end.
    fn search(&self, hash: KeyHash) -> Search<'_> {
        let mut free = None;
        let mut last = None;
        for line in self.lines(hash) {
            if let Some(observed) = line.find(hash.tag()) {
                return Search::Found(observed);
            }
            let is_free = |word: &&AtomicU64| word.load(Ordering::Relaxed) == 0;
            free = free.or_else(|| line.entries().iter().find(is_free));
            if line.has_link() {
                last = Some(line);
            }
        }
        match free {
            Some(word) => Search::Free(word),
            None => Search::Full(last.expect("line 1 has a link")),
        }
    }

    /// Returns whether no other slot of the bucket holds this tag, tentative or not.
    fn is_alone(&self, hash: KeyHash, own: &AtomicU64) -> bool {
        self.lines(hash).flat_map(Line::entries).all(|word| {
            // Acquire, after the SeqCst fence in `create`.
            let entry = HashBucketEntry::from_raw(word.load(Ordering::Acquire));
            std::ptr::eq(word, own) || entry.is_free() || entry.tag() != u64::from(hash.tag())
        })
    }

    /// Returns the lines of a bucket in the order of search. The two lines of the table come first.
    fn lines(&self, hash: KeyHash) -> impl Iterator<Item = Line<'_>> {
        let overflow = self.overflow_of(hash.bucket(self.buckets));
        [self.line(hash, 0), self.line(hash, 1)].into_iter().chain(overflow)
    }

    /// Returns the overflow lines of a bucket.
    fn overflow_of(&self, bucket: u64) -> impl Iterator<Item = Line<'_>> {
        let mut link = self.line_of(bucket, 1).link();
        std::iter::from_fn(move || {
            (link != 0).then(|| {
                let line = self.overflow.line(link);
                link = line.link();
                line
            })
        })
    }

    /// Links a new overflow line after `line`, which must be the last line of its bucket.
    fn extend(&self, line: Line<'_>) -> io::Result<()> {
        let number = self.overflow.take()?;
        if line.try_link(number).is_err() {
            self.overflow.give_back(number);
        }
        Ok(())
    }
}

impl FoundEntry {
    /// Returns the address of the newest record when the entry was found.
    #[inline(always)]
    pub(crate) fn address(self) -> Address {
        self.observed.address()
    }
}

#[cfg(test)]
mod tests;
