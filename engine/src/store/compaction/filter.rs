//! Drops live records of one table, by a closure of the user.
//!
//! A live record that is not copied is gone when the begin of the log passes it, as an expired one
//! is. So nothing is appended for its deletion. A key that changes before that has a newer record,
//! and stays. Only a value whose pieces go in an earlier round than their list needs a tombstone.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::record::{Layout, StoredRecord, TableNumber};
use crate::store::record::overflow::read_overflow;
use crate::store::scan::{Candidate, Live};
use crate::store::table::TableInner;
use std::any::Any;
use std::collections::{BTreeMap, HashSet};
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
    /// The number of keys that did not stay, of pages that are done.
    removed: u64,
    /// The numbers of keys that did not stay in other pages, by the start of the page. Such a page
    /// may come again, and so may its keys.
    undone: BTreeMap<Address, u64>,
    /// The lists of values in pieces that did not stay. Their pieces are in several pages.
    dropped_lists: HashSet<Address>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Filter {
    pub(crate) fn new(table: Arc<TableInner>, keep: Keep) -> Self {
        let (end, undone, dropped_lists) = (Address::NONE, BTreeMap::new(), HashSet::new());
        Self { table, keep, end, removed: 0, undone, dropped_lists, panic: None }
    }

    /// Sets the end of the range that is compacted, in one round or several.
    pub(crate) fn set_end(&mut self, end: Address) {
        self.end = end;
    }

    /// Returns the number of keys that did not stay.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// Notes that the pages below `done` are done, so that their keys go.
    pub(super) fn note_done(&mut self, done: Address) {
        let undone = self.undone.split_off(&done);
        let counts = std::mem::replace(&mut self.undone, undone);
        self.removed += counts.values().sum::<u64>();
    }

    /// Forgets the counts of pages that are not done, at the end of a round: they come again.
    pub(super) fn forget_undone(&mut self) {
        self.undone.clear();
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
                        *self.undone.entry(page).or_default() += 1;
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
        if self.dropped_lists.contains(&address) {
            return Ok(false);
        }
        let value = read_overflow(&self.table, self.table.stored(), address, list).await?;
        let stays = self.keeps(key, &value)?;
        if !stays && self.dropped_lists.insert(address) {
            // It is counted once, whichever of its pages come again.
            self.removed += 1;
        }
        Ok(stays)
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
