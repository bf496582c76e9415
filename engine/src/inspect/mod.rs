//! Inspects the directory of a store from outside, and checks every byte that recovery would need.
//!
//! An inspection writes, locks and keeps nothing. Keys and values stay bytes: the widths of each
//! table in the manifest are enough to walk over records.
//!
//! # Checks
//! * `manifest` and `manifest.copy`: the checksum, and the consistency of the contents. If the
//!   manifest is damaged or missing, the inspection uses the copy.
//! * Each image of the index: every block and every entry. Files of commit points likewise.
//! * Every unit of the log that a checkpoint needs, once. Beside the log, the parts and deltas of
//!   each checkpoint, as its recovery would read them.
//! * Every record in them. It must lie within its page, and its value within the record. It must
//!   lead to an older record.
//! * With [`with_wal`], every entry of the write-ahead log. It must be the log of the store, and
//!   have all changes after each checkpoint.
//!
//! # A running store
//! A running store publishes checkpoints and removes files during an inspection. So files that the
//! manifest named at first may be missing later. If there are problems and the manifest has
//! changed, the inspection checks everything once more.

mod check;
mod files;
mod problems;
mod report;
mod row;
#[cfg(all(test, not(loom)))]
mod tests;
mod text;
mod wal;
mod walk;

pub use report::{
    FileRole, InspectedCheckpoint as Checkpoint, InspectedFile as File, InspectedIndex as Index,
    InspectedStore as Store, InspectedTable as Table, InspectedWal as Wal, Inspection,
    ManifestCopy, Problem, RecordCounts,
};

pub(crate) use report::{
    InspectedCheckpoint, InspectedFile, InspectedIndex, InspectedStore, InspectedTable,
    InspectedWal,
};

use crate::base::error::{Error, ErrorKind, Result};
use crate::checkpoint::files::manifest::Manifest;
use crate::manifest::contents::numbered;
use crate::manifest::files::{COPY, MANIFEST, list};
use crate::manifest::publish::Publishable;
use check::Check;
use kvick_io::Directory;
use problems::Problems;
use std::io;
use std::sync::Arc;

/// Checks everything in the directory of a store that its checkpoints need, and reports it.
///
/// It works for stores of any types. Pass an
/// [`io::ReadOnlyDirectory`](crate::io::ReadOnlyDirectory) for a store that may be open: it opens
/// nothing for writing and takes no lock. With any directory, the inspection creates, changes and
/// removes nothing.
///
/// Damage is no error; [`Inspection::problems`] lists it. It also lists a directory without a
/// store.
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::io::MemoryDirectory;
/// # use std::sync::Arc;
/// # kvick::runtime::block_on(async {
/// let directory = Arc::new(MemoryDirectory::new());
/// let builder = FasterKv::<u64, u64>::builder(Config::default());
/// let store = builder.directory(directory.clone()).open_in_directory().await?;
/// store.upsert(&1, &10).await?;
/// store.close().await?;
///
/// let inspection = kvick::inspect(directory).await?;
/// assert!(inspection.problems.is_empty(), "{inspection}");
/// assert_eq!(inspection.checkpoints[0].records.values, 1);
/// # Ok::<(), kvick::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// `Io` if the directory cannot be listed.
///
/// # Cancel safety
/// The future can be dropped at any time.
pub async fn inspect(directory: Arc<dyn Directory>) -> Result<Inspection> {
    inspect_all(&directory, None).await
}

/// Checks a store and its write-ahead log, which is in the directory `wal`. See
/// [`inspect`](crate::inspect()), which checks the store alone.
///
/// ```
/// # use kvick::config::DurableBy;
/// # use kvick::{Config, FasterKv};
/// # use kvick::io::MemoryDirectory;
/// # use std::sync::Arc;
/// # kvick::runtime::block_on(async {
/// let (directory, wal) = (Arc::new(MemoryDirectory::new()), Arc::new(MemoryDirectory::new()));
/// let config = Config::default().with_durability(DurableBy::Wal);
/// let builder = FasterKv::<u64, u64>::builder(config).directory(directory.clone());
/// let store = builder.wal_directory(wal.clone()).open_in_directory().await?;
/// store.upsert(&1, &10).durable().await?;
///
/// let inspection = kvick::inspect::with_wal(directory, wal).await?;
/// assert!(inspection.problems.is_empty(), "{inspection}");
/// assert_eq!(inspection.wal.map(|wal| wal.entries), Some(1));
/// store.close().await
/// # }).unwrap();
/// ```
///
/// # Errors
/// `Io` if one of the directories cannot be listed, or a file of the log cannot be read.
///
/// # Cancel safety
/// The future can be dropped at any time.
pub async fn with_wal(
    directory: Arc<dyn Directory>,
    wal: Arc<dyn Directory>,
) -> Result<Inspection> {
    inspect_all(&directory, Some(&wal)).await
}

async fn inspect_all(
    directory: &Arc<dyn Directory>,
    wal: Option<&Arc<dyn Directory>>,
) -> Result<Inspection> {
    let mut manifests = Manifests::read(&**directory).await;
    for is_last in [false, true] {
        let mut inspection = manifests.look(directory, wal).await?;
        if inspection.problems.is_empty() {
            return Ok(inspection);
        }
        let now = Manifests::read(&**directory).await;
        inspection.has_changed = now != manifests;
        if is_last || !inspection.has_changed {
            return Ok(inspection);
        }
        manifests = now;
    }
    unreachable!("the second look is the last")
}

