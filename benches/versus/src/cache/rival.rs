//! moka and foyer, with weights that make their resident memory the limit.

use std::cell::Cell;
use std::hash::BuildHasher;

use foyer_memory::CacheBuilder;
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
        let weight = u32::try_from(weight(limits)).expect("an entry is small");
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

/// The cache in memory of foyer. Everything but its weights is default.
///
/// A miss gets the value and then inserts it. `get_or_fetch` of foyer spawns a task for each miss,
/// which is dear for a source that answers at once.
pub struct Foyer<V: Kept + ?Sized> {
    cache: foyer_memory::Cache<u64, V::Kept>,
    length: usize,
}

impl<V: Kept + ?Sized> Foyer<V> {
    /// Creates an empty cache.
    pub fn new(limits: Limits) -> Self {
        let bytes = weight(limits);
        let memory = usize::try_from(limits.memory.bytes()).expect("an address space");
        let cache = CacheBuilder::new(memory).with_weighter(move |_, _| bytes).build();
        Self { cache, length: limits.value }
    }

    /// Returns what the cache holds.
    pub fn summary(&self) -> String {
        format!(
            "foyer: {} entries, {} B by their weights",
            self.cache.entries(),
            self.cache.usage()
        )
    }
}

impl<V: Kept + ?Sized> Cache for Foyer<V> {
    async fn get(&self, key: u64, asked: &Cell<bool>) -> bool {
        let entry = match self.cache.get(&key) {
            Some(entry) => entry,
            None => self.cache.insert(key, V::keep(ask::<V>(key, self.length, asked))),
        };
        V::is_right(entry.value(), key, self.length)
    }
}

fn weight(limits: Limits) -> usize {
    size_of::<u64>() + limits.value + limits.overhead
}
