//! The index as words that mean the same at any size of an index.
//!
//! An image is a row of *runs*. A run begins with a word of the number of a bucket and a count, and
//! has that many entries. An entry with the number of its bucket gives the prefix, and the prefix
//! gives the bucket at another size.
//!
//! ```text
//!      63.............40   39...................0
//! +--------------------+------------------------+
//! |  entries, 1 or more |  bucket               |     then the entries, as they are in memory
//! +--------------------+------------------------+
//! ```
//!
//! The image is copied while operations change the index and steps split buckets. The copy goes up
//! from bucket to bucket, and so do entries when a bucket splits; no bucket merges meanwhile. So
//! the image has every entry that existed when the copy began, in its state then or later. If a
//! split moves an entry that was copied, the image has it twice; the higher address is the newer
//! one. Entries that lead to no record yet are left out.

mod load;

use super::HashIndex;
use super::entry::HashBucketEntry;
use super::line::{LINE_WORDS, Line};
use super::steps::wait_a_moment;
use crate::base::memory::prefetch;
use kvick_io::sync::atomic::Ordering;

const BUCKET_BITS: u32 = 40;
const BUCKET: u64 = (1 << BUCKET_BITS) - 1;
/// The number of buckets between the bucket that is copied and the one whose overflow line is
/// prefetched.
const AHEAD: u64 = 8;

/// The first word of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunHead {
    pub(crate) bucket: u64,
    /// The number of entries, which is not 0.
    pub(crate) entries: u64,
}

impl RunHead {
    fn word(self) -> u64 {
        debug_assert!(self.bucket <= BUCKET && self.entries > 0, "{self:?}");
        self.entries << BUCKET_BITS | self.bucket
    }

    /// Returns `None` for a word that begins no run.
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        let head = Self { bucket: word & BUCKET, entries: word >> BUCKET_BITS };
        (head.entries > 0).then_some(head)
    }
}

/// A copy of an index in progress. No bucket merges while it lives.
#[derive(Debug)]
pub(crate) struct ImageCopy<'i> {
    index: &'i HashIndex,
    next: u64,
}

impl ImageCopy<'_> {
    /// Appends the runs of the next buckets, at most this many, to `out`. Returns false after the
    /// last bucket.
    pub(crate) fn copy(&mut self, buckets: u64, out: &mut Vec<u8>) -> bool {
        // The index may have grown since the last call.
        let end = (self.next + buckets).min(self.index.buckets());
        for bucket in self.next..end {
            self.index.prefetch_further((bucket + AHEAD).min(end - 1));
            self.index.copy_bucket(bucket, out);
        }
        self.next = end;
        end < self.index.buckets()
    }

    /// Returns the number of buckets that were copied.
    pub(crate) fn buckets(&self) -> u64 {
        self.next
    }
}

impl Drop for ImageCopy<'_> {
    fn drop(&mut self) {
        self.index.end_image();
    }
}

impl HashIndex {
    pub(crate) fn image(&self) -> ImageCopy<'_> {
        self.begin_image();
        ImageCopy { index: self, next: 0 }
    }

    /// Prefetches the first overflow line of a bucket.
    fn prefetch_further(&self, bucket: u64) {
        if let Some((_, line)) = self.overflow_of(bucket).next() {
            prefetch(line.first_word());
        }
    }

    /// Appends the run of a bucket to `out`. Appends nothing if it has no entry.
    fn copy_bucket(&self, bucket: u64, out: &mut Vec<u8>) {
        let start = out.len();
        for tries in 0.. {
            let link = self.line(bucket, 1).link();
            out.extend_from_slice(&[0; 8]);
            copy_line(self.line(bucket, 0), out);
            copy_line(self.line(bucket, 1), out);
            self.overflow_of(bucket).for_each(|(_, line)| copy_line(line, out));
            if self.has_version(bucket, link) {
                break;
            }
            // A step moved the entries meanwhile.
            out.truncate(start);
            wait_a_moment(tries);
        }
        match (out.len() - start) as u64 / 8 - 1 {
            0 => out.truncate(start),
            entries => {
                let head = RunHead { bucket, entries }.word();
                out[start..start + 8].copy_from_slice(&head.to_le_bytes());
            }
        }
    }
}

