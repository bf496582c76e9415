//! The steps of an operation by themselves, for micro benchmarks, and manifests for fuzz targets.
//! They are not public interface.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::hash::KeyHasher;
use crate::checkpoint::files::manifest::Manifest;
use crate::config::index_sizes::IndexSizes;
use crate::hash_index::HashIndex;
use crate::hybrid_log::{Claim, Tail};
use crate::log::LogManifest;
use crate::manifest::publish::Publishable;

/// A hash index filled with the numbers below `keys`.
#[derive(Debug)]
pub struct Probe {
    index: HashIndex,
    hasher: KeyHasher,
}

impl Probe {
    /// Creates an index of eleven keys a bucket.
    ///
    /// # Panics
    /// Panics if there is no memory.
    pub fn new(keys: u64) -> Self {
        let buckets = keys.div_ceil(12);
        let index =
            HashIndex::new(IndexSizes::exactly(buckets), true).expect("memory for the index");
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
            match self.0.reserve(bytes, Claim::Value) {
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

/// Decodes the manifest of a store, and returns whether it is the same after it was encoded and
/// decoded again.
///
/// # Errors
/// `Corrupt` or `Unsupported` if these bytes are no manifest.
pub fn store_manifest_returns(bytes: &[u8]) -> Result<bool> {
    returns::<Manifest>(bytes)
}

/// Decodes the manifest of a log, as [`store_manifest_returns`] does for a store.
///
/// # Errors
/// `Corrupt` or `Unsupported` if these bytes are no manifest.
pub fn log_manifest_returns(bytes: &[u8]) -> Result<bool> {
    returns::<LogManifest>(bytes)
}

fn returns<M: Publishable + PartialEq>(bytes: &[u8]) -> Result<bool> {
    let manifest = M::decode("manifest", bytes)?;
    Ok(M::decode("manifest", &manifest.encode())? == manifest)
}
