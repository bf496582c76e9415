//! The upper bound of the design: one index line and one record line for each operation.
//!
//! It has no epoch, no regions, no chains and no checks. A bucket has eight words (16-bit tag,
//! 48-bit record number plus one), and a record has three (header, key, value). Both are in huge
//! pages.

use std::sync::atomic::{AtomicU64, Ordering};

use benches::keys::key_of;
use benches::payload::Payload;

use versus::words::{huge_words, prefetch};

const WORDS_PER_BUCKET: usize = 8;
const WORDS_PER_RECORD: usize = 3;
const NUMBER_BITS: u32 = 48;

/// An index and a log with nothing around them.
#[derive(Debug)]
pub struct Bare {
    buckets: &'static [AtomicU64],
    records: &'static [AtomicU64],
    mask: usize,
}

/// The place in the index for a key.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    bucket: usize,
    tag: u64,
    key: u64,
}

impl Probe {
    /// Returns the key of the probe.
    #[inline]
    pub fn key(self) -> u64 {
        self.key
    }
}

impl Bare {
    /// Loads `records` records on one thread.
    pub fn load(records: u64) -> Self {
        let records = usize::try_from(records).expect("records fit into memory");
        let buckets = (records / 4).next_power_of_two();
        let bare = Self {
            buckets: huge_words(buckets * WORDS_PER_BUCKET),
            records: huge_words(records * WORDS_PER_RECORD),
            mask: buckets - 1,
        };
        for number in 0..records {
            bare.insert(number);
        }
        bare
    }

    /// Hashes a key.
    #[inline]
    pub fn probe(&self, key: u64) -> Probe {
        let wide = u128::from(key ^ 0x2D35_8DCC_AA6C_78A5) * 0x8BB8_4B93_962E_ACC9;
        let hash = (wide as u64) ^ (wide >> 64) as u64;
        Probe { bucket: hash as usize & self.mask, tag: hash >> NUMBER_BITS, key }
    }

    /// Prefetches the index line of a probe.
    #[inline]
    pub fn prefetch_bucket(&self, probe: Probe) {
        prefetch(&self.buckets[probe.bucket * WORDS_PER_BUCKET]);
    }

    /// Prefetches the line of the first record of the bucket whose tag matches.
    #[inline]
    pub fn prefetch_record(&self, probe: Probe) {
        let bucket = &self.buckets[probe.bucket * WORDS_PER_BUCKET..][..WORDS_PER_BUCKET];
        let mut words = bucket.iter().map(|word| word.load(Ordering::Relaxed));
        let found = words.find(|word| word >> NUMBER_BITS == probe.tag);
        if let Some(record) = found.and_then(|word| self.record_of(word)) {
            prefetch(&record[0]);
        }
    }

    /// Returns the word that holds the value of a key.
    #[inline]
    pub fn find(&self, probe: Probe) -> Option<&AtomicU64> {
        let mut position = probe.bucket * WORDS_PER_BUCKET;
        loop {
            let word = self.buckets[position].load(Ordering::Relaxed);
            let record = self.record_of(word)?;
            if word >> NUMBER_BITS == probe.tag && record[1].load(Ordering::Relaxed) == probe.key {
                return Some(&record[2]);
            }
            position = (position + 1) & (self.buckets.len() - 1);
        }
    }

    /// Returns the record of an index word, or `None` for an empty word.
    #[inline]
    fn record_of(&self, word: u64) -> Option<&[AtomicU64]> {
        let number = ((word & ((1 << NUMBER_BITS) - 1)) as usize).checked_sub(1)?;
        Some(&self.records[number * WORDS_PER_RECORD..][..WORDS_PER_RECORD])
    }

    fn insert(&self, number: usize) {
        let key = key_of(number as u64);
        let mut value = 0;
        u64::stamp(&mut value, key, 0);
        let record = &self.records[number * WORDS_PER_RECORD..][..WORDS_PER_RECORD];
        record[1].store(key, Ordering::Relaxed);
        record[2].store(value, Ordering::Relaxed);
        let probe = self.probe(key);
        let word = (0..)
            .map(|distance| (probe.bucket * WORDS_PER_BUCKET + distance) % self.buckets.len())
            .map(|position| &self.buckets[position])
            .find(|word| word.load(Ordering::Relaxed) == 0)
            .expect("half of the index is empty");
        word.store((probe.tag << NUMBER_BITS) | (number as u64 + 1), Ordering::Relaxed);
    }
}
