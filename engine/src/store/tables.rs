//! The tables of a store, as far as readers of whole pages need them.

use crate::base::hash::KeyHasher;
use crate::record::{Layout, Layouts, TableNumber};

/// The layouts and hash functions of the tables of one store.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The seed of the store's hash functions.
    seed: u64,
    // Any thread, atomic.
    layouts: Layouts,
}

impl Tables {
    pub(crate) fn new(seed: u64, layouts: Layouts) -> Self {
        Self { seed, layouts }
    }

    /// Adds a table, before any task finds it. A table that was added before stays as it is.
    pub(crate) fn add(&self, number: TableNumber, layout: Layout) {
        self.layouts.set(number, layout);
    }

    pub(crate) fn layouts(&self) -> &Layouts {
        &self.layouts
    }

    /// Returns the hash function of a table.
    pub(crate) fn hasher(&self, number: TableNumber) -> KeyHasher {
        KeyHasher::of_table(self.seed, number.raw())
    }
}
