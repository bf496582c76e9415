//! Hashes the bytes of a key into a place in the hash index.
//!
//! Addresses in the index are found again by hash alone, also by a later build on another machine.
//! So the function is a specified function (rapidhash v3, seeded) over the canonical bytes of the
//! key, never `std::hash::Hash`. A store draws its seed once and keeps it. [`HASH_ID`] names the
//! function. A build in which its results differ from [`KNOWN_ANSWERS`] does not compile.
//!
//! ```text
//!  63                                              18  17  16                  0
//! +---------------------------------------------------+---+---------------------+
//! |  bucket: the high bits, as many as buckets need    | L |   tag               |
//! +---------------------------------------------------+---+---------------------+
//! ```
//!
//! The three fields share no bit while there are fewer than 2^46 buckets. So keys of one bucket
//! still have independent tags and lines.

use std::fmt;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_inline};

/// The name of the hash function in the files of a store.
pub(crate) const HASH_ID: &str = "rapidhash-v3";

/// The hashes of some keys under [`KNOWN_SEED`], for the manifest.
pub(crate) const KNOWN_ANSWERS: [(&[u8], u64); 5] = [
    (b"", 0xd6d1_c6c2_fd63_4990),
    (b"kvick", 0x8048_35b9_d409_3f3b),
    (&[0; 8], 0xd54b_3716_e2ec_f9a4),
    (b"a key of 32 bytes, in two words.", 0x585b_73b7_dcc7_e4ea),
    (&[0x6b; 100], 0x81ab_54f0_0d8a_b997),
];

/// The seed of [`KNOWN_ANSWERS`].
pub(crate) const KNOWN_SEED: u64 = 0x6b76_6963_6b00_0001;

/// The bits of a tag.
pub(crate) const TAG_BITS: u32 = 17;

/// The number of a table, times this factor, is its part of the seed.
const TABLE_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash function of one table.
#[derive(Clone, Copy)]
pub(crate) struct KeyHasher {
    secrets: RapidSecrets,
}

/// The hash of one key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash(u64);

impl KeyHasher {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { secrets: RapidSecrets::seed(seed) }
    }

    /// Returns the function of the table `number` of a store with this seed. Equal keys of two
    /// tables have independent hashes.
    pub(crate) const fn of_table(seed: u64, number: u8) -> Self {
        Self::new(seed ^ (number as u64).wrapping_mul(TABLE_FACTOR))
    }

    /// Returns the hash of `key`, the canonical encoding of a key.
    #[inline]
    pub(crate) const fn hash(&self, key: &[u8]) -> KeyHash {
        // The length of a fixed key is known here, so only a few multiplications remain.
        if key.len() <= 16 {
            KeyHash(rapidhash_v3_inline::<true, false, false>(key, &self.secrets))
        } else {
            self.hash_long(key)
        }
    }

    /// Hashes a long key out of line. Otherwise every operation would carry this code.
    #[inline(never)]
    const fn hash_long(&self, key: &[u8]) -> KeyHash {
        KeyHash(rapidhash_v3_inline::<true, false, false>(key, &self.secrets))
    }
}

impl KeyHash {
    /// The limit of buckets. A larger bucket number would reach into line and tag.
    const MAX_BUCKETS: u64 = 1 << (u64::BITS - TAG_BITS - 1);

    /// Returns the bucket among `buckets` by multiplication, which needs no power of two and no
    /// division.
    #[inline]
    pub(crate) const fn bucket(self, buckets: u64) -> u64 {
        debug_assert!(buckets > 0 && buckets <= Self::MAX_BUCKETS);
        ((self.0 as u128 * buckets as u128) >> u64::BITS) as u64
    }

    /// Returns the tag, which selects the keys of a bucket to compare.
    #[inline]
    pub(crate) const fn tag(self) -> u32 {
        (self.0 & ((1 << TAG_BITS) - 1)) as u32
    }

