//! Copies the files of a checkpoint to another directory, and checks them on the way.

use super::File;
use super::origin::Origin;
use super::pair::Pair;
use super::tee::Tee;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::checkpoint::Checkpoints;
use crate::checkpoint::files::checkpoint_files::kind_and_token;
use crate::checkpoint::files::manifest::{CheckpointEntry, Manifest, StoreFormat};
use crate::checkpoint::files::needs::PinnedCheckpoint;
use crate::inspect;
use crate::manifest::files::{LOG, segment_name};
use kvick_io::{Device, DeviceOptions, Directory};
use std::io;
use std::sync::Arc;

/// The devices that a checkpoint needs. Its files do not change.
pub(super) struct Source<'s> {
    /// A manifest that has this checkpoint alone.
    manifest: &'s Manifest,
    origin: Origin,
    devices: Vec<SourceDevice>,
}

/// A device, and the range of it that is copied.
struct SourceDevice {
    name: String,
    device: Arc<dyn Device>,
    range: [u64; 2],
}

impl<'s> Source<'s> {
    /// Opens the devices of a pinned checkpoint of a running store.
    pub(super) async fn of(
        pinned: &'s PinnedCheckpoint,
        checkpoints: &Checkpoints,
    ) -> Result<Self> {
        let core = checkpoints.core();
        let manifest = pinned.manifest();
        let mut devices = vec![log_of(manifest, Arc::clone(core.log.file().device()))];
        for name in manifest.files() {
            let (kind, token) = kind_and_token(&name).expect("a manifest names such devices");
            let device = checkpoints.checkpoint_files().device(kind, token, false).await?;
            devices.push(SourceDevice::whole(name, device));
        }
        Ok(Self { manifest, origin: Origin::store(core), devices })
    }

    /// Opens the devices of the checkpoint of a backup. `manifest` has it alone.
    pub(super) async fn in_directory(
        manifest: &'s Manifest,
        directory: &dyn Directory,
    ) -> Result<Self> {
        let place = directory.describe();
        let segment_bytes = manifest.store.segment_bytes;
        let open = async |name: &str| {
            let options = DeviceOptions { segment_bytes, create: false };
            directory.open_device(name, options).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::lost_file(&segment_name(name, 0)),
                _ => Error::io(format!("opening {name} in {place}"), error),
            })
        };
        let mut devices = vec![log_of(manifest, open(LOG).await?)];
        for name in manifest.files() {
            let device = open(&name).await?;
            devices.push(SourceDevice::whole(name, device));
        }
        Ok(Self { manifest, origin: Origin::files(place), devices })
    }

    pub(super) fn token(&self) -> u64 {
        entry(self.manifest).token
    }

    fn store(&self) -> &StoreFormat {
        &self.manifest.store
    }

    /// Returns the files of all devices, by name.
    pub(super) fn files(&self) -> Vec<File> {
        let segment_bytes = self.store().segment_bytes;
        let mut files: Vec<File> = Vec::new();
        for SourceDevice { name, range: [from, end], .. } in &self.devices {
            let end = *end;
            // A device has a file, even if nothing of it is needed.
            let last = end.saturating_sub(1) / segment_bytes;
            files.extend(((from / segment_bytes).min(last)..=last).map(|segment| {
                let bytes = (end - segment * segment_bytes).min(segment_bytes);
                File { name: segment_name(name, segment), bytes }
            }));
        }
        files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        files
    }
}

impl SourceDevice {
    /// Returns a device that is copied as a whole.
    fn whole(name: String, device: Arc<dyn Device>) -> Self {
        let range = [0, device.bytes_stored()];
        Self { name, device, range }
    }
}

/// Returns the log, from the page of the first record to the end of what the log itself has.
fn log_of(manifest: &Manifest, device: Arc<dyn Device>) -> SourceDevice {
    let units = manifest.units();
    let CheckpointEntry { begin, flushed, .. } = *entry(manifest);
    let from = units.page_start(Address::new(begin));
    let end = units.device_offset(Address::new(flushed));
    SourceDevice { name: LOG.to_owned(), device, range: [from.min(end), end] }
}

fn entry(manifest: &Manifest) -> &CheckpointEntry {
    manifest.checkpoints.last().expect("it has this checkpoint alone")
}

/// Copies all devices to a directory, checks what a recovery reads of them, and makes them durable
/// there. Returns the number of bytes.
///
/// # Errors
/// `Corrupt` with the first problem of the source. `Unsupported` if the blocks of the target are
/// larger than the units of the log. `Closed` if the store is closed meanwhile. `Io`,
/// `StorageFull`.
pub(super) async fn copy_all(source: &Source<'_>, to: &dyn Directory) -> Result<u64> {
    let mut pairs = Vec::new();
    for device in &source.devices {
        let SourceDevice { name, device, range } = device;
        let pair = Pair::create((name, device, *range), source.store(), to).await?;
        pairs.push(Arc::new(pair));
    }
    let files = source.files().into_iter().map(|file| (file.name, file.bytes)).collect();
    let tee = Tee::new(source.origin.clone(), files, pairs.clone());
    let directory: Arc<dyn Directory> = tee.clone();
    let problems = tee.drive(inspect::problems_of(&directory, source.manifest)).await??;
    refuse(&problems)?;
    let mut bytes = 0;
    for pair in &pairs {
        bytes += pair.complete(&source.origin).await?;
    }
    let synced = to.sync().await;
    synced.map_err(|error| Error::io(format!("syncing {}", to.describe()), error))?;
    Ok(bytes)
}

/// Refuses to go on with damaged files.
pub(super) fn refuse(problems: &[inspect::Problem]) -> Result<()> {
    problems.first().map_or(Ok(()), |problem| {
        let what = format!("{}; the copy was given up", problem.message);
        Err(Error::damaged(&what, &problem.file, problem.offset))
    })
}
