//! Checking a closed log or a running one, and repairing a closed one.
//!
//! A check reads every frame from the begin of the log to its newest commit and writes nothing.
//! After a damaged frame it continues at the next sound frame that begins in a sound unit; the
//! bytes between are lost. A repair follows the check. It makes a hole of the lost bytes, so that
//! readers skip them, and removes the torn tail. It invents nothing, and no damaged byte gets a new
//! checksum.

use super::damage::Damage;
use super::full_scan::FullScan;
use crate::base::error::{Error, Result};
use crate::log::Address;
use crate::log::commit::manifest::Manifest;
use crate::log::commit::state::{Commit, CommitState};
use crate::log::frame::format::Framing;
use crate::log::frame::scanner::FrameScanner;
use crate::log::frame::stored_files::StoredFiles;
use crate::log::recover::opening::{cut, look, open_log};
use crate::log::truncate::holes;
use crate::manifest::copy;
use crate::manifest::publish;
use crate::opening::lock;
use kvick_io::{AlignedBuf, BufPool, Device, Directory};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bytes of buffers that a check keeps.
const BUFFERS: usize = 4 << 20;

/// The result of a check of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The newest readable commit.
    pub commit: Commit,
    /// The address where the log begins.
    pub begin: Address,
    /// The number of readable entries from `begin` to the commit.
    pub entries: u64,
    /// The bytes of the readable entries.
    pub entry_bytes: u64,
    /// The lost ranges, in ascending order. They are below the commit, so they were durable.
    pub damage: Vec<Damage>,
    /// The numbers of commits whose records are lost, in ascending order. Such a commit may have
    /// truncated entries that the check counts, moved iterators, or completed the log.
    pub lost_commits: Vec<RangeInclusive<u64>>,
    /// The bytes after the commit: entries that were never reported as durable. Opening the log
    /// removes them.
    pub torn_bytes: u64,
}

