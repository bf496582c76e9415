//! The index as words that mean the same at any place where they are loaded.
//!
//! An image begins with the table, bucket by bucket, each with 15 entries and a zero in place of
//! the link. Then, for each bucket with overflow lines, follow its number, a count, and that many
//! entries. The image is copied while operations change the index. An entry is one word, and
//! complete entries stay in their slots. So the image has every entry that existed when the copy
//! began, in its state then or later. Entries whose insertion has not ended, or that lead to no
//! record yet, are left out.

use super::entry::HashBucketEntry;
use super::{BUCKET_LINES, HashIndex, LINE_WORDS};
use crate::base::address::Address;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::ops::Range;

/// The words of a bucket in the table.
const BUCKET_WORDS: u64 = (BUCKET_LINES * LINE_WORDS) as u64;

impl HashIndex {
    pub(crate) fn buckets(&self) -> u64 {
        self.buckets
    }

    /// Returns the words of the table in an image of `buckets` buckets.
    pub(crate) const fn table_words(buckets: u64) -> u64 {
        buckets * BUCKET_WORDS
    }

    /// Appends some words of the table to `out`.
    pub(crate) fn copy_table(&self, words: Range<u64>, out: &mut Vec<u8>) {
        let bounds = [words.start, words.end].map(in_memory);
        let (words, start) = (&self.words[bounds[0]..bounds[1]], out.len());
        out.resize(start + words.len() * 8, 0);
        let first = bounds[0] as u64;
        for ((word, number), target) in
            words.iter().zip(first..).zip(out[start..].chunks_exact_mut(8))
        {
            if number % BUCKET_WORDS != BUCKET_WORDS - 1 {
                target.copy_from_slice(&stable_entry(word).raw().to_le_bytes());
            }
        }
    }

    /// Appends the entries of the overflow lines of a bucket, with its number and their count, to
    /// `out`. Appends nothing if there are none.
    pub(crate) fn copy_overflow(&self, bucket: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let mut count = 0_u64;
        for word in self.overflow_of(bucket).flat_map(super::Line::entries) {
            let entry = stable_entry(word);
            if entry.is_free() {
                continue;
            }
            if count == 0 {
                out.extend_from_slice(&bucket.to_le_bytes());
                out.extend_from_slice(&0_u64.to_le_bytes());
            }
            out.extend_from_slice(&entry.raw().to_le_bytes());
            count += 1;
        }
        if count > 0 {
            out[start + 8..start + 16].copy_from_slice(&count.to_le_bytes());
        }
    }

    /// Sets words of the table, from number `first` on, from an image. No task uses the index yet.
    pub(crate) fn load_table(&self, first: u64, image: &[u8]) {
        for (slot, word) in self.words[in_memory(first)..].iter().zip(image.chunks_exact(8)) {
            let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
            // Relaxed: the thread that shares the index with other threads afterwards releases it.
            slot.store(word, Ordering::Relaxed);
        }
    }

    /// Adds an overflow entry of a bucket from an image. Returns false if there is no such bucket.
    ///
    /// # Errors
    /// Fails if the system has no memory for another line.
    pub(crate) fn load_overflow_entry(&self, bucket: u64, word: u64) -> io::Result<bool> {
        if bucket >= self.buckets {
            return Ok(false);
        }
        let mut last = self.line_of(bucket, 1);
        for line in self.overflow_of(bucket) {
            let free = line.entries().iter().find(|slot| slot.load(Ordering::Relaxed) == 0);
            if let Some(slot) = free {
                slot.store(word, Ordering::Relaxed);
                return Ok(true);
            }
            last = line;
        }
        self.extend(last)?;
        self.load_overflow_entry(bucket, word)
    }

    /// Returns whether a word of an image is free or leads to a record below `end`.
    pub(crate) fn is_sound(word: u64, end: Address) -> bool {
        let entry = HashBucketEntry::from_raw(word);
        entry.is_free() || !entry.is_tentative() && (Address::FIRST..end).contains(&entry.address())
    }
}

fn in_memory(number: u64) -> usize {
    usize::try_from(number).expect("the table is in memory")
}

/// Returns the entry of a slot, if it leads to a record.
fn stable_entry(word: &AtomicU64) -> HashBucketEntry {
    // Acquire: pairs with the Release of the CAS that linked the record.
    let entry = HashBucketEntry::from_raw(word.load(Ordering::Acquire));
    if entry.is_tentative() || entry.address() <= Address::UNSET {
        HashBucketEntry::FREE
    } else {
        entry
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::hash::KeyHasher;

    fn words(image: &[u8]) -> Vec<u64> {
        let words = image.chunks_exact(8);
        words.map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect()
    }

    #[test]
    fn an_image_loads_into_an_index_that_answers_the_same() {
        let hasher = KeyHasher::new(7);
        let hash = |key: u64| hasher.hash(&key.to_le_bytes());
        let index = HashIndex::new(3, false).expect("memory");
        for key in 0..400 {
            index.raise(hash(key), Address::new(1000 + 8 * key)).expect("memory");
        }
        // This entry leads nowhere yet.
        index.find_or_create(hash(1000)).expect("memory");
        let (mut table, mut overflow) = (Vec::new(), Vec::new());
        index.copy_table(0..HashIndex::table_words(3), &mut table);
        (0..3).for_each(|bucket| index.copy_overflow(bucket, &mut overflow));

        let copy = HashIndex::new(3, false).expect("memory");
        let end = Address::new(5000);
        assert!(words(&table).into_iter().all(|word| HashIndex::is_sound(word, end)));
        let (front, back) = table.split_at(8 * 20);
        copy.load_table(0, front);
        copy.load_table(20, back);
        let overflow = words(&overflow);
        let mut rest = &overflow[..];
        while let [bucket, count, entries @ ..] = rest {
            let (entries, after) = entries.split_at(usize::try_from(*count).expect("small"));
            for word in entries {
                assert!(copy.load_overflow_entry(*bucket, *word).expect("memory"));
            }
            rest = after;
        }
        for key in 0..400 {
            let found = |index: &HashIndex| index.find(hash(key)).expect("there").address();
            assert_eq!(found(&copy), found(&index), "key {key}");
        }
        assert_eq!(copy.bytes(), index.bytes());
    }

    #[test]
    fn raising_keeps_the_newest() {
        let hash = KeyHasher::new(7).hash(b"key");
        let index = HashIndex::new(1, false).expect("memory");
        for address in [800, 2000, 64, 1600] {
            index.raise(hash, Address::new(address)).expect("memory");
        }
        assert_eq!(index.find(hash).expect("there").address(), Address::new(2000));
    }

    #[test]
    fn foreign_words_are_not_sound() {
        let end = Address::new(1000);
        let entry = |tag, address| HashBucketEntry::new(tag, Address::new(address));
        assert!(HashIndex::is_sound(entry(0, 64).raw(), end));
        for word in [entry(1, 1000).raw(), entry(1, 8).raw(), entry(1, 64).with_tentative().raw()] {
            assert!(!HashIndex::is_sound(word, end), "{word:#x}");
        }
    }
}
