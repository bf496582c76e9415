//! kvick as a cache.

use std::cell::Cell;

use kvick::{Config, FasterKv, Result};

use crate::kept::{Cache, Kept, Limits, ask};

/// kvick with the settings of a cache in memory.
pub struct Ours<V: Kept + ?Sized> {
    store: FasterKv<u64, V>,
    length: usize,
}

impl<V: Kept + ?Sized> Ours<V> {
    /// Opens an empty cache.
    ///
    /// # Errors
    ///
    /// Returns an error of the store.
    pub async fn open(limits: Limits) -> Result<Self> {
        let config = Config::cache().with_memory(limits.memory);
        let store = FasterKv::builder(config).open_in_directory().await?;
        Ok(Self { store, length: limits.value })
    }

    /// Returns what the cache holds.
    pub fn summary(&self) -> String {
        self.store.stats().to_string()
    }

    /// Closes the cache.
    ///
    /// # Errors
    ///
    /// Returns an error of the store.
    pub async fn close(self) -> Result<()> {
        self.store.close().await
    }
}

impl<V: Kept + ?Sized> Cache for Ours<V> {
    async fn get(&self, key: u64, asked: &Cell<bool>) -> bool {
        let source = async || ask::<V>(key, self.length, asked);
        let value = self.store.get_or_insert_with(&key, source).await.expect("kvick works");
        V::verify_owned(&value, key, self.length)
    }
}
