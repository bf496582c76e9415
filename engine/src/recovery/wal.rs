//! Opens the write-ahead log of a store, and checks that it belongs to the store.

use super::Opening;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::checkpoint::Checkpoints;
use crate::checkpoint::files::manifest::{CheckpointEntry, Manifest};
use crate::config::Config;
use crate::epoch::Epoch;
use crate::log::handle::FasterLog;
use crate::log::{self, Continuation, Renews, SharedLog};
use crate::manifest::files::{MANIFEST, list};
use crate::manifest::read::read_sound_manifest;
use crate::opening::ending::Maintenance;
use crate::store::WriteAheadLog;
use kvick_io::Directory;

/// The open write-ahead log of a store.
pub(super) struct OpenedWal {
    pub(super) wal: WriteAheadLog,
    pub(super) maintenance: Maintenance,
    /// Whether the manifest has changed: it must be published before operations append entries.
    pub(super) is_news: bool,
}

impl Opening {
    /// Opens the write-ahead log for a store that continues from the checkpoint `chosen`, and names
    /// it in `manifest`. `reached` is the last cut of a checkpoint that the store had.
    ///
    /// # Errors
    /// `InvalidArgument` if the store has one and the configuration does not, unless the changes
    /// after the checkpoint are given up: then the store has none any more. `NotFound` if it is
    /// missing, `AlreadyExists` if it belongs to another store, `Corrupt` if it lacks entries.
    /// Those of opening a log.
    pub(super) async fn open_wal(
        &self,
        epoch: &Epoch,
        manifest: &mut Manifest,
        (chosen, reached): (Option<&CheckpointEntry>, Address),
    ) -> Result<Option<OpenedWal>> {
        let is_rewound = self.token.is_some() || self.replaces;
        let Some(directory) = self.wal_directory.clone() else {
            if manifest.wal().is_some() && !is_rewound {
                return Err(unwanted());
            }
            manifest.leave_wal();
            return Ok(None);
        };
        // One that the store has left before has nothing that it needs.
        log::remove(&*directory, &manifest.wals_left()).await?;
        let place = directory.describe();
        let salt = self.life.rotate_left(13) ^ 0x6b76_6963_6b77_616c;
        let around = (directory, self.handle.clone());
        // An empty log may be that of another store. Its changes must not come here.
        let renews = match manifest.wal() {
            Some(_) if !is_rewound => Renews::Never,
            known => Renews::Unless(known),
        };
        let continues = match (manifest.wal(), chosen.and_then(|it| it.wal_continues_at())) {
            (Some(salt), Some([durable, at])) if !is_rewound => {
                Some(Continuation { salt, durable, at })
            }
            _ => None,
        };
        let salt = (salt, renews, continues);
        let config = wal_config(&self.config);
        let opened = log::open_on(epoch.clone(), config, around, salt, "wal_memory").await;
        let SharedLog { log, salt, rewinds, maintenance } = opened?;
        let is_its_own = manifest.wal() == Some(salt);
        let is_known = manifest.wal().is_some();
        if !is_its_own && has_entries(&log) {
            return Err(foreign(&place));
        }
        if !is_its_own && is_known && !is_rewound {
            return Err(missing(&place));
        }
        let mut is_news = !is_its_own;
        if !is_its_own {
            manifest.set_wal(Some(salt));
        }
        is_news |= manifest.note_wal_discards(rewinds);
        let from = match chosen {
            // The changes after it are given up, also by older checkpoints.
            Some(chosen) if is_rewound => {
                let end = log.committed_until().inner();
                manifest.rewind_wal(chosen.token, end);
                is_news = true;
                end
            }
            Some(chosen) if is_its_own => chosen.wal_cut(),
            _ => Address::FIRST,
        };
        let end = log.committed_until().inner();
        if is_its_own && !is_rewound && end < reached {
            // Only a checkpoint that was damaged had the changes from here on.
            manifest.lose_wal_changes(end);
            is_news = true;
        }
        check_range(&log, from, &place)?;
        Ok(Some(OpenedWal { wal: WriteAheadLog::new(log, from), maintenance, is_news }))
    }
}

/// Returns whether the store in a directory has a write-ahead log.
///
/// # Errors
/// Those of reading its manifest. A damaged manifest has none here, since an opening reports it.
pub(crate) async fn has_wal(directory: &dyn Directory) -> Result<bool> {
    // Only files that are there are read.
    if !list(directory).await?.iter().any(|file| file == MANIFEST) {
        return Ok(false);
    }
    let manifest = read_sound_manifest::<Manifest>(directory).await?;
    Ok(manifest.is_some_and(|manifest| manifest.wal().is_some()))
}

/// Deletes a write-ahead log that a store has left, if it is in this directory. Otherwise, or after
/// an error, a later opening does that.
pub(crate) async fn remove_left_wal(checkpoints: &Checkpoints, directory: &dyn Directory) {
    let salts = checkpoints.checkpoint_files().manifest().wals_left();
    if let Err(error) = log::remove(directory, &salts).await {
        tracing::warn!(%error, "the write-ahead log that the store has left was not deleted");
    }
}

/// Returns the settings of the write-ahead log.
fn wal_config(config: &Config) -> log::Config {
    log::Config::default()
        .with_memory(config.wal_memory)
        .with_segment_size(config.wal_segment())
        .with_commit_every(config.commit_every)
        .with_commit_bytes(config.commit_bytes)
        .with_depth(config.depth)
        .with_direct(config.direct)
        .with_allow_fallback(config.allow_fallback)
        .with_huge_pages(config.huge_pages)
}

/// Returns whether a log has, or had, any entry.
fn has_entries(log: &FasterLog) -> bool {
    log.committed_until().inner() > Address::FIRST
}

/// Checks that the log has every entry from `from` on.
fn check_range(log: &FasterLog, from: Address, place: &str) -> Result<()> {
    let [begin, end] = [log.begin_address(), log.committed_until()].map(|at| at.inner());
    if begin <= from && from <= end {
        return Ok(());
    }
    let (from, begin, end) = (from.raw(), begin.raw(), end.raw());
    Err(Error::lost_entries(&format!(
        "the write-ahead log in {place} has the entries from {begin} to {end}, and the checkpoint \
         needs those from {from} on"
    )))
}

#[cold]
fn unwanted() -> Error {
    Error::invalid(
        "durability = checkpoint: the store has a write-ahead log, whose operations would be \
         lost; name its directory (`wal_directory`), or give up the operations after a checkpoint \
         by recovering that one by its token",
    )
}

#[cold]
fn foreign(place: &str) -> Error {
    Error::already_exists(
        place,
        "the write-ahead log of another store; name another directory, or remove that log",
    )
}

#[cold]
fn missing(place: &str) -> Error {
    Error::not_found(
        &format!("the write-ahead log of the store, expected in {place},"),
        "name its directory (`wal_directory`), or give up the operations after a checkpoint by \
         recovering that one by its token",
    )
}
