//! Changes of the list of tables: each is one publication of the manifest.

use super::driver::Checkpoints;
use super::files::manifest::TableFormat;
use super::jobs::{Job, TableChange};
use super::reply::Reply;
use super::run::unpublished;
use crate::base::error::Result;
use crate::base::kinds::Durability;
use crate::store::WriteAheadLog;

impl Checkpoints {
    /// Changes the list of tables durably, when no other job is in progress. Returns the table
    /// concerned.
    ///
    /// # Errors
    /// As for [`Jobs::submit`](super::jobs::Jobs::submit), but not `Busy`, and why it could not be
    /// changed.
    pub(crate) async fn change_tables(
        &self,
        change: impl Fn() -> TableChange,
    ) -> Result<TableFormat> {
        let health = self.core().log.health();
        let submit = || {
            let (reply, answer) = Reply::new(self.core());
            self.jobs().submit(health, Job::Tables { change: change(), reply }).map(|()| answer)
        };
        self.jobs().in_turn(health, submit).await?.await
    }

    /// Makes a change, as the only job.
    pub(super) async fn make(&self, mut change: TableChange) -> Result<TableFormat> {
        let (core, files) = (self.core(), self.checkpoint_files());
        let mut manifest = files.manifest().clone();
        let mut store = manifest.store.clone();
        let table = (change.change)(&mut store)?;
        if store != manifest.store {
            manifest.set_store(store);
            // Tasks may use the table as soon as the manifest in memory names it. Its number and
            // layout are a fact only now: another table gets the number if this one fails.
            let add = || core.tables.add(table.number(), table.layout());
            let published = files.publish_and(manifest, Durability::PowerCut, add).await;
            published.map_err(|failed| unpublished(core, failed))?;
        }
        (change.published)(&table);
        if table.dropped {
            // Operations that began before may still append a record.
            core.log.drain().await;
            core.tables.layouts().transition_to_dropped(table.number());
            core.wal.iter().for_each(WriteAheadLog::wake_readers);
        }
        Ok(table)
    }
}
