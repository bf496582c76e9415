//! Looks at the directory of a store from outside, and checks every byte that recovery would need.
//!
//! Nothing is written, locked or kept. Keys and values stay bytes: the widths in the manifest are
//! enough to walk over records.
//!
//! # What is checked
//! * `manifest` and `manifest.copy`: the checksum, and that the parts fit together. If the manifest
//!   is damaged or gone, the rest is checked by what the copy says.
//! * Each image of the index: every block, every entry; the files of commit points likewise.
//! * Of the log every unit that some checkpoint needs, each once; beside the log the parts and
//!   deltas of each checkpoint, as its recovery would read them.
//! * Every record in there: that it lies within its page, its value within the record, and that it
//!   leads to an older one.
//!
//! # A store that is running
//! publishes checkpoints and removes files meanwhile. So what the manifest said when the looking
//! began may be gone at its end. If there are problems and the manifest has changed, everything is
//! looked at once more.

mod check;
mod files;
mod problems;
mod report;
mod row;
#[cfg(all(test, not(loom)))]
mod tests;
mod text;
mod walk;

pub use report::{
    FileRole, InspectedCheckpoint, InspectedFile, InspectedIndex, InspectedStore, Inspection,
    ManifestCopy, Problem, RecordCounts,
};

use crate::checkpoint::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::publication::{COPY, MANIFEST, Publishable};
use check::Check;
use kvick_io::Directory;
use problems::Problems;
use std::io;
use std::sync::Arc;

/// Checks everything in the directory of a store that its checkpoints need, and reports what is
/// there, whatever the types of the store are.
///
/// Give it an [`io::ReadOnlyDirectory`](crate::io::ReadOnlyDirectory) for a store that may be open:
/// that opens nothing for writing and takes no lock. Whatever the directory, nothing in it is
/// created, changed or removed.
///
/// Damage is no error: it is in [`Inspection::problems`]. So is a directory without a store.
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
/// Nothing is left behind.
pub async fn inspect(directory: Arc<dyn Directory>) -> Result<Inspection> {
    let mut manifests = Manifests::read(&*directory).await;
    for is_last in [false, true] {
        let mut inspection = manifests.look(&directory).await?;
        if inspection.problems.is_empty() {
            return Ok(inspection);
        }
        let now = Manifests::read(&*directory).await;
        inspection.has_changed = now != manifests;
        if is_last || !inspection.has_changed {
            return Ok(inspection);
        }
        manifests = now;
    }
    unreachable!("the second look is the last")
}

/// What was found under the name of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Missing,
    Bytes(Vec<u8>),
    Unreadable(String),
}

/// The manifest and its copy, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Manifests {
    manifest: Found,
    copy: Found,
}

impl Manifests {
    async fn read(directory: &dyn Directory) -> Self {
        Self { manifest: read(directory, MANIFEST).await, copy: read(directory, COPY).await }
    }

    async fn look(&self, directory: &Arc<dyn Directory>) -> Result<Inspection> {
        let place = directory.describe();
        let names = directory.list().await;
        let names = names.map_err(|error| Error::io(format!("listing {place}"), error))?;
        let lengths = files::lengths(&**directory, names).await;
        let mut problems = Problems::new(lengths);
        let (manifest, copy) = self.choose(&mut problems);
        let mut inspection = Inspection {
            place,
            store: manifest.as_ref().map(InspectedStore::of),
            from_copy: manifest.is_some() && self.decode(&self.manifest, MANIFEST).is_err(),
            copy,
            has_changed: false,
            checkpoints: Vec::new(),
            indexes: Vec::new(),
            files: files::roles(problems.lengths(), manifest.as_ref()),
            problems: Vec::new(),
        };
        if let Some(manifest) = manifest {
            let sound_sizes = manifest.store.check_sizes();
            match sound_sizes {
                Ok(()) => {
                    let mut check = Check::new(directory, &manifest, &mut problems);
                    inspection.indexes = check.indexes().await;
                    inspection.checkpoints = check.checkpoints(&inspection.indexes).await;
                }
                Err(error) => problems.note(&error, (MANIFEST, 0)),
            }
        }
        inspection.problems = problems.into_list();
        Ok(inspection)
    }

    /// The manifest that counts, and how its copy compares.
    fn choose(&self, problems: &mut Problems) -> (Option<Manifest>, ManifestCopy) {
        let copy = match self.decode(&self.copy, COPY) {
            Ok(copy) => Some(copy),
            Err(error) => {
                // One that is not there does not count as damage: a crash may come before it.
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
                // One of another format is no damage, and its copy is of that format too.
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

async fn read(directory: &dyn Directory, name: &str) -> Found {
    match directory.read_file(name).await {
        Ok(bytes) => Found::Bytes(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unreadable(error.to_string()),
    }
}
