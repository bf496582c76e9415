//! Drops live records of one table, by a closure of the user.
//!
//! A live record that is not copied is gone when the begin of the log passes it, as an expired one
//! is. So nothing is appended for its deletion. A key that changes before that has a newer record,
//! and stays. Only a value in pieces gets a tombstone: the begin may pass its pieces, and not its
//! list.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::record::{Layout, StoredRecord, TableNumber};
use crate::store::record::overflow::read_overflow;
use crate::store::scan::{Candidate, Live};
use crate::store::table::TableInner;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A function of a key and its value, as bytes, that returns whether the key stays.
type Keep = Box<dyn FnMut(&[u8], &[u8]) -> Result<bool> + Send>;

/// A function of the user that decides about the live records of one table.
pub(crate) struct Filter {
    table: Arc<TableInner>,
    keep: Keep,
    /// Later records are not asked about.
    end: Address,
    /// The number of keys that are gone.
    removed: u64,
    /// The numbers of keys that did not stay in this round, by the start of the page. A page that
    /// the begin of the log does not pass comes again, and so do its keys.
    dropped: BTreeMap<Address, u64>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Filter {
    pub(crate) fn new(table: Arc<TableInner>, keep: Keep) -> Self {
        let (end, dropped) = (Address::NONE, BTreeMap::new());
        Self { table, keep, end, removed: 0, dropped, panic: None }
    }

    /// Sets the end of the range that is compacted, in one round or several.
    pub(crate) fn set_end(&mut self, end: Address) {
        self.end = end;
    }

    /// Returns the number of keys that are gone.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// Counts the keys of a round that has ended. The log begins at `begin` now.
    pub(super) fn note_round(&mut self, begin: Address) {
        let dropped = std::mem::take(&mut self.dropped);
        self.removed += dropped.range(..begin).map(|(_page, keys)| keys).sum::<u64>();
    }

    /// Counts a key that is gone at once, by a tombstone.
    pub(super) fn note_deleted(&mut self) {
        self.removed += 1;
    }

    /// Returns the panic of the function, after which every round fails.
    pub(crate) fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        self.panic
    }

    /// Leaves only the live records whose keys stay.
    pub(super) fn retain(&mut self, live: &mut Vec<Live<'_>>) -> Result<()> {
        let mut result = Ok(());
        live.retain(|live| {
            let Candidate { address, table, layout, record, .. } = live.candidate;
            if result.is_err() || table != self.table.number {
                return true;
            }
            let value = StoredRecord::value_in(record, layout);
            match self.keeps(live.candidate.key(), value) {
                Ok(stays) => {
                    if !stays {
                        let page = self.table.log.file().units().start_of_page(address);
                        *self.dropped.entry(page).or_default() += 1;
                    }
                    stays
                }
                Err(error) => {
                    result = Err(error);
                    true
                }
            }
        });
        result
    }

    /// Returns whether a key of a value in pieces stays. `list` is its newest record, at `address`.
    pub(super) async fn keeps_long(
        &mut self,
        (table, layout): (TableNumber, Layout),
        key: &[u8],
        (address, list): (Address, &[u8]),
    ) -> Result<bool> {
        if table != self.table.number || address >= self.end {
            return Ok(true);
        }
        debug_assert_eq!(layout, self.table.layout, "the layout of a table never changes");
        let value = read_overflow(&self.table, self.table.stored(), address, list).await?;
        self.keeps(key, &value)
    }

    fn keeps(&mut self, key: &[u8], value: &[u8]) -> Result<bool> {
        if self.panic.is_some() {
            return Err(panicked());
        }
        // The driver continues, and the caller gets the panic.
        match catch_unwind(AssertUnwindSafe(|| (self.keep)(key, value))) {
            Ok(stays) => stays,
            Err(panic) => {
                self.panic = Some(panic);
                Err(panicked())
            }
        }
    }
}

fn panicked() -> Error {
    Error::invalid("the closure of a compaction panicked")
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, removed) = (self.table.number, self.removed());
        formatter.debug_struct("Filter").field("table", &table).field("removed", &removed).finish()
    }
}