/// Appends the entries of a line that lead to a record to `out`.
fn copy_line(line: Line<'_>, out: &mut Vec<u8>) {
    let mut found = [[0; 8]; LINE_WORDS];
    let mut count = 0;
    for word in line.entries() {
        // Acquire: pairs with the Release of the CAS that linked the record.
        let entry = HashBucketEntry::from_raw(word.load(Ordering::Acquire));
        if entry.leads_to_a_record() {
            found[count] = entry.thawed().raw().to_le_bytes();
            count += 1;
        }
    }
    out.extend_from_slice(found[..count].as_flattened());
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::address::Address;
    use crate::base::hash::{KeyHash, KeyHasher};
    use crate::config::index_sizes::IndexSizes;

    const ROOT_BITS: u32 = 1;

    fn index(buckets: u64, limit: u64) -> HashIndex {
        let sizes = IndexSizes { root_bits: ROOT_BITS, least: 1 << ROOT_BITS, buckets, limit };
        HashIndex::new(sizes, false).expect("memory")
    }

    fn hash(key: u64) -> KeyHash {
        KeyHasher::new(7).hash(&key.to_le_bytes())
    }

    fn words(image: &[u8]) -> Vec<u64> {
        let words = image.chunks_exact(8);
        words.map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect()
    }

    fn load(image: &[u8], index: &HashIndex) {
        let words = words(image);
        let mut rest = &words[..];
        while let [head, entries @ ..] = rest {
            let head = RunHead::from_word(*head).expect("a run");
            let (entries, after) = entries.split_at(usize::try_from(head.entries).expect("small"));
            for word in entries {
                let end = Address::new(1 << 20);
                assert!(HashIndex::is_sound(ROOT_BITS, head.bucket, *word, end), "{head:?}");
            }
            index.load_run((head.bucket, entries), Address::FIRST).expect("memory");
            rest = after;
        }
    }

    #[test]
    fn an_image_loads_into_an_index_of_any_size() {
        let source = index(3, 3);
        for key in 0..400 {
            source.raise(hash(key), Address::new(1000 + 8 * key)).expect("memory");
        }
        // This entry leads nowhere yet.
        source.find_or_create(hash(1000)).expect("memory");
        let mut image = Vec::new();
        let mut copy = source.image();
        while copy.copy(2, &mut image) {}
        assert_eq!(copy.buckets(), 3);
        drop(copy);
        for (buckets, limit) in [(2, 2), (3, 3), (3, 100), (4, 4), (37, 37), (256, 1000)] {
            let loaded = index(buckets, limit);
            load(&image, &loaded);
            for key in 0..400 {
                let found = |index: &HashIndex| index.find(hash(key)).expect("there").address();
                assert_eq!(found(&loaded), found(&source), "key {key} of {buckets}");
            }
            assert!(loaded.find(hash(1000)).is_none_or(|found| found.address() > Address::UNSET));
            assert_eq!(loaded.entries(), image.len() as u64 / 8 - words_of_heads(&image));
        }
    }

    fn words_of_heads(image: &[u8]) -> u64 {
        let words = words(image);
        let (mut next, mut heads) = (0, 0);
        while next < words.len() {
            next += 1 + usize::try_from(words[next] >> BUCKET_BITS).expect("small");
            heads += 1;
        }
        heads
    }

    /// A bucket was split after it had been copied: the image has its entries twice.
    #[test]
    fn an_image_of_an_index_that_grows_has_every_entry() {
        let source = index(2, 64);
        let mut image = Vec::new();
        let mut next = 0;
        let add = |next: &mut u64, more: u64| {
            for key in *next..*next + more {
                source.raise(hash(key), Address::new(1000 + 8 * key)).expect("memory");
            }
            *next += more;
        };
        add(&mut next, 20);
        let mut copy = source.image();
        while copy.copy(1, &mut image) {
            if next < 500 {
                add(&mut next, 20);
                source.raise(hash(3), Address::new(10_000 + 8 * next)).expect("memory");
            }
        }
        drop(copy);
        assert!(source.buckets() > 30, "{} buckets", source.buckets());
        let loaded = index(5, 1000);
        load(&image, &loaded);
        for key in 0..20 {
            let address = loaded.find(hash(key)).expect("there when the copy began").address();
            assert!(address >= Address::new(1000 + 8 * key));
        }
    }

    /// The copy may meet an entry that was removed, and again where it was made anew.
    #[test]
    fn a_run_fills_a_bucket_with_each_prefix_once() {
        use super::super::entry::Tag;
        let entry =
            |tag: u64, address| HashBucketEntry::new(Tag::of(tag, 0), Address::new(address)).raw();
        for entries in [1, 14, 15, 16, 22, 23, 64, 65, 100] {
            for (twice, begin) in [(false, 64), (true, 64), (false, 808)] {
                let mut run: Vec<u64> =
                    (0..entries).map(|at| entry(at * 977, 800 + 8 * at)).collect();
                let mut expected = run.clone();
                if twice {
                    expected[0] = entry(0, 4000);
                    run.push(expected[0]);
                }
                expected.retain(|word| HashBucketEntry::from_raw(*word).address().raw() >= begin);
                let loaded = index(2, 2);
                loaded.load_run((1, &run), Address::new(begin)).expect("memory");
                assert_eq!(loaded.entries(), expected.len() as u64, "{entries}");
                let mut image = Vec::new();
                loaded.copy_bucket(1, &mut image);
                let mut found = words(&image);
                if !found.is_empty() {
                    found.remove(0);
                }
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected, "{entries} entries, one twice: {twice}, from {begin}");
            }
        }
    }

    #[test]
    fn raising_keeps_the_newest() {
        let index = index(2, 2);
        for address in [800, 2000, 64, 1600] {
            index.raise(hash(1), Address::new(address)).expect("memory");
        }
        assert_eq!(index.find(hash(1)).expect("there").address(), Address::new(2000));
    }

    #[test]
    fn foreign_words_are_not_sound() {
        use super::super::entry::Tag;
        let is_sound =
            |bucket, word| HashIndex::is_sound(ROOT_BITS, bucket, word, Address::new(1000));
        let entry =
            |tag, address| HashBucketEntry::new(Tag::of(tag, 0), Address::new(address)).raw();
        for bucket in [0, 1, 2, 6, 7] {
            assert!(is_sound(bucket, entry(0b111_0000 | bucket >> ROOT_BITS, 64)), "{bucket}");
        }
        assert!(!is_sound(6, entry(0b01, 64)), "an entry of another bucket");
        let frozen = HashBucketEntry::from_raw(entry(1, 64)).frozen().raw();
        for word in [entry(1, 1000), entry(1, 8), frozen, 0, 64] {
            assert!(!is_sound(2, word), "{word:#x}");
        }
    }
}
