//! Creating a store in a directory.
//!
//! A directory is locked first and looked at next; whatever is found there is left as it is. A new
//! store is announced by its manifest, written aside and renamed, before its log has any record.

use super::seat::{Registry, SeatPool};
use super::{Core, Limits, layout};
use crate::codec::{Key, Value};
use crate::config::{Backend, Config, Geometry};
use crate::epoch::Epoch;
use crate::error::{Error, Result};
use crate::hash::{HASH_ID, KeyHasher};
use crate::hash_index::HashIndex;
use crate::hybrid_log::{HybridLog, LogGeometry};
use kvick_io::{DeviceOptions, Directory, IoConfig, Lock, MemoryDirectory, NullDirectory};
use kvick_runtime::Handle;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Files of a store. Segments of the log are `log.000000` and so on.
const LOCK: &str = "lock";
const MANIFEST: &str = "manifest";
const MANIFEST_ASIDE: &str = "manifest.new";
const LOG: &str = "log";
/// The first line of a manifest of this format.
const MAGIC: &str = "kvick store, format 1";
/// Seats for operations on the handle; more than threads are likely to be within a poll at once.
const POOLED_SEATS: usize = 16;

/// The directory that the configuration asks for.
pub(crate) fn directory(path: &Path, config: &Config) -> Result<Arc<dyn Directory>> {
    let io = match config.backend {
        Backend::Memory => return Ok(Arc::new(MemoryDirectory::new())),
        Backend::Null => return Ok(Arc::new(NullDirectory::new())),
        ref disk => disk.io_config(config)?,
    };
    open_disk(path, &io)
}

fn open_disk(path: &Path, io: &IoConfig) -> Result<Arc<dyn Directory>> {
    kvick_io::open_directory(path, io)
        .map_err(|error| Error::io(format!("opening {}", path.display()), error))
}

/// Creates a store; the lock is to be kept for as long as the store writes.
pub(crate) async fn create<K: Key + ?Sized, V: Value + ?Sized>(
    config: Config,
    directory: Arc<dyn Directory>,
    handle: Handle,
    seed: u64,
) -> Result<(Core, Box<dyn Lock>)> {
    let geometry = Geometry::of(&config)?;
    let lock = lock(&*directory).await?;
    let options = DeviceOptions { segment_bytes: geometry.segment_bytes, create: true };
    refuse_what_is_there(&*directory, options).await?;
    let salt = seed.rotate_left(32) ^ 0x6b76_6963_6b6c_6f67;
    let device = directory
        .open_device(LOG, options)
        .await
        .map_err(|error| Error::io(format!("creating the log in {}", place(&*directory)), error))?;
    // A unit is what the device can transfer at the least.
    let unit_bytes = geometry.unit_bytes.max(device.geometry().block as usize);
    write_manifest::<K, V>(&*directory, &geometry, unit_bytes, [seed, salt]).await?;
    let log_geometry = LogGeometry {
        page_bits: geometry.page_bits,
        frames: geometry.frames,
        mutable_pages: geometry.mutable_pages,
        unit_bytes,
        salt,
        flush_bytes: geometry.io_budget_bytes,
        huge_pages: config.huge_pages,
    };
    let epoch = Epoch::new();
    let layout = layout::<K, V>();
    let memory = |error| Error::io("reserving memory", error);
    let log =
        HybridLog::new(log_geometry, layout, device, epoch.clone(), handle).map_err(memory)?;
    let index = HashIndex::new(geometry.index_buckets, config.huge_pages).map_err(memory)?;
    let registry = Arc::new(Registry::default());
    let limits = Limits {
        key: geometry.max_key,
        value: geometry.max_value,
        inline: geometry.max_inline,
        yield_every: config.yield_every,
    };
    let pool = SeatPool::new(POOLED_SEATS, || registry.seat(&epoch, limits.yield_every));
    let hasher = KeyHasher::new(seed);
    let mut core = Core { config, limits, hasher, epoch, index, log, pool, registry };
    core.limits.value = core.limits.value.min(core.longest_in_pieces());
    Ok((core, lock))
}

async fn lock(directory: &dyn Directory) -> Result<Box<dyn Lock>> {
    directory.lock(LOCK).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::in_use(place(directory)),
        _ => Error::io(format!("locking {}", place(directory)), error),
    })
}

/// Refuses a directory that holds a store, or files that a store would overwrite.
async fn refuse_what_is_there(directory: &dyn Directory, options: DeviceOptions) -> Result<()> {
    let files = directory
        .list()
        .await
        .map_err(|error| Error::io(format!("listing {}", place(directory)), error))?;
    let segments = files.iter().filter(|name| name.starts_with("log.")).count();
    if files.iter().any(|name| name == MANIFEST) {
        let what = format!(
            "a kvick store with {segments} log segments; recovery is not built yet, so it cannot \
             be opened again, and nothing was touched"
        );
        return Err(Error::already_exists(place(directory), &what));
    }
    if segments > 0 && !is_unfinished(directory, options).await? {
        let what = format!("{segments} log segments without a manifest; nothing was touched");
        return Err(Error::already_exists(place(directory), &what));
    }
    Ok(())
}

/// Whether the log there is left over from a creation that did not get to its manifest: then it
/// holds no byte, and the creation can go on.
async fn is_unfinished(directory: &dyn Directory, options: DeviceOptions) -> Result<bool> {
    let options = DeviceOptions { create: false, ..options };
    let device = directory
        .open_device(LOG, options)
        .await
        .map_err(|error| Error::io(format!("looking at the log in {}", place(directory)), error))?;
    Ok(device.bytes_stored() == 0)
}

/// Announces the store: what it is made of, one fact a line, and the checksum of those lines.
async fn write_manifest<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &dyn Directory,
    geometry: &Geometry,
    unit_bytes: usize,
    [seed, salt]: [u64; 2],
) -> Result<()> {
    let facts = format!(
        "{MAGIC}\nkey {}\nvalue {}\nhash {HASH_ID} {seed:#018x}\nsalt {salt:#018x}\n\
         page_bytes {}\nunit_bytes {unit_bytes}\nsegment_bytes {}\n",
        K::type_name(),
        V::type_name(),
        1_u64 << geometry.page_bits,
        geometry.segment_bytes,
    );
    let manifest = format!("{facts}crc32c {:#010x}\n", crc32c::crc32c(facts.as_bytes()));
    let failed = |error| Error::io(format!("writing the manifest in {}", place(directory)), error);
    directory.write_file(MANIFEST_ASIDE, manifest.as_bytes()).await.map_err(failed)?;
    directory.rename(MANIFEST_ASIDE, MANIFEST).await.map_err(failed)?;
    directory.sync().await.map_err(failed)
}

fn place(directory: &dyn Directory) -> String {
    directory.describe()
}
