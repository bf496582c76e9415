//! The sizes between which the hash index grows and shrinks.

use super::{ByteSize, Config};
use crate::base::memory::RESERVES_LAZILY;

/// The bits of the tag of an entry. Each doubling of the index takes one of them to tell buckets
/// apart.
pub(crate) const TAG_BITS: u32 = 17;
/// The bytes of a bucket.
pub(crate) const BUCKET_BYTES: u64 = 128;
/// The keys of a bucket, about.
pub(super) const KEYS_PER_BUCKET: u64 = 12;

/// The divisor of the memory for the minimum of the index, and the limit of that minimum.
const LEAST_PART: u64 = 128;
const LEAST_MAX: ByteSize = ByteSize::mib(32);
/// The factor of the memory for the addresses that the index may grow into. Where addresses cost
/// memory, the index stays within the memory.
const RESERVE_TIMES: u64 = if RESERVES_LAZILY { 64 } else { 1 };
/// The limit of these addresses, unless the memory is larger.
const RESERVE_MAX: u64 = 1 << 40;

/// The sizes of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexSizes {
    /// The index has at least `2^root_bits` buckets: a fact of the store.
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
    pub(super) fn of(config: &Config) -> Self {
        if let Some(buckets) = config.index_buckets {
            return Self::exactly(buckets);
        }
        let memory = config.memory.bytes();
        let reserved = ByteSize::new((memory * RESERVE_TIMES).min(RESERVE_MAX).max(memory));
        let limit = config.index_max.unwrap_or(reserved).bytes() / BUCKET_BYTES;
        let expected = config.expected_keys.unwrap_or(0).div_ceil(KEYS_PER_BUCKET);
        let root_bits = (Self::least(config).bytes() / BUCKET_BYTES).ilog2();
        let (buckets, limit) = (expected, limit.max(expected));
        // What was expected is not given up before it comes.
        Self { root_bits, least: expected.max(1), buckets, limit }.with_root_bits(root_bits)
    }

    /// Returns the sizes of an index that does not grow or shrink.
    pub(crate) fn exactly(buckets: u64) -> Self {
        Self { root_bits: buckets.ilog2(), least: buckets, buckets, limit: buckets }
    }

    /// Returns the minimum bytes of the index of a new store: a power of two.
    pub(super) fn least(config: &Config) -> ByteSize {
        let share = ByteSize::new(config.memory.bytes() / LEAST_PART).min(LEAST_MAX);
        let buckets = config.index_min.unwrap_or(share).bytes() / BUCKET_BYTES;
        ByteSize::new(BUCKET_BYTES << buckets.max(1).ilog2())
    }

    /// Returns the bytes of the index at first.
    pub(super) fn bytes(self) -> u64 {
        self.buckets * BUCKET_BYTES
    }

    /// Returns the sizes for a store whose index has at least `2^root_bits` buckets.
    #[must_use]
    pub(crate) fn with_root_bits(self, root_bits: u32) -> Self {
        let root = 1 << root_bits;
        let limit = self.limit.clamp(root, root << TAG_BITS);
        let least = self.least.clamp(root, limit);
        Self { root_bits, least, buckets: self.buckets.clamp(least, limit), limit }
    }

    /// Returns the sizes for an index that begins with this number of buckets, if it may be so
    /// large.
    #[must_use]
    pub(crate) fn with_buckets(self, buckets: u64) -> Self {
        Self { buckets: buckets.clamp(self.least, self.limit), ..self }
    }
}
