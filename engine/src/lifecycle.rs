//! The lifecycle of an open store: its drivers, its open tables, and its end with the last handle
//! and session.

use crate::base::error::Result;
use crate::checkpoint::{Checkpoints, TableFormat};
use crate::compaction::Compaction;
use crate::config::Geometry;
use crate::opening::ending::Ending;
use crate::record::TableNumber;
use crate::recovery::{Opening, RecoveryReport, TypeNames};
use crate::store::TableInner;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The state that ends when the last handle and session are dropped.
#[derive(Debug)]
pub(crate) struct StoreLifecycle {
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) compaction: Arc<Compaction>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) report: Option<RecoveryReport>,
    pub(crate) open_tables: Arc<OpenTables>,
    /// Whether tables accept types with other names than their own as the same types.
    pub(crate) accepts_type_change: bool,
    /// The same opening once more. `None` for a reader.
    pub(crate) reopening: Option<Box<Opening>>,
}

impl StoreLifecycle {
    /// Returns a table that the manifest names, for these types. They have been compared.
    ///
    /// # Errors
    /// `InvalidArgument` if no page holds a record of these types.
    pub(crate) fn open_table(
        &self,
        table: &TableFormat,
        types: &TypeNames,
    ) -> Result<Arc<TableInner>> {
        let core = self.checkpoints.core();
        let mut geometry = Geometry::of(&core.config)?;
        if let Some(wal) = &core.wal {
            geometry.limit_logged(wal.longest_pair());
        }
        let limits = types.limits(&geometry)?;
        let name = (table.number(), &*table.name);
        let table = TableInner::new(Arc::clone(core), name, types.layout, limits);
        Ok(self.open_tables.get_or_insert(table))
    }
}

impl Drop for StoreLifecycle {
    fn drop(&mut self) {
        self.ending.forsaken();
    }
}

/// The tables of a store that have a handle or a session. All handles of a table share its state,
/// so all of them learn that it is dropped.
#[derive(Debug, Default)]
pub(crate) struct OpenTables {
    // Under its lock.
    tables: Mutex<BTreeMap<TableNumber, Weak<TableInner>>>,
}

impl OpenTables {
    /// Returns the open table of this number, or `new` if there is none.
    fn get_or_insert(&self, new: TableInner) -> Arc<TableInner> {
        let new = Arc::new(new);
        let mut tables = self.tables();
        if let Some(open) = tables.get(&new.number).and_then(Weak::upgrade) {
            return open;
        }
        tables.insert(new.number, Arc::downgrade(&new));
        new
    }

    /// Lets all operations of a dropped table fail.
    pub(crate) fn close(&self, number: TableNumber) {
        if let Some(open) = self.tables().remove(&number).and_then(|open| open.upgrade()) {
            open.transition_to_dropped();
        }
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<TableNumber, Weak<TableInner>>> {
        self.tables.lock().expect("nothing panics under it")
    }
}
