//! The state that all operations of one table share.

mod computations;

pub(crate) use computations::ComputationTurn;

use super::inner::StoreInner;
use super::limits::Limits;
use super::record::encoding::owned_key;
use crate::base::error::{Error, Result};
use crate::base::hash::KeyHasher;
use crate::codec::Key;
use crate::record::{Layout, TableNumber};
use crate::statistics::TableStats;
use computations::Computations;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::ops::Deref;
use std::sync::Arc;

/// Everything that the operations of one table share. It leads to what all tables share.
#[derive(Debug)]
pub(crate) struct TableInner {
    // Fixed after opening.
    store: Arc<StoreInner>,
    pub(crate) number: TableNumber,
    pub(crate) layout: Layout,
    pub(crate) limits: Limits,
    pub(in crate::store) hasher: KeyHasher,
    /// The name at the opening, for messages.
    name: Box<str>,
    // Written once, when the table is dropped.
    word: AtomicU64,
    // Any task, under locks of its own.
    computations: Computations,
}

/// The word of a dropped table, which no header has. So no record of the table is found any more,
/// and only operations that find none look whether their table was dropped.
const DROPPED: u64 = TableNumber::COUNT as u64;

impl TableInner {
    /// Returns the table `number` of a store. The store has its layout.
    pub(crate) fn new(
        store: Arc<StoreInner>,
        (number, name): (TableNumber, &str),
        layout: Layout,
        limits: Limits,
    ) -> Self {
        let known = store.tables.layouts().get(number);
        assert_eq!(known, Some(layout), "table {number} is read as it is written");
        let hasher = store.tables.hasher(number);
        let word = AtomicU64::new(number.word());
        let (name, computations) = (name.into(), Computations::default());
        Self { store, number, layout, limits, hasher, name, word, computations }
    }

    #[inline(always)]
    pub(crate) fn with_store(&self) -> TableRef<'_> {
        TableRef { store: &self.store, table: self }
    }

    /// Takes the turn to compute the value of `key`, or waits for the end of another turn. Returns
    /// `None` after it has waited: there may be a value now.
    ///
    /// # Errors
    /// `Codec` if the key cannot be encoded. `Closed` while it waits.
    pub(crate) async fn turn_to_compute<K: Key + ?Sized>(
        &self,
        key: &K::Item,
    ) -> Result<Option<ComputationTurn<'_>>> {
        let key = owned_key::<K>(key)?;
        self.computations.turn(self.hasher.hash(&key), key, self.log.health()).await
    }

    /// Returns the statistics of the table.
    pub(crate) fn table_stats(&self) -> TableStats {
        self.store.table_stats(self.number)
    }

    /// Returns how the records of the table are stored: its number and its layout.
    pub(in crate::store) fn stored(&self) -> (TableNumber, Layout) {
        (self.number, self.layout)
    }

    /// Returns the store of the table.
    pub(crate) fn store(&self) -> &Arc<StoreInner> {
        &self.store
    }

    /// Returns the table number that headers of the table's records have, unless it is dropped.
    #[inline(always)]
    pub(in crate::store) fn word(&self) -> u64 {
        // Relaxed: `transition_to_dropped` is followed by a drain.
        self.word.load(Ordering::Relaxed)
    }

    /// Lets every operation of the table fail that begins from now on. Operations under older
    /// guards may still take effect; after a drain there are none.
    pub(crate) fn transition_to_dropped(&self) {
        // Relaxed: the drain that follows orders it before all later operations.
        self.word.store(DROPPED, Ordering::Relaxed);
    }

    /// Fails if the table was dropped. An operation that has found a record of its table need not
    /// ask.
    ///
    /// # Errors
    /// `InvalidArgument`.
    #[inline(always)]
    pub(in crate::store) fn check(&self) -> Result<()> {
        if self.word() == DROPPED { Err(self.dropped()) } else { Ok(()) }
    }

    /// Returns the error of operations on a table that was dropped.
    #[cold]
    pub(crate) fn dropped(&self) -> Error {
        let name = &self.name;
        Error::invalid(format!("table `{name}` was dropped; open another table of the store"))
    }
}

impl Deref for TableInner {
    type Target = StoreInner;

    #[inline(always)]
    fn deref(&self) -> &StoreInner {
        &self.store
    }
}

/// A table and its store. Two pointers, since operations need both all the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableRef<'t> {
    pub(in crate::store) store: &'t StoreInner,
    pub(in crate::store) table: &'t TableInner,
}

impl Deref for TableRef<'_> {
    type Target = StoreInner;

    #[inline(always)]
    fn deref(&self) -> &StoreInner {
        self.store
    }
}
