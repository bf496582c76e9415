//! Shows a checkpoint to a reader: restores it in memory, and writes nothing.

use super::create::tables;
use super::recover::Restored;
use super::stored::{adopt, check_store, only_table};
use super::{INSPECT, Opened, Opening, RecoveryReport, TypeNames};
use crate::base::error::{Error, Result};
use crate::checkpoint::files::manifest::{CheckpointEntry, Manifest};
use crate::checkpoint::{CheckpointToken, Checkpoints, Schedule};
use crate::config::{ByteSize, DurableBy, Geometry, largest_memory};
use crate::store::sessions::table::SessionTable;
use kvick_io::Lock;
use kvick_io::wrap::ReadOnly;
use std::sync::Arc;

/// The lock of a reader, which locks nothing.
#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

/// Shows the checkpoint that `opening` asks for, of a store with this manifest. `types` are those
/// of its only table; `None` means that it may have any tables.
///
/// # Errors
/// `NotFound` if the store has no checkpoint. Others as for an opening.
pub(crate) async fn show(
    opening: &mut Opening,
    types: Option<&TypeNames>,
    manifest: Manifest,
) -> Result<Opened> {
    assert!(opening.reads_only, "a writer recovers");
    let place = opening.directory.describe();
    let shown = Box::pin(opening.show(types, manifest)).await;
    shown.map_err(|error| error.with_place(&place, INSPECT))
}

impl Opening {
    /// Returns this opening for a reader. Its store has no budget for the disk, no write-ahead log,
    /// and is no cache: a reader neither fills nor frees anything.
    pub(crate) fn for_reader(self) -> Self {
        let config = self.config.with_disk(None).with_cache(false).with_space_ratio(None);
        let config = config.with_durability(DurableBy::Checkpoint);
        Self { config, reads_only: true, ..self }
    }

    /// Returns this opening for a reader in the process of its writer. It takes no more memory than
    /// it must, so its limit is the highest that the writer may have.
    pub(crate) fn for_lean_reader(self) -> Self {
        let directory = Arc::new(ReadOnly::new(Arc::clone(&self.directory)));
        let most = largest_memory(&self.config);
        let reader = self.for_reader();
        let config = reader.config.with_memory(most).with_memory_max(most);
        Self { config, directory, is_lean: true, ..reader }
    }

    /// Returns the same opening, of the newest checkpoint and without a report of progress.
    pub(crate) fn again(&self) -> Self {
        let Self { directory, handle, clock, .. } = self;
        let (directory, handle, clock) = (Arc::clone(directory), handle.clone(), Arc::clone(clock));
        let (config, wal_directory) = (self.config.clone(), self.wal_directory.clone());
        Self {
            config,
            directory,
            wal_directory,
            handle,
            clock,
            token: None,
            replacement: None,
            on_progress: None,
            ..*self
        }
    }

    async fn show(&mut self, types: Option<&TypeNames>, mut manifest: Manifest) -> Result<Opened> {
        Geometry::of(&self.config)?;
        check_store(&manifest.store)?;
        let (place, begun) = (self.directory.describe(), self.handle.now());
        // One of an opening that repeats the write-ahead log is of no single moment.
        if manifest.checkpoints.iter().all(|record| record.is_partial) {
            let what = format!("a checkpoint of the store in {place}");
            return Err(Error::not_found(&what, "its writer takes one by `checkpoint`"));
        }
        self.clock.begin_from(manifest.clock);
        if let Some(types) = types {
            let table = only_table(&mut manifest.store, &place)?;
            types.adopt(table, self.accepts_type_change)?;
        }
        self.config = adopt(&self.config, &manifest.store)?;
        // Nothing takes memory from the pages of a view.
        self.config.read_cache = Some(ByteSize::new(0));
        let checkpoint_files = self.files(manifest.clone());
        let mut report = RecoveryReport::default();
        let (restored, chosen) =
            self.choose(types, &checkpoint_files, &manifest, &mut report).await?;
        let chosen = chosen.expect("a reader begins with no empty store");
        let Restored { index, log, governor, points, .. } = restored;
        report.chosen = Some(CheckpointToken(chosen.token));
        report.cookie = CheckpointEntry::cookie(&chosen);
        report.sessions = points.all();
        report.took = self.handle.now().saturating_sub(begun);
        log.health().transition_to_read_only(&place);
        let sessions = SessionTable::new(self.life, points);
        let parts = (index, log, governor);
        let core = self.core(tables(&manifest.store), parts, (manifest.next_token, sessions, None));
        let (core, handle, schedule) =
            (Arc::new(core), self.handle.clone(), Schedule::of(&self.config));
        let next_token = manifest.next_token;
        let checkpoints = Checkpoints::new(checkpoint_files, handle, core, schedule, next_token);
        Ok(Opened {
            checkpoints: Arc::new(checkpoints),
            lock: Box::new(NoLock),
            report: Some(report),
            wal: None,
        })
    }
}
