//! moka, with weights that make its resident memory the limit.

use std::cell::Cell;
use std::hash::BuildHasher;

use moka::future;

use crate::kept::{Cache, Kept, Limits, ask};

/// moka with a hasher. Everything else is default.
pub struct Moka<V: Kept + ?Sized, S> {
    cache: future::Cache<u64, V::Kept, S>,
    length: usize,
}

impl<V: Kept + ?Sized, S> Moka<V, S>
where
    S: BuildHasher + Clone + Default + Send + Sync + 'static,
{
    /// Creates an empty cache.
    pub fn new(limits: Limits) -> Self {
        let bytes = size_of::<u64>() + limits.value + limits.overhead;
        let weight = u32::try_from(bytes).expect("an entry is small");
        let cache = future::Cache::builder()
            .max_capacity(limits.memory.bytes())
            .weigher(move |_, _| weight)
            .build_with_hasher(S::default());
        Self { cache, length: limits.value }
    }

    /// Returns what the cache holds.
    pub fn summary(&self) -> String {
        let (entries, weight) = (self.cache.entry_count(), self.cache.weighted_size());
        format!("moka: {entries} entries of {weight} B by their weights")
    }
}

impl<V: Kept + ?Sized, S> Cache for Moka<V, S>
where
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    async fn get(&self, key: u64, asked: &Cell<bool>) -> bool {
        let source = async { V::keep(ask::<V>(key, self.length, asked)) };
        let value = self.cache.get_with_by_ref(&key, source).await;
        V::is_right(&value, key, self.length)
    }
}
