//! The hash index finds the newest address of a key, and grows and shrinks with the entries.
//!
//! # Terms
//! An *entry* maps a *prefix* to the address of the newest record of a chain. A prefix is the first
//! `root_bits + 17` bits of a hash, from its low end; their number never changes. The log knows the
//! keys of the chain; the index does not. A *bucket* is two cache lines: 15 entries and a *link* to
//! overflow lines of 7 entries each. A bucket has the entries of all prefixes that begin with its
//! number. The last 17 bits of a prefix are its *tag*, which an entry holds. The last bit of a tag
//! selects the line that is searched first. So most searches touch one line although a bucket
//! fills evenly.
//!
//! ```text
//!  line 0   e e e e e e e e
//!  line 1   e e e e e e e link ---> e e e e e e e link ---> ...
//!
//!  hash  ....................................................
//!                   | tag: 17 bits        |  root_bits       |
//!                   | prefix                                 |
//!                                   | bucket: more bits as the index grows
//! ```
//!
//! A *step* changes the number of buckets by one (`resize.rs`). It moves entries as they are: no
//! key is read, no record is touched, and two entries never become one. So the size of the index is
//! no fact of the store; `root_bits` is.
//!
//! Keys of one prefix share a chain of records. There are as many prefixes as have room in the
//! memory, so the memory bounds the index at any number of keys. Many more keys make long chains.
//!
//! Keys per bucket trade against memory. With 11.75 keys per bucket of 128 bytes on the mean, 5 to
//! 10 keys of 100 are in overflow lines, at 11.7 to 12.5 bytes a key.
//!
//! # Invariants
//! 1. At most one complete entry per prefix, ever ([`create`]).
//! 2. A tentative entry is written by its creator alone; searches skip it, and steps wait for it.
//! 3. A slot changes only by a CAS on the whole word, except by a step in a frozen bucket and at
//!    the end of a claim. Of a held entry only its holder changes the word (`steps/hold.rs`).
//! 4. A search that finds an entry may return it without another look. A search that finds none
//!    checks that no step has moved entries meanwhile (`find_anywhere`).
//! 5. A line that was taken out of its bucket is used again only after a drain: a search may still
//!    read it.
//!
//! # A search that is late
//! A search loads the extent, and reads the bucket while a step moves the entry to another bucket,
//! where a writer changes it. The search may return the old entry. It began before the writer
//! ended, so this is the answer of a search that ran before the writer. An update by that old entry
//! fails, because it searches the exact word in the bucket of the present extent.
//!
//! Source: FASTER, SIGMOD 2018, section 3, for buckets, entries and tags; linear hashing for the
//! extent (`extent.rs`).

mod create;
mod entry;
mod extent;
mod filling;
mod image;
mod line;
mod load;
mod overflow;
mod resize;
mod steps;
mod sweep;

pub(crate) use create::Refused;
pub(crate) use image::RunHead;
pub(crate) use resize::Shrunk;
pub(crate) use steps::hold::HeldEntries;

use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::base::memory::{WordMemory, prefetch};
use crate::base::wait::Event;
use crate::config::index_sizes::{BUCKET_BYTES, IndexSizes};
use entry::{HashBucketEntry, Tag};
use extent::{CurrentExtent, Extent};
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use line::{LINE_WORDS, Line, Link};
use load::Load;
use overflow::OverflowLines;
use std::io;
use steps::{Steps, wait_a_moment};

/// The lines of a bucket.
const BUCKET_LINES: usize = 2;
/// The bytes of the smallest table with huge pages. In a smaller one a huge page that is used in
/// part would be much.
const HUGE_FROM: u64 = 64 << 20;
/// The driver is told when this many entries wait for a drain.
const FORGOTTEN_MANY: usize = 64;
/// The room for entries that wait, so that operations do not allocate while the driver keeps up.
const FORGOTTEN_ROOM: usize = 1024;

const _: () = assert!(cfg!(loom) || BUCKET_BYTES == (BUCKET_LINES * LINE_WORDS * 8) as u64);

