//! The sizes between which the hash index grows and shrinks.

use super::{ByteSize, Config};
use crate::base::memory::RESERVES_LAZILY;

/// The bits of the tag of an entry. Each doubling of the index takes one of them to tell buckets
/// apart.
pub(crate) const TAG_BITS: u32 = 17;
/// The bytes of a bucket.
pub(crate) const BUCKET_BYTES: u64 = 128;
/// The keys of a bucket, about.
pub(super) const KEYS_PER_BUCKET: u64 = 11;
/// The buckets for 64 prefixes that all have an entry. Buckets of 8 and of 16 such prefixes, mixed
/// in this way, take `ENTRY_BYTES` a prefix.
pub(super) const BUCKETS_PER_64: u64 = 5;

/// The divisor of the memory for the minimum of the index, and the limit of that minimum.
const LEAST_PART: u64 = 128;
const LEAST_MAX: ByteSize = ByteSize::mib(32);
/// The sixteenths of the memory that the index may take. The governor leaves it as much.
const MOST_SIXTEENTHS: u64 = 13;
/// The limit of the addresses for the table. Where addresses cost memory, `memory` is the limit.
const RESERVE_MAX: ByteSize = ByteSize::gib(1 << 10);
/// The bytes of an entry, with its part of the free slots and of overflow lines, at most.
pub(crate) const ENTRY_BYTES: u64 = 13;

/// The sizes of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexSizes {
    /// The index has at least `2^root_bits` buckets, and at most `2^(root_bits + 17)` entries: a
    /// fact of the store.
    pub(crate) root_bits: u32,
    /// The minimum of the number of buckets now, at least `2^root_bits`.
    pub(crate) least: u64,
    /// The number of buckets at first.
    pub(crate) buckets: u64,
    /// The limit of the number of buckets.
    pub(crate) limit: u64,
}

impl IndexSizes {
    /// Returns the sizes for a new store, from checked settings.
    ///
    /// An index has an entry for each prefix at most. So the number of prefixes bounds its memory,
    /// at any number of keys.
    pub(super) fn of(config: &Config) -> Self {
        if let Some(buckets) = config.index_buckets {
            return Self::exactly(buckets);
        }
        let expected = config.expected_keys.unwrap_or(0);
        let most = config.memory.bytes() / 16 * MOST_SIXTEENTHS;
        let most = config.index_max.map_or(most, ByteSize::bytes);
        let prefixes = (most / ENTRY_BYTES).max(expected).max(1 << TAG_BITS);
        let least = Self::least(config).bytes() / BUCKET_BYTES;
        // What was expected is not given up before it comes.
        let least = least.max(expected.div_ceil(KEYS_PER_BUCKET));
        let reserved = if RESERVES_LAZILY { RESERVE_MAX } else { config.memory };
        let limit = config.index_max.unwrap_or(reserved).bytes() / BUCKET_BYTES;
        Self { root_bits: 0, least, buckets: least, limit: limit.max(least) }
            .with_root_bits(prefixes.ilog2() - TAG_BITS)
    }

    /// Returns the sizes of an index that does not grow or shrink.
    pub(crate) fn exactly(buckets: u64) -> Self {
        Self { root_bits: buckets.ilog2(), least: buckets, buckets, limit: buckets }
    }

    /// Returns the minimum bytes of the index.
    pub(super) fn least(config: &Config) -> ByteSize {
        let share = ByteSize::new(config.memory.bytes() / LEAST_PART).min(LEAST_MAX);
        let share = ByteSize::new(share.bytes().max(BUCKET_BYTES));
        let share = config.index_max.map_or(share, |most| share.min(most));
        config.index_min.unwrap_or(share)
    }

    /// Returns the bytes of the index at first.
    pub(super) fn bytes(self) -> u64 {
        self.buckets * BUCKET_BYTES
    }

    /// Returns about how many bytes this many entries take, as far as there are prefixes for them.
    pub(crate) fn bytes_of(self, entries: u64) -> u64 {
        (entries.min(self.prefixes()) * ENTRY_BYTES).max(self.bytes())
    }

    /// Returns the number of prefixes, the limit of entries.
    pub(crate) fn prefixes(self) -> u64 {
        1 << (self.root_bits + TAG_BITS)
    }

    /// Returns the sizes for a store whose index has at least `2^root_bits` buckets, and no more
    /// than the entries of all prefixes need.
    #[must_use]
    pub(crate) fn with_root_bits(self, root_bits: u32) -> Self {
        let root = 1 << root_bits;
        let needed = (root << TAG_BITS) / 64 * BUCKETS_PER_64;
        let least = self.least.clamp(root, root << TAG_BITS);
        let limit = self.limit.min(needed).max(least);
        Self { root_bits, least, buckets: self.buckets.clamp(least, limit), limit }
    }

    /// Returns the sizes for an index that begins with this number of buckets, if it may be so
    /// large.
    #[must_use]
    pub(crate) fn with_buckets(self, buckets: u64) -> Self {
        Self { buckets: buckets.clamp(self.least, self.limit), ..self }
    }
}