impl Check {
    /// Returns whether no durable data is lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Checks the whole log in a directory, and writes nothing. A
/// [`ReadOnlyDirectory`](kvick_io::ReadOnlyDirectory) guarantees that.
///
/// A running log can be checked. Bytes that it writes in the meantime may look torn.
///
/// # Errors
/// `InvalidArgument` if there is no log. `Unsupported` for a log of another format, or with units
/// smaller than the blocks of the device. `Corrupt` if neither the manifest nor its copy is sound,
/// `Io`. Damage of the log itself is no error.
///
/// # Cancel safety
/// The future can be dropped at any time.
pub async fn check_log(directory: Arc<dyn Directory>) -> Result<Check> {
    check_with_salt(&directory).await.map(|(check, _salt)| check)
}

/// As [`check_log`]. Also returns the salt, which tells this log from all others.
pub(crate) async fn check_with_salt(directory: &Arc<dyn Directory>) -> Result<(Check, u64)> {
    let Examined { check, manifest, .. } = examine(directory).await?;
    Ok((check, manifest.log.salt.0))
}

/// Repairs the log in a directory, so that it can be opened and read. Drops the ranges that
/// [`log::check`](check_log) reports as damaged or torn, and nothing else. Returns the dropped
/// ranges. Run a check first, and keep a copy: the dropped bytes may be needed elsewhere.
///
/// If the end of the log is lost, new entries use its addresses again. Entries that a [lost
/// commit](Check::lost_commits) had taken back are in the log again, and iterators that it had
/// moved are where they were before: the record of that commit was the only place that knew.
///
/// # Errors
/// As [`log::check`](check_log); `InUse` if the log is open, `StorageFull`.
///
/// # Cancel safety
/// A future that is dropped before it is ready may have repaired the log. Repeat the repair.
pub async fn repair_log(directory: Arc<dyn Directory>) -> Result<Check> {
    let _lock = lock::lock(&*directory).await?;
    let Examined { check, manifest, commit_state, stored_end } = examine(&directory).await?;
    let sizes = manifest.log;
    let units = manifest.units();
    let until = commit_state.until;
    let repaired = mended(commit_state, &check, units);
    assert!(repaired.until <= until, "a repair invents no bytes: {repaired:?}");
    let device = open_log(&*directory, sizes, true).await?;
    let end = units.device_offset(repaired.until);
    fill_up(&*device, stored_end / sizes.unit_bytes * sizes.unit_bytes, end).await?;
    cut(&*directory, &*device, end).await?;
    let mut identity = manifest.identity();
    identity.rewinds += u64::from(repaired.until < until);
    let manifest = Manifest::new(identity, &repaired);
    let published = publish::publish(&*directory, &manifest, true).await;
    let bytes = published.map_err(|failed| failed.error)?;
    copy::keep_copy(&*directory, &bytes).await;
    Ok(check)
}

/// Extends a device to the end of the log. The log ends on a physical block. The file may end
/// before it, within a hole.
async fn fill_up(device: &dyn Device, from: u64, end: u64) -> Result<()> {
    let Some(missing) = end.checked_sub(from).filter(|missing| *missing > 0) else {
        return Ok(());
    };
    let block = u64::from(device.geometry().block);
    debug_assert!(from.is_multiple_of(block), "whole blocks are kept: {from}");
    let missing = usize::try_from(missing).expect("part of a physical block");
    let written = device.write_at(from, AlignedBuf::zeroed(missing)).await;
    written.result.map_err(|error| Error::io("filling up the last block of the log", error))
}

struct Examined {
    check: Check,
    manifest: Manifest,
    /// The state of the newest commit, damaged or not.
    commit_state: CommitState,
    /// The end of the files.
    stored_end: u64,
}

async fn examine(directory: &Arc<dyn Directory>) -> Result<Examined> {
    let Some(manifest) = look(&**directory, true).await? else {
        return Err(Error::invalid(format!("{}: there is no log", directory.describe())));
    };
    let sizes = manifest.log;
    let saved = manifest.commit_state();
    if !saved.has_entries()
        && StoredFiles::look(&**directory, sizes.segment_bytes).await?.end() == 0
    {
        let check = Check {
            commit: saved.commit(),
            begin: saved.begin.into(),
            entries: 0,
            entry_bytes: 0,
            damage: Vec::new(),
            lost_commits: Vec::new(),
            torn_bytes: 0,
        };
        return Ok(Examined { check, manifest, commit_state: saved, stored_end: 0 });
    }
    let device = open_log(&**directory, sizes, false).await?;
    let buffers = BufPool::new(BUFFERS);
    let scanner = FrameScanner {
        framing: Framing::new(manifest.units(), sizes.salt.0),
        device: &*device,
        buffers: &buffers,
        stored: StoredFiles::look(&**directory, sizes.segment_bytes).await?,
    };
    let scanned = FullScan::of(&scanner, saved).await?;
    let commit_state = scanned.commit_state;
    let until = manifest.units().device_offset(commit_state.until);
    let check = Check {
        commit: commit_state.commit(),
        begin: commit_state.begin.into(),
        entries: scanned.entries,
        entry_bytes: scanned.entry_bytes,
        damage: scanned.damage,
        lost_commits: scanned.lost_commits,
        torn_bytes: scanner.end_of_bytes(until).await?.saturating_sub(until),
    };
    Ok(Examined { check, manifest, commit_state, stored_end: scanner.stored.end() })
}

/// Returns the state for the manifest of the repaired log.
fn mended(
    mut commit_state: CommitState,
    check: &Check,
    units: crate::hybrid_log::Units,
) -> CommitState {
    debug_assert!(
        check.damage.iter().all(|damage| damage.start < damage.end),
        "damage has bytes: {:?}",
        check.damage
    );
    debug_assert!(
        check.damage.is_sorted_by(|before, next| before.end <= next.start),
        "damage ascends and does not overlap: {:?}",
        check.damage
    );
    for damage in &check.damage {
        let start = damage.start.inner();
        // The next sound frame may belong to no commit.
        let end = damage.end.inner().min(commit_state.until);
        if start <= commit_state.begin {
            commit_state.begin = commit_state.begin.max(end);
        } else if end == commit_state.until {
            // The end of the log is lost, maybe with its file. So the log ends earlier.
            commit_state.until = units.block_behind_end(start);
            if start < commit_state.until {
                holes::merge(&mut commit_state.holes, [start, commit_state.until]);
            }
        } else {
            holes::merge(&mut commit_state.holes, [start, end]);
        }
    }
    for hole in &mut commit_state.holes {
        hole[1] = hole[1].min(commit_state.until);
    }
    commit_state.holes.retain(|[start, end]| start < end && *end > commit_state.begin);
    for at in commit_state.iterators.values_mut() {
        // The iterator has never read the entries that are appended there later.
        *at = (*at).min(commit_state.until);
    }
    assert!(commit_state.begin <= commit_state.until, "a log ends where it begins, or after that");
    debug_assert!(
        holes::are_apart(&commit_state.holes),
        "the holes are as the manifest must have them: {commit_state:?}"
    );
    commit_state
}