/// Maps prefixes to their newest addresses.
#[derive(Debug)]
pub(crate) struct HashIndex {
    // Fixed after creation. The words have addresses for `sizes.limit` buckets.
    words: WordMemory,
    sizes: IndexSizes,
    // Any thread, atomic.
    extent: CurrentExtent,
    load: Load,
    overflow: OverflowLines,
    // The task that makes a step.
    steps: Mutex<Steps>,
    // Any task, under the lock: entries to remove after a drain.
    forgotten: Mutex<Vec<FoundEntry>>,
    /// A task has told the driver that the index is sparse. The driver looks, and clears this.
    is_asked: AtomicBool,
    /// The index has become sparse, or lines or entries wait for a drain.
    pub(crate) demand: Event,
    /// The index has grown by a part that counts for the memory of the store.
    pub(crate) grown: Event,
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

/// Entries that the driver removes after a drain.
#[derive(Debug)]
pub(crate) struct ForgottenEntries(Vec<FoundEntry>);

impl Default for ForgottenEntries {
    fn default() -> Self {
        Self(Vec::with_capacity(FORGOTTEN_ROOM))
    }
}

impl ForgottenEntries {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl HashIndex {
    /// # Errors
    /// Fails if the system has no memory for the table.
    pub(crate) fn new(sizes: IndexSizes, huge_pages: bool) -> io::Result<Self> {
        let IndexSizes { root_bits, least, buckets, limit } = sizes;
        let order = [1 << root_bits, least, buckets, limit];
        assert!(order.is_sorted(), "{sizes:?}");
        assert!(limit <= sizes.prefixes(), "{sizes:?}: a step needs a bit of the tag");
        let (words, limit) = reserve(sizes, huge_pages)?;
        Ok(Self {
            words,
            sizes: IndexSizes { limit, ..sizes },
            extent: CurrentExtent::new(Extent::new(buckets)),
            load: Load::default(),
            overflow: OverflowLines::new(),
            steps: Mutex::default(),
            forgotten: Mutex::new(ForgottenEntries::default().0),
            is_asked: AtomicBool::new(false),
            demand: Event::new(),
            grown: Event::new(),
        })
    }

    /// Prefetches the line that a search for `hash` reads first. Returns the bucket.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: KeyHash) -> u64 {
        let bucket = self.bucket(hash);
        prefetch(self.line(bucket, self.tag(hash).line()).first_word());
        bucket
    }

    /// Searches the first line like `find`, in the bucket that `prefetch` returned. Prefetches the
    /// second line if the first has no match.
    #[inline(always)]
    pub(crate) fn find_or_prefetch(&self, hash: KeyHash, bucket: u64) -> Option<FoundEntry> {
        let tag = self.tag(hash);
        let found = self.line(bucket, tag.line()).find(tag);
        if found.is_none() {
            prefetch(self.line(bucket, tag.line() ^ 1).first_word());
        }
        found.map(|observed| FoundEntry { hash, observed })
    }

    /// Searches the second line, which `find_or_prefetch` prefetched. Prefetches the first overflow
    /// line if the second line has no match.
    pub(crate) fn find_further_or_prefetch(
        &self,
        hash: KeyHash,
        bucket: u64,
    ) -> Option<FoundEntry> {
        let tag = self.tag(hash);
        let found = self.line(bucket, tag.line() ^ 1).find(tag);
        if found.is_none()
            && let Some((_, line)) = self.overflow_of(bucket).next()
        {
            prefetch(line.first_word());
        }
        found.map(|observed| FoundEntry { hash, observed })
    }

    /// Returns the entry that leads to the records of `hash`, if there is one.
    #[inline(always)]
    pub(crate) fn find(&self, hash: KeyHash) -> Option<FoundEntry> {
        let (bucket, tag) = (self.bucket(hash), self.tag(hash));
        let observed = match self.line(bucket, tag.line()).find(tag) {
            Some(observed) => observed,
            None => self.find_further(hash, bucket),
        };
        (!observed.is_free()).then_some(FoundEntry { hash, observed })
    }

    /// Searches like `find`, in the lines of the bucket as they are at this moment. So it may miss
    /// an entry that a step moves.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, hash: KeyHash) -> Option<FoundEntry> {
        let (bucket, tag) = (self.bucket(hash), self.tag(hash));
        let found = self.line(bucket, tag.line()).find(tag);
        let observed = found.or_else(|| self.find_in_further_lines(tag, bucket))?;
        Some(FoundEntry { hash, observed })
    }

    /// Returns the address to which `find_at_once` leads, or `NONE`.
    #[inline(always)]
    pub(crate) fn newest_at_once(&self, hash: KeyHash) -> Address {
        let (bucket, tag) = (self.bucket(hash), self.tag(hash));
        match self.line(bucket, tag.line()).find(tag) {
            Some(observed) => observed.address(),
            None => self.newest_in_further_lines(tag, bucket),
        }
    }

    /// Returns the entry of `hash`, and makes it if there is none. A new entry has the address
    /// `UNSET`.
    ///
    /// # Errors
    /// `NoMemory` if its bucket is full and the system has no memory for another line; `Contended`
    /// if other tasks are changing the bucket.
    #[inline(always)]
    pub(crate) fn find_or_create(&self, hash: KeyHash) -> Result<FoundEntry, Refused> {
        self.find(hash).map_or_else(|| self.create(hash), Ok)
    }

    /// Returns whether an entry is as it was found, and neither a task nor a step holds it.
    #[inline(always)]
    pub(crate) fn is_unchanged(&self, entry: FoundEntry) -> bool {
        self.slot_of(entry).is_some()
    }