/// The file that was found under the name of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Missing,
    Bytes(Vec<u8>),
    Unreadable(String),
}

/// The manifest and its copy at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Manifests {
    manifest: Found,
    copy: Found,
}

impl Manifests {
    async fn read(directory: &dyn Directory) -> Self {
        Self { manifest: read(directory, MANIFEST).await, copy: read(directory, COPY).await }
    }

    async fn look(
        &self,
        directory: &Arc<dyn Directory>,
        wal: Option<&Arc<dyn Directory>>,
    ) -> Result<Inspection> {
        let place = directory.describe();
        let all = files::lengths(&**directory, list(&**directory).await?).await;
        let number = self.contents();
        let directory = &numbered(directory, number);
        let mut problems = Problems::new(files::of_contents(&all, number));
        let (manifest, copy) = self.choose(&mut problems);
        let mut inspection = Inspection {
            place,
            store: manifest.as_ref().map(InspectedStore::of),
            from_copy: manifest.is_some() && self.decode(&self.manifest, MANIFEST).is_err(),
            copy,
            has_changed: false,
            checkpoints: Vec::new(),
            indexes: Vec::new(),
            wal: None,
            files: files::roles(&all, number, manifest.as_ref()),
            problems: Vec::new(),
        };
        if let Some(manifest) = manifest {
            let sound_sizes = manifest.store.check_sizes();
            match sound_sizes {
                Ok(()) => {
                    (inspection.indexes, inspection.checkpoints) =
                        check(directory, &manifest, &mut problems).await;
                    if let Some(wal) = wal {
                        inspection.wal = wal::check(&manifest, wal, &mut problems).await?;
                    }
                }
                Err(error) => problems.note(&error, (MANIFEST, 0)),
            }
        }
        inspection.problems = problems.into_list();
        Ok(inspection)
    }

    /// Returns the number of the contents.
    fn contents(&self) -> u64 {
        let manifest = self.decode(&self.manifest, MANIFEST);
        let manifest = manifest.or_else(|_| self.decode(&self.copy, COPY));
        manifest.map_or(0, |manifest| manifest.contents())
    }

    /// Returns the manifest to use, and the state of its copy.
    fn choose(&self, problems: &mut Problems) -> (Option<Manifest>, ManifestCopy) {
        let copy = match self.decode(&self.copy, COPY) {
            Ok(copy) => Some(copy),
            Err(error) => {
                // A missing copy is no damage: a crash may come before it is written.
                if self.copy != Found::Missing {
                    problems.note(&error, (COPY, 0));
                }
                None
            }
        };
        let state = match (&copy, &self.copy) {
            (_, Found::Missing) => ManifestCopy::Missing,
            (None, _) => ManifestCopy::Damaged,
            (Some(_), _) if self.copy == self.manifest => ManifestCopy::Same,
            (Some(_), _) => ManifestCopy::Different,
        };
        match self.decode(&self.manifest, MANIFEST) {
            Ok(manifest) => (Some(manifest), state),
            Err(error) => {
                problems.note(&error, (MANIFEST, 0));
                // A manifest of another format is no damage, and its copy has that format too.
                (copy.filter(|_| error.kind() != ErrorKind::Unsupported), state)
            }
        }
    }

    fn decode(&self, found: &Found, name: &str) -> Result<Manifest> {
        match found {
            Found::Bytes(bytes) => Manifest::decode(name, bytes),
            Found::Missing => Err(Error::lost_file(name)),
            Found::Unreadable(why) => {
                Err(Error::io(format!("reading {name}"), io::Error::other(why.clone())))
            }
        }
    }
}

/// Checks everything that a manifest names. Its sizes are sound.
async fn check(
    directory: &Arc<dyn Directory>,
    manifest: &Manifest,
    problems: &mut Problems,
) -> (Vec<InspectedIndex>, Vec<InspectedCheckpoint>) {
    let layouts = manifest.store.layouts();
    let mut check = Check::new(directory, (manifest, &layouts), problems);
    let indexes = check.indexes().await;
    let checkpoints = check.checkpoints(&indexes).await;
    (indexes, checkpoints)
}

/// Returns the problems of the files in `directory` that `manifest` names, which is not there yet.
///
/// # Errors
/// `Io` if the directory cannot be listed, or a file cannot be read.
pub(crate) async fn problems_of(
    directory: &Arc<dyn Directory>,
    manifest: &Manifest,
) -> Result<Vec<Problem>> {
    let names = list(&**directory).await?;
    let mut problems = Problems::new(files::lengths(&**directory, names).await);
    check(directory, manifest, &mut problems).await;
    problems.unreadable().map_or_else(|| Ok(problems.into_list()), Err)
}

async fn read(directory: &dyn Directory, name: &str) -> Found {
    match directory.read_file(name).await {
        Ok(bytes) => Found::Bytes(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unreadable(error.to_string()),
    }
}