    /// Returns the cache line of a bucket that is searched first: 0 or 1.
    #[inline]
    pub(crate) const fn line(self) -> usize {
        (self.0 >> TAG_BITS & 1) as usize
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed is hidden, so that strangers cannot choose keys that collide.
        f.debug_struct("KeyHasher").field("function", &HASH_ID).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({:#018x}, tag {:#07x}, line {})", self.0, self.tag(), self.line())
    }
}

const _: () = {
    let hasher = KeyHasher::new(KNOWN_SEED);
    let mut answer = 0;
    while answer < KNOWN_ANSWERS.len() {
        let (key, hash) = KNOWN_ANSWERS[answer];
        assert!(hasher.hash(key).bits() == hash, "the hash function is not the one of this format");
        answer += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    const HASHER: KeyHasher = KeyHasher::new(KNOWN_SEED);

    fn hashes() -> impl Iterator<Item = KeyHash> {
        (0..100_000u64).map(|key| HASHER.hash(&key.to_le_bytes()))
    }

    #[test]
    fn answers_are_those_of_the_specified_function() {
        let secrets = RapidSecrets::seed(KNOWN_SEED);
        for (key, hash) in KNOWN_ANSWERS {
            assert_eq!(HASHER.hash(key).bits(), hash);
            assert_eq!(rapidhash::v3::rapidhash_v3_seeded(key, &secrets), hash);
        }
        // Checks both sides of the length at which the code goes out of line.
        let key = [7; 40];
        for len in 0..key.len() {
            let specified = rapidhash::v3::rapidhash_v3_seeded(&key[..len], &secrets);
            assert_eq!(HASHER.hash(&key[..len]).bits(), specified, "{len} bytes");
        }
    }

    #[test]
    fn parts_are_the_documented_bits() {
        let hash = KeyHash(0x8000_0000_0007_ffff);
        assert_eq!((hash.tag(), hash.line()), (0x1_ffff, 1));
        assert_eq!(hash.bucket(1), 0);
        assert_eq!(hash.bucket(2), 1);
        assert_eq!(hash.bucket(1000), 500);

        let last = KeyHash(u64::MAX);
        for buckets in [1, 3, 1000, KeyHash::MAX_BUCKETS] {
            assert_eq!(last.bucket(buckets), buckets - 1);
            assert_eq!(KeyHash(0).bucket(buckets), 0);
        }
        assert_eq!(KeyHash(0x1_ffff).line(), 0);
    }

    #[test]
    fn keys_spread_over_buckets_lines_and_tags() {
        const BUCKETS: u64 = 1000;
        let mut filled = vec![0u32; 1000];
        let mut second_lines = 0;
        let mut tags = std::collections::HashSet::new();
        for hash in hashes() {
            filled[usize::try_from(hash.bucket(BUCKETS)).unwrap()] += 1;
            second_lines += hash.line();
            tags.insert(hash.tag());
        }
        // 100 keys a bucket: six standard deviations are 60.
        assert!(filled.iter().all(|keys| (40..=160).contains(keys)), "{filled:?}");
        assert!((49_000..=51_000).contains(&second_lines), "{second_lines}");
        // 100 000 throws leave 1 in 2.1 of 131 072 tags unused.
        assert!(tags.len() > 69_000, "{}", tags.len());
    }

    #[test]
    fn tables_have_different_functions() {
        let hash = |number| KeyHasher::of_table(KNOWN_SEED, number).hash(b"kvick").bits();
        assert_eq!(hash(0), HASHER.hash(b"kvick").bits());
        let all: std::collections::HashSet<u64> = (0..=127).map(hash).collect();
        assert_eq!(all.len(), 128);
    }

    #[test]
    fn seeds_give_different_functions() {
        let other = KeyHasher::new(KNOWN_SEED + 1);
        let same = (0..1000u64)
            .filter(|key| other.hash(&key.to_le_bytes()) == HASHER.hash(&key.to_le_bytes()))
            .count();
        assert_eq!(same, 0);
        assert!(!format!("{other:?}").contains("seed"), "the seed is a secret");
    }
}