    /// Makes `address` the newest record of an entry, if nothing has changed since it was found.
    #[inline(always)]
    pub(crate) fn try_update(&self, entry: FoundEntry, address: Address) -> bool {
        self.try_replace(entry, HashBucketEntry::new(self.tag(entry.hash), address))
    }

    /// Notes an entry whose chain has no live record, and never will. The driver removes it after a
    /// drain, unless it has changed.
    ///
    /// An operation that found the prefix without a record may be about to link one, at an address
    /// below the dead record. After the drain there is no such operation, so the addresses of a
    /// prefix only ever go up.
    pub(crate) fn forget(&self, entry: FoundEntry) {
        let mut forgotten = self.forgotten.lock().expect("nothing panics under it");
        forgotten.push(entry);
        let is_many = forgotten.len() == FORGOTTEN_MANY;
        drop(forgotten);
        if is_many {
            self.demand.notify(usize::MAX);
        }
    }

    /// Exchanges the entries to remove after a drain for an empty list.
    pub(crate) fn take_forgotten(&self, list: &mut ForgottenEntries) {
        debug_assert!(list.0.is_empty(), "the driver has removed the last ones");
        let mut forgotten = self.forgotten.lock().expect("nothing panics under it");
        std::mem::swap(&mut *forgotten, &mut list.0);
    }

    /// Removes entries, unless they have changed since they were found.
    pub(crate) fn remove(&self, entries: &mut ForgottenEntries) {
        for entry in entries.0.drain(..) {
            if self.try_remove(entry) {
                continue;
            }
            // A step may have frozen the bucket of the entry.
            if self.find(entry.hash).is_some_and(|found| found.observed == entry.observed) {
                self.forget(entry);
            }
        }
    }

    fn try_remove(&self, entry: FoundEntry) -> bool {
        let is_removed = self.try_replace(entry, HashBucketEntry::FREE);
        if is_removed {
            self.count_removed(entry.hash);
        }
        is_removed
    }

    /// Counts the entry of `hash`, which was removed.
    fn count_removed(&self, hash: KeyHash) {
        let bucket = self.bucket(hash);
        self.load.count(bucket, -1);
        self.ask_to_shrink(bucket);
    }

