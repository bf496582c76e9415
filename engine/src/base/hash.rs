//! Hashes the bytes of a key into a place in the hash index.
//!
//! Addresses in the index are found again by hash alone, also by a later build on another machine.
//! So the function is a specified function (rapidhash v3, seeded) over the canonical bytes of the
//! key, never `std::hash::Hash`. A store draws its seed once and keeps it. [`HASH_ID`] names the
//! function. A build in which its results differ from [`KNOWN_ANSWERS`] does not compile.

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
    #[cfg(test)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
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
        write!(f, "KeyHash({:#018x})", self.0)
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

    /// The index takes bucket, tag and line from the low bits, so each range of them must spread.
    #[test]
    fn keys_spread_over_each_range_of_bits() {
        for first in [0, 10, 17, 37, 54] {
            let mut filled = vec![0_u32; 1024];
            for hash in hashes() {
                let part = hash.bits() >> first & 1023;
                filled[usize::try_from(part).unwrap()] += 1;
            }
            // 98 keys a part: six standard deviations are 60.
            assert!(filled.iter().all(|keys| (38..=158).contains(keys)), "{first}: {filled:?}");
        }
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
