//! Loads the runs of an image into an index that no other task uses.
//!
//! An image that is loaded at its own size finds its buckets unused. Such a bucket is filled with
//! its whole run. To search each entry in it first took most of the time of a recovery.

use crate::base::address::Address;
use crate::hash_index::HashIndex;
use crate::hash_index::entry::HashBucketEntry;
use kvick_io::sync::atomic::Ordering;
use std::io;

/// The maximum number of entries of a run that fills a bucket.
const LONGEST: usize = 64;
/// The number of new entries for each look at the size of the index. They are about those of a
/// bucket, and a look may add two.
const ENTRIES_A_LOOK: usize = 12;

impl HashIndex {
    /// Adds the entries of a run of an image, except those of records below `begin`, and those of a
    /// prefix with a newer entry. No other task uses the index.
    ///
    /// # Errors
    /// Fails if the system has no memory for another line.
    pub(crate) fn load_run(&self, (bucket, run): (u64, &[u64]), begin: Address) -> io::Result<()> {
        if self.is_whole(bucket, run, begin) && self.is_unused(bucket) {
            return self.fill_unused(bucket, run);
        }
        run.iter().try_for_each(|word| self.load_entry((bucket, *word), begin))
    }

    /// Returns whether each entry of a run has a slot of its own in this bucket.
    fn is_whole(&self, bucket: u64, run: &[u64], begin: Address) -> bool {
        let extent = self.extent.load();
        let belongs = |word: &u64| {
            let entry = HashBucketEntry::from_raw(*word);
            entry.address() >= begin && extent.bucket_of(self.prefix(bucket, entry)) == bucket
        };
        run.len() <= LONGEST && run.iter().all(belongs) && !has_equal_tags(run)
    }

    fn is_unused(&self, bucket: u64) -> bool {
        let slots = [0, 1].map(|parity| self.line(bucket, parity).entries());
        // Relaxed: no other task uses the index.
        let mut words = slots.into_iter().flatten().map(|slot| slot.load(Ordering::Relaxed));
        self.line(bucket, 1).link().number() == 0 && words.all(|word| word == 0)
    }

    /// Fills an unused bucket with entries of different tags.
    fn fill_unused(&self, bucket: u64, run: &[u64]) -> io::Result<()> {
        let mut last = self.line(bucket, 1);
        let mut free = [0, 1].map(|parity| self.line(bucket, parity).entries().iter());
        let mut further = [].iter();
        for word in run {
            // Each entry goes to the line that is searched first, if it has space.
            let parity = HashBucketEntry::from_raw(*word).tag().line();
            let slot = free[parity].next().or_else(|| free[parity ^ 1].next());
            let slot = match slot.or_else(|| further.next()) {
                Some(slot) => slot,
                None => {
                    self.extend(last, last.link())?;
                    last = self.overflow.line(last.link().number());
                    further = last.entries().iter();
                    further.next().expect("a line has slots")
                }
            };
            // Relaxed: the thread that shares the index with other threads afterwards releases it.
            slot.store(*word, Ordering::Relaxed);
        }
        self.load.count(bucket, (run.len() as u64).cast_signed());
        (0..run.len().div_ceil(ENTRIES_A_LOOK)).for_each(|_| self.grow_if_full(bucket));
        Ok(())
    }

    /// Adds an entry from an image, unless its record is below `begin`, or there is a newer entry
    /// of its prefix.
    fn load_entry(&self, (bucket, word): (u64, u64), begin: Address) -> io::Result<()> {
        let entry = HashBucketEntry::from_raw(word);
        if entry.address() < begin {
            return Ok(());
        }
        let bucket = self.extent.load().bucket_of(self.prefix(bucket, entry));
        let tag = entry.tag();
        loop {
            let mut last = self.line(bucket, 1);
            let mut free = None;
            for line in self.lines(bucket, tag) {
                for slot in line.entries() {
                    // Relaxed: the thread that shares the index with other threads afterwards
                    // releases it.
                    let present = HashBucketEntry::from_raw(slot.load(Ordering::Relaxed));
                    if present.tag() == tag {
                        slot.store(present.raw().max(word), Ordering::Relaxed);
                        return Ok(());
                    }
                    if free.is_none() && present.is_free() {
                        free = Some(slot);
                    }
                }
                last = if line.has_link() { line } else { last };
            }
            if let Some(slot) = free {
                slot.store(word, Ordering::Relaxed);
                self.load.count(bucket, 1);
                self.grow_if_full(bucket);
                return Ok(());
            }
            self.extend(last, last.link())?;
        }
    }

    /// Returns the prefix of an entry of a bucket, at whatever size the bucket had this number.
    fn prefix(&self, bucket: u64, entry: HashBucketEntry) -> u64 {
        let root_bits = self.sizes.root_bits;
        bucket & ((1 << root_bits) - 1) | entry.tag_bits() << root_bits
    }

    /// Returns whether a word of a run of this bucket is an entry that leads to a record below
    /// `end`. Each hash that begins with the prefix of the entry belongs to the bucket, at the size
    /// `buckets` of the image or, if a split moved it during the copy, at a smaller one.
    pub(crate) fn is_sound(root_bits: u32, bucket: u64, word: u64, end: Address) -> bool {
        let entry = HashBucketEntry::from_raw(word);
        let tag_bits = bucket >> root_bits;
        let known = u64::BITS - tag_bits.leading_zeros();
        entry.leads_to_a_record()
            && !entry.is_held()
            && (Address::FIRST..end).contains(&entry.address())
            && entry.tag_bits() & ((1 << known) - 1) == tag_bits
    }
}

/// Returns whether two entries of a run have the same tag. The copy of an image may meet an entry
/// that is removed, and again where it is made anew.
fn has_equal_tags(run: &[u64]) -> bool {
    let tag = |word: &u64| HashBucketEntry::from_raw(*word).tag_bits();
    // A bit for each value of the upper bits, which differ most within a bucket.
    let mut seen = [0_u64; 16];
    run.iter().enumerate().any(|(place, word)| {
        let own = tag(word);
        let (part, bit) = (usize::try_from(own >> 13).expect("4 bits"), 1 << (own >> 7 & 63));
        let is_seen = seen[part] & bit != 0;
        seen[part] |= bit;
        is_seen && run[..place].iter().any(|before| tag(before) == own)
    })
}
