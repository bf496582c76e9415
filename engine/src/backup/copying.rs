//! Copies the files of a pinned checkpoint to another directory.

use super::File;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::checkpoint::Checkpoints;
use crate::checkpoint::files::checkpoint_files::kind_and_token;
use crate::checkpoint::files::manifest::CheckpointEntry;
use crate::checkpoint::files::needs::PinnedCheckpoint;
use crate::hybrid_log::check_block;
use crate::manifest::files::{LOG, segment_name};
use crate::store::StoreInner;
use futures::stream::{self, StreamExt, TryStreamExt};
use kvick_io::{AlignedBuf, BufPool, Device, DeviceOptions, Directory};
use std::sync::Arc;

/// The bytes of a read, and of the write that follows it.
const CHUNK: usize = 1 << 20;
/// The maximum number of chunks in flight.
const AT_ONCE: usize = 4;

/// The devices that a pinned checkpoint needs.
pub(super) struct Source<'p> {
    pinned: &'p PinnedCheckpoint,
    core: &'p StoreInner,
    devices: Vec<SourceDevice>,
}

/// A device, and the range of it that is copied.
struct SourceDevice {
    name: String,
    device: Arc<dyn Device>,
    range: [u64; 2],
}

impl<'p> Source<'p> {
    /// Opens the devices.
    pub(super) async fn of(
        pinned: &'p PinnedCheckpoint,
        checkpoints: &'p Checkpoints,
    ) -> Result<Self> {
        let core = checkpoints.core();
        let mut devices = vec![log_of(pinned, core)];
        for name in pinned.manifest().files() {
            let (kind, token) = kind_and_token(&name).expect("a manifest names such devices");
            let device = checkpoints.checkpoint_files().device(kind, token, false).await?;
            let range = [0, device.bytes_stored()];
            devices.push(SourceDevice { name, device, range });
        }
        Ok(Self { pinned, core, devices })
    }

    pub(super) fn token(&self) -> u64 {
        entry(self.pinned).token
    }

    /// Returns the files of all devices, by name.
    pub(super) fn files(&self) -> Vec<File> {
        let segment_bytes = self.pinned.manifest().store.segment_bytes;
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

/// Returns the log, from the page of the first record to the end of what the log itself has.
fn log_of(pinned: &PinnedCheckpoint, core: &StoreInner) -> SourceDevice {
    let units = pinned.manifest().units();
    let CheckpointEntry { begin, flushed, .. } = *entry(pinned);
    let from = units.page_start(Address::new(begin));
    let end = units.device_offset(Address::new(flushed));
    let device = Arc::clone(core.log.file().device());
    SourceDevice { name: LOG.to_owned(), device, range: [from.min(end), end] }
}

fn entry(pinned: &PinnedCheckpoint) -> &CheckpointEntry {
    pinned.manifest().checkpoints.last().expect("it has this checkpoint alone")
}

/// Copies all devices to a directory, and makes them durable there. Returns the number of bytes.
///
/// # Errors
/// `Unsupported` if the blocks of the target are larger than the units of the log. `Closed` if the
/// store is closed meanwhile. `Io`, `StorageFull`.
pub(super) async fn copy_all(source: &Source<'_>, to: &dyn Directory) -> Result<u64> {
    let mut bytes = 0;
    for part in &source.devices {
        bytes += copy(source, part, to).await?;
    }
    let synced = to.sync().await;
    synced.map_err(|error| Error::io(format!("syncing {}", to.describe()), error))?;
    Ok(bytes)
}

async fn copy(source: &Source<'_>, part: &SourceDevice, to: &dyn Directory) -> Result<u64> {
    let store = &source.pinned.manifest().store;
    let options = DeviceOptions { segment_bytes: store.segment_bytes, create: true };
    let place = to.describe();
    let failed = |doing: &str, error| Error::io(format!("{doing} {} in {place}", part.name), error);
    let target = to.open_device(&part.name, options).await;
    let target = target.map_err(|error| failed("creating", error))?;
    if part.name == LOG {
        check_block(store.unit_bytes, &*target)?;
    }
    let buffers = BufPool::new(AT_ONCE * CHUNK);
    let [from, end] = part.range;
    let chunks = (from..end).step_by(CHUNK).map(|offset| {
        let (buffers, target) = (&buffers, &*target);
        async move {
            source.core.check_read()?;
            let length = usize::try_from(end - offset).unwrap_or(CHUNK).min(CHUNK);
            let read = part.device.read_at(offset, buffers.take(length)).await;
            read.result.map_err(|error| {
                let (file, at) = part.device.locate(offset);
                Error::io(format!("reading {file} at {at} for a backup"), error)
            })?;
            let buffer = read.buf.expect("a read gives its buffer back");
            let block = target.geometry().block as usize;
            let written = target.write_at(offset, in_blocks(buffer, block, buffers)).await;
            written.result.map_err(|error| failed("writing", error))
        }
    });
    stream::iter(chunks).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    // The first file that the device was created with is not needed if the log begins later. An
    // empty log needs it.
    if from < end {
        let freed = target.discard_below(from).await;
        freed.map_err(|error| failed("beginning", error))?;
    }
    target.sync().await.result.map_err(|error| failed("syncing", error))?;
    Ok(end - from)
}

/// Returns the bytes in whole blocks of the target. Zeros follow the last bytes of a device.
fn in_blocks(buffer: AlignedBuf, block: usize, buffers: &BufPool) -> AlignedBuf {
    if buffer.len().is_multiple_of(block) {
        return buffer;
    }
    let mut whole = buffers.take(buffer.len().next_multiple_of(block));
    let (bytes, rest) = whole.split_at_mut(buffer.len());
    bytes.copy_from_slice(&buffer);
    rest.fill(0);
    whole
}
