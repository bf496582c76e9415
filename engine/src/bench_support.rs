//! The steps of an operation by themselves, for micro benchmarks. They are not public interface.

use crate::address::Address;
use crate::hash::KeyHasher;
use crate::hash_index::HashIndex;
use crate::hybrid_log::Tail;

/// A hash index filled with the numbers below `keys`.
#[derive(Debug)]
pub struct Probe {
    index: HashIndex,
    hasher: KeyHasher,
}

impl Probe {
    /// Creates an index of twelve keys a bucket.
    ///
    /// # Panics
    /// Panics if there is no memory.
    pub fn new(keys: u64) -> Self {
        let index = HashIndex::new(keys.div_ceil(12), true).expect("memory for the index");
        let hasher = KeyHasher::new(1);
        for key in 0..keys {
            let entry = index.find_or_create(hasher.hash(&key.to_le_bytes())).expect("memory");
            assert!(index.try_update(entry, Address::new(64 + key * 24)));
        }
        Self { index, hasher }
    }

    /// Hashes the key, searches it, and returns the address that the entry holds.
    #[inline]
    pub fn find(&self, key: u64) -> Option<u64> {
        let entry = self.index.find(self.hasher.hash(&key.to_le_bytes()))?;
        Some(entry.address().raw())
    }
}

/// The tail of a log of pages of 4 MiB without frames.
#[derive(Debug)]
pub struct Reserve(Tail);

impl Reserve {
    /// Creates a tail at the start of its log.
    pub fn new() -> Self {
        Self(Tail::new(Address::FIRST, 22, 1 << 22))
    }

    /// Takes `bytes` bytes, a multiple of 8, and turns pages as needed. Returns their address.
    #[inline]
    pub fn reserve(&self, bytes: u64) -> u64 {
        loop {
            match self.0.reserve(bytes) {
                Ok(address) => return address.raw(),
                Err(closed) => _ = self.0.turn(closed),
            }
        }
    }
}

impl Default for Reserve {
    fn default() -> Self {
        Self::new()
    }
}
