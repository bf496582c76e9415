//! One checkpoint, as a reader shows it.

use crate::base::error::{Error, Result};
use crate::checkpoint::files::manifest::Manifest;
use crate::checkpoint::files::needs::PinnedCheckpoint;
use crate::checkpoint::{CheckpointInfo, CheckpointToken, Checkpoints};
use crate::compaction::Compaction;
use crate::database::Database;
use crate::lifecycle::StoreLifecycle;
use crate::opening::ending::Ending;
use crate::recovery::{Opened, RecoveryReport, TypeNames};
use crate::store::TableInner;
use kvick_io::sync::Mutex;
use kvick_runtime::Handle;
use std::sync::Arc;

/// A checkpoint, restored in memory as a store that is only read.
#[derive(Debug)]
pub(super) struct View {
    // Fixed.
    number: u64,
    database: Database,
    info: CheckpointInfo,
    salt: u64,
    contents: u64,
    end: u64,
    /// Keeps the files, if the store runs in this process.
    pinned: Option<PinnedCheckpoint>,
    // Under its lock: the tables that were asked for, which live as long as the view.
    tables: Mutex<Vec<Arc<TableInner>>>,
}

impl View {
    /// Creates the view `number` of what an opening has restored.
    pub(super) fn new(
        opened: Opened,
        number: u64,
        (handle, accepts_type_change): (&Handle, bool),
        pinned: Option<PinnedCheckpoint>,
    ) -> Result<Self> {
        let Opened { checkpoints, lock, report, wal: _ } = opened;
        let chosen = report.as_ref().and_then(|report| report.chosen);
        let CheckpointToken(token) = chosen.expect("a reader shows a checkpoint");
        let (info, salt, contents, end) = {
            let manifest = checkpoints.checkpoint_files().manifest();
            let entry = manifest.checkpoint(token).expect("it was chosen from this manifest");
            let info = CheckpointInfo::of(entry, &manifest);
            (info, manifest.store.salt.0, manifest.contents(), entry.end)
        };
        let ending = Ending::new(checkpoints.clone(), lock);
        let drivers = drive(Arc::clone(&checkpoints), Arc::clone(&ending));
        handle.spawn("kvick-reader", ending.maintenance(drivers)).detach();
        ending.check_maintained()?;
        let lifecycle = StoreLifecycle {
            compaction: Arc::new(Compaction::new(Arc::clone(&checkpoints))),
            checkpoints,
            ending,
            report,
            open_tables: Arc::default(),
            accepts_type_change,
            reopening: None,
        };
        let database = Database::new(Arc::new(lifecycle));
        let tables = Mutex::default();
        Ok(Self { number, database, info, salt, contents, end, pinned, tables })
    }

    /// Returns the number of the view among those of its reader.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn report(&self) -> &RecoveryReport {
        self.database.recovery().expect("a view was restored")
    }

    /// Returns whether the files stay while this is shown, until the store is closed.
    pub(super) fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    /// Returns whether `manifest` is of the same store and still has the checkpoint.
    pub(super) fn is_in(&self, manifest: &Manifest) -> bool {
        let CheckpointToken(token) = self.info.token;
        self.contents == manifest.contents()
            && self.is_of(manifest)
            && manifest.checkpoint(token).is_some_and(|entry| entry.end == self.end)
    }

    /// Returns whether `manifest` is of the same store, whose contents may have been replaced.
    pub(super) fn is_of(&self, manifest: &Manifest) -> bool {
        manifest.store.salt.0 == self.salt || manifest.contents() > self.contents
    }

    /// Returns a table, for these types. `None` is the only table of the store.
    ///
    /// # Errors
    /// `InvalidArgument` for a table of other types, and if there is no such table.
    pub(super) fn table(&self, name: Option<&str>, types: &TypeNames) -> Result<Arc<TableInner>> {
        let table = self.database.present_table(name, types)?;
        let mut tables = self.tables.lock().expect("nothing panics under it");
        if !tables.iter().any(|known| Arc::ptr_eq(known, &table)) {
            tables.push(Arc::clone(&table));
        }
        drop(tables);
        Ok(table)
    }

    /// Returns the error of a read, if the store no longer has the checkpoint.
    #[cold]
    pub(super) fn overtaken(&self, cause: &Error) -> Error {
        Error::overtaken(self.info.token, cause)
    }
}

/// Runs what a view needs: its scans, and its end. Nothing in it changes.
async fn drive(checkpoints: Arc<Checkpoints>, ending: Arc<Ending>) {
    let core = checkpoints.core();
    let scans = core.drive_scans(checkpoints.handle());
    futures::join!(scans, ending.drive(async { Ok(()) }));
}
