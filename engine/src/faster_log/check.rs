//! Checking a log from outside, and repairing what can be repaired.
//!
//! A check reads every frame from the begin of the log to its newest commit and writes nothing.
//! Where a frame is damaged it goes on at the next sound one that begins in a sound unit: what lies
//! between is lost. A repair does what the check has said: it makes a void of what is lost, so that
//! readers come past it, and cuts the torn tail off. It invents nothing, and no damaged byte gets
//! a new checksum.

use super::LogAddress;
use super::damage::LogDamage;
use super::entry::Framing;
use super::manifest::Manifest;
use super::opening::{cut, look, open_log};
use super::settled::{Commit, Settled};
use super::stored::Stored;
use super::survey::Survey;
use super::voids;
use super::walk::Walk;
use crate::error::{Error, Result};
use crate::publication;
use kvick_io::{AlignedBuf, BufPool, Device, Directory};
use std::sync::Arc;

/// Bytes of buffers that a check keeps.
const BUFFERS: usize = 4 << 20;

/// What a check of a log has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogCheck {
    /// The newest commit that can be read.
    pub commit: Commit,
    /// Where the log begins.
    pub begin: LogAddress,
    /// Entries that can be read, from there to the commit.
    pub entries: u64,
    /// Their bytes.
    pub entry_bytes: u64,
    /// What is lost, ascending: below the commit, and so once durable.
    pub damage: Vec<LogDamage>,
    /// Bytes behind the commit: entries that nobody was told to be durable. Opening the log cuts
    /// them off.
    pub torn_bytes: u64,
}

impl LogCheck {
    /// Whether nothing is lost that was durable.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Checks the log in a directory: all of it, and writes nothing. With a
/// [`ReadOnlyDirectory`](kvick_io::ReadOnlyDirectory) not even by accident.
///
/// A log that is running may be checked; what it writes meanwhile may look torn.
///
/// # Errors
/// `InvalidArgument` if there is no log, `Unsupported` for one of another format or whose units are
/// smaller than the blocks of the device, `Corrupt` if neither manifest nor copy is sound, `Io`.
/// Damage of the log itself is no error.
///
/// # Cancel safety
/// Can be dropped at any time.
pub async fn check_log(directory: Arc<dyn Directory>) -> Result<LogCheck> {
    Ok(examine(&directory).await?.check)
}

/// Repairs the log in a directory: drops what [`check_log`] says is damaged or torn, and nothing
/// else, so that the log can be opened and read. Returns what it has dropped. Look at a check
/// first, and keep a copy: what is dropped may be needed elsewhere.
///
/// If the end of the log is lost, the addresses there are used again.
///
/// # Errors
/// As [`check_log`]; `InUse` if the log is open, `StorageFull`.
///
/// # Cancel safety
/// Dropped before it is ready it has repaired the log or not; do it again.
pub async fn repair_log(directory: Arc<dyn Directory>) -> Result<LogCheck> {
    let _lock = publication::lock(&*directory).await?;
    let Examined { check, manifest, settled, stored_end } = examine(&directory).await?;
    let sizes = manifest.log;
    let units = manifest.units();
    let until = settled.until;
    let repaired = mended(settled, &check, units);
    let device = open_log(&*directory, sizes, true).await?;
    let end = units.device_offset(repaired.until);
    fill_up(&*device, stored_end / sizes.unit_bytes * sizes.unit_bytes, end).await?;
    cut(&*directory, &*device, end).await?;
    let mut identity = manifest.identity();
    identity.rewinds += u64::from(repaired.until < until);
    let manifest = Manifest::new(identity, &repaired);
    let published = publication::publish(&*directory, &manifest, true).await;
    let bytes = published.map_err(|failed| failed.error)?;
    publication::keep_copy(&*directory, &bytes).await;
    Ok(check)
}

/// Makes a device as long as the log is: that ends on a physical block, and the file maybe before,
/// within what a void covers.
async fn fill_up(device: &dyn Device, from: u64, end: u64) -> Result<()> {
    let Some(missing) = end.checked_sub(from).filter(|missing| *missing > 0) else {
        return Ok(());
    };
    let missing = usize::try_from(missing).expect("part of a physical block");
    let written = device.write_at(from, AlignedBuf::zeroed(missing)).await;
    written.result.map_err(|error| Error::io("filling up the last block of the log", error))
}

struct Examined {
    check: LogCheck,
    manifest: Manifest,
    /// As of the newest commit, damaged or not.
    settled: Settled,
    /// Where the files end.
    stored_end: u64,
}

async fn examine(directory: &Arc<dyn Directory>) -> Result<Examined> {
    let Some(manifest) = look(&**directory, true).await? else {
        return Err(Error::invalid(format!("{}: there is no log", directory.describe())));
    };
    let sizes = manifest.log;
    let saved = manifest.settled();
    if !saved.has_entries() && Stored::look(&**directory, sizes.segment_bytes).await?.end() == 0 {
        let check = LogCheck {
            commit: saved.commit(),
            begin: saved.begin.into(),
            entries: 0,
            entry_bytes: 0,
            damage: Vec::new(),
            torn_bytes: 0,
        };
        return Ok(Examined { check, manifest, settled: saved, stored_end: 0 });
    }
    let device = open_log(&**directory, sizes, false).await?;
    let buffers = BufPool::new(BUFFERS);
    let walk = Walk {
        framing: Framing::new(manifest.units(), sizes.salt.0),
        device: &*device,
        buffers: &buffers,
        stored: Stored::look(&**directory, sizes.segment_bytes).await?,
    };
    let surveyed = Survey::of(&walk, saved).await?;
    let settled = surveyed.settled;
    let until = manifest.units().device_offset(settled.until);
    let check = LogCheck {
        commit: settled.commit(),
        begin: settled.begin.into(),
        entries: surveyed.entries,
        entry_bytes: surveyed.entry_bytes,
        damage: surveyed.damage,
        torn_bytes: walk.stored.end().saturating_sub(until),
    };
    Ok(Examined { check, manifest, settled, stored_end: walk.stored.end() })
}

/// What the manifest of a repaired log has.
fn mended(mut settled: Settled, check: &LogCheck, units: crate::hybrid_log::Units) -> Settled {
    for damage in &check.damage {
        let start = damage.start.inner();
        // The next sound frame may be one that no commit has.
        let end = damage.end.inner().min(settled.until);
        if start <= settled.begin {
            settled.begin = settled.begin.max(end);
        } else if end == settled.until {
            // The end is lost, maybe with its file: the log ends before.
            settled.until = units.block_behind_end(start);
            voids::merge(&mut settled.voids, [start, settled.until]);
        } else {
            voids::merge(&mut settled.voids, [start, end]);
        }
    }
    for void in &mut settled.voids {
        void[1] = void[1].min(settled.until);
    }
    settled.voids.retain(|[start, end]| start < end && *end > settled.begin);
    for at in settled.iterators.values_mut() {
        // What is appended there now was never read.
        *at = (*at).min(settled.until);
    }
    assert!(settled.begin <= settled.until, "a log ends where it begins, or behind");
    settled
}