    #[inline(always)]
    fn try_replace(&self, entry: FoundEntry, new: HashBucketEntry) -> bool {
        self.slot_of(entry).is_some_and(|word| {
            // Release: publishes the record; pairs with the Acquire of searches.
            let (observed, new) = (entry.observed.raw(), new.raw());
            word.compare_exchange(observed, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Makes `address` the newest record of its entry, unless the entry already leads to a newer
    /// record. So records of the log can be added in any order. One task uses the index.
    ///
    /// # Errors
    /// Fails if the system has no memory for another line.
    pub(crate) fn raise(&self, hash: KeyHash, address: Address) -> io::Result<()> {
        loop {
            let entry = self.find_or_create(hash).map_err(Refused::without_contention)?;
            if entry.address() >= address || self.try_update(entry, address) {
                return Ok(());
            }
        }
    }

    /// Returns the slot of an entry, unless that has changed since it was found.
    #[inline(always)]
    fn slot_of(&self, FoundEntry { hash, observed }: FoundEntry) -> Option<&AtomicU64> {
        let slot = self.line(self.bucket(hash), self.tag(hash).line()).slot_of(observed);
        slot.or_else(|| self.slot_further(hash, observed))
    }

    #[inline(never)]
    fn slot_further(&self, hash: KeyHash, observed: HashBucketEntry) -> Option<&AtomicU64> {
        self.lines(self.bucket(hash), self.tag(hash)).find_map(|line| line.slot_of(observed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.buckets() * BUCKET_BYTES + self.overflow.bytes()
    }

    /// Returns the binary logarithm of the minimum of buckets.
    pub(crate) fn root_bits(&self) -> u32 {
        self.sizes.root_bits
    }

    /// Returns the number of prefixes, the limit of entries.
    pub(crate) fn prefixes(&self) -> u64 {
        self.sizes.prefixes()
    }

    pub(crate) fn buckets(&self) -> u64 {
        self.extent.load().buckets()
    }

    /// Returns about how many entries there are.
    pub(crate) fn entries(&self) -> u64 {
        self.load.entries()
    }

    #[inline(always)]
    fn tag(&self, hash: KeyHash) -> Tag {
        Tag::of(hash.bits(), self.sizes.root_bits)
    }

    #[inline(always)]
    fn bucket(&self, hash: KeyHash) -> u64 {
        self.extent.load().bucket_of(hash.bits())
    }

    /// Returns line 0 or 1 of a bucket.
    #[inline(always)]
    fn line(&self, bucket: u64, parity: usize) -> Line<'_> {
        let bucket = usize::try_from(bucket).expect("buckets are in memory");
        // One check of bounds for the whole line.
        let (lines, _) = self.words.as_chunks::<LINE_WORDS>();
        Line::new(&lines[bucket * BUCKET_LINES + parity], parity == 1)
    }

    /// Searches the second line of a bucket, its overflow lines, and then the whole bucket.
    #[inline(never)]
    fn find_further(&self, hash: KeyHash, bucket: u64) -> HashBucketEntry {
        let tag = self.tag(hash);
        let found = self.find_in_further_lines(tag, bucket);
        found.unwrap_or_else(|| self.find_anywhere(hash, tag))
    }

    #[inline(never)]
    fn newest_in_further_lines(&self, tag: Tag, bucket: u64) -> Address {
        self.find_in_further_lines(tag, bucket).map_or(Address::NONE, HashBucketEntry::address)
    }

    /// Searches the second line of a bucket, and its overflow lines.
    #[inline]
    fn find_in_further_lines(&self, tag: Tag, bucket: u64) -> Option<HashBucketEntry> {
        let second = self.line(bucket, tag.line() ^ 1).find(tag);
        second.or_else(|| self.overflow_of(bucket).find_map(|(_, line)| line.find(tag)))
    }

    /// Searches the whole bucket, again if a step changes it meanwhile.
    #[cold]
    #[inline(never)]
    fn find_anywhere(&self, hash: KeyHash, tag: Tag) -> HashBucketEntry {
        let mut tries = 0;
        loop {
            let bucket = self.bucket(hash);
            let link = self.line(bucket, 1).link();
            let found = self.lines(bucket, tag).find_map(|line| line.find_frozen(tag));
            if let Some(observed) = found {
                return observed;
            }
            if self.is_unmoved(hash, bucket, link) {
                return HashBucketEntry::FREE;
            }
            wait_a_moment(tries);
            tries += 1;
        }
    }

    /// Returns whether no step has moved entries of this bucket since its link was loaded, and
    /// before the extent that led to the bucket changed for `hash`.
    fn is_unmoved(&self, hash: KeyHash, bucket: u64, link: Link) -> bool {
        // The extent first: a bucket that was cleared and filled again meanwhile has the version of
        // the step that published the extent.
        self.bucket(hash) == bucket && self.has_version(bucket, link)
    }

    /// Returns whether no step has moved entries of this bucket since its link was loaded.
    fn has_version(&self, bucket: u64, link: Link) -> bool {
        // Pairs with the Release of the stores of a step: a search that read one of them sees the
        // link frozen, or a later one.
        fence(Ordering::Acquire);
        let now = self.line(bucket, 1).link();
        !now.is_frozen() && now.is_same_version(link)
    }

    /// Returns the lines of a bucket in the order of search. The two lines of the table come first.
    fn lines(&self, bucket: u64, tag: Tag) -> impl Iterator<Item = Line<'_>> {
        let table = [tag.line(), tag.line() ^ 1].map(|parity| self.line(bucket, parity));
        table.into_iter().chain(self.overflow_of(bucket).map(|(_, line)| line))
    }

    /// Returns the overflow lines of a bucket, with their numbers.
    fn overflow_of(&self, bucket: u64) -> impl Iterator<Item = (u64, Line<'_>)> {
        let mut number = self.line(bucket, 1).link().number();
        std::iter::from_fn(move || {
            (number != 0).then(|| {
                let found = (number, self.overflow.line(number));
                number = found.1.link().number();
                found
            })
        })
    }
}

/// Reserves addresses for the table, for fewer buckets if the system has no more. Returns the limit
/// of buckets.
fn reserve(sizes: IndexSizes, huge_pages: bool) -> io::Result<(WordMemory, u64)> {
    let mut limit = sizes.limit;
    loop {
        let words = usize::try_from(limit * BUCKET_BYTES / 8).expect("fits in memory");
        let huge_pages = huge_pages && limit * BUCKET_BYTES >= HUGE_FROM;
        match WordMemory::zeroed(words, huge_pages) {
            Ok(words) => return Ok((words, limit)),
            Err(error) if limit == sizes.buckets => return Err(error),
            Err(_) => limit = (limit / 2).max(sizes.buckets),
        }
    }
}

impl FoundEntry {
    /// Returns the entry after `address` was made its newest record.
    pub(crate) fn moved_to(self, address: Address) -> Self {
        Self { observed: HashBucketEntry::new(self.observed.tag(), address), ..self }
    }

    /// Returns the address of the newest record when the entry was found.
    #[inline(always)]
    pub(crate) fn address(self) -> Address {
        self.observed.address()
    }
}

#[cfg(test)]
mod tests;
