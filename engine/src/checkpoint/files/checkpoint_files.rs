//! The files of a store, except the files that every directory has (`manifest/files.rs`).
//!
//! | file | contents |
//! |---|---|
//! | `index-7.000000` ... | the image of the index that checkpoint 7 wrote |
//! | `part-7.000000` ... | the range of the log that checkpoint 7 wrote beside it |
//! | `delta-7.000000` ... | changes of records in earlier `part` files |
//! | `sessions-7.000000` ... | commit points of sessions that changed since an earlier such file |
//!
//! # Invariants
//! 1. A file that `manifest` names is durable before the rename.
//! 2. A file is removed only when the manifest on the medium no longer names it.
//! 3. The same holds for segments of the log, which are removed from its low end.
//! 4. A file is debris if no manifest names it that a power cut may leave: neither `manifest`, nor
//!    the manifest before it, until `manifest` is durable. The holder of the lock may remove
//!    debris, except the files of pinned checkpoints (`needs`).

use super::manifest::{CheckpointEntry, Manifest, WalPlace};
use super::needs::{Needs, PinnedCheckpoint, Pins};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::kinds::Durability;
use crate::base::wall_clock::WallClock;
use crate::manifest::copy;
use crate::manifest::files::{self, MANIFEST, NEW, UNFINISHED_BACKUP};
use crate::manifest::outdated;
use crate::manifest::publish::{self, NotPublished};
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_io::{Device, DeviceOptions, Directory};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The kinds of files that belong to one checkpoint.
const KINDS: [&str; 4] = [INDEX, PART, DELTA, SESSIONS];
pub(crate) const INDEX: &str = "index";
pub(crate) const PART: &str = "part";
pub(crate) const DELTA: &str = "delta";
pub(crate) const SESSIONS: &str = "sessions";

/// The files of one store, and its manifest in memory.
#[derive(Debug)]
pub(crate) struct CheckpointFiles {
    directory: Arc<dyn Directory>,
    segment_bytes: u64,
    clock: Arc<WallClock>,
    // Held while a manifest is published or debris is removed: `manifest.new` is one file.
    publishing: futures::lock::Mutex<()>,
    // Under its lock: the manifest that was published last, or adopted since.
    manifest: Mutex<Manifest>,
    // Under its lock: the needs of the newest durable manifest, which a power cut may leave as the
    // newest of all.
    durable: Mutex<Needs>,
    pins: Arc<Pins>,
}

impl CheckpointFiles {
    /// Returns the files of a store in `directory`. Each manifest that is published has the time of
    /// `clock`.
    pub(crate) fn new(
        directory: Arc<dyn Directory>,
        manifest: Manifest,
        clock: Arc<WallClock>,
    ) -> Self {
        let segment_bytes = manifest.store.segment_bytes;
        let durable = Mutex::new(Needs::of(&manifest));
        let publishing = futures::lock::Mutex::new(());
        let manifest = Mutex::new(manifest);
        let pins = Arc::default();
        Self { directory, segment_bytes, clock, publishing, manifest, durable, pins }
    }

    /// Replaces the manifest in memory. `manifest` names the same files as the manifest on the
    /// medium, and the life of this opening.
    pub(crate) fn adopt(&self, manifest: Manifest) {
        debug_assert_eq!(
            manifest.files(),
            self.manifest().files(),
            "no file that the manifest on the medium names becomes debris"
        );
        *self.manifest() = manifest;
    }

    /// Returns the manifest that was published last, or adopted since.
    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().expect("nothing panics under it")
    }

    /// Opens a file of checkpoint `token`.
    pub(crate) async fn device(
        &self,
        kind: &str,
        token: u64,
        create: bool,
    ) -> Result<Arc<dyn Device>> {
        let name = device_name(kind, token);
        assert!(
            !create || !self.manifest().files().contains(&name),
            "{name}: a file that a manifest names is never written again"
        );
        debug_assert!(
            !create || token >= self.manifest().next_token,
            "{name}: no checkpoint before had this name"
        );
        let options = DeviceOptions { segment_bytes: self.segment_bytes, create };
        self.directory.open_device(&name, options).await.map_err(|error| {
            let context = format!("opening {name} in {}", self.directory.describe());
            if error.kind() == std::io::ErrorKind::NotFound {
                return Error::lost_file(&format!("{name}.000000"));
            }
            Error::io(context, error)
        })
    }

    /// Makes the files of a checkpoint durable, except those of the log.
    pub(crate) async fn sync_files_of(&self, entry: &CheckpointEntry) -> Result<()> {
        let image = entry.index.map(|token| device_name(INDEX, token));
        for name in entry.files().chain(image) {
            let (kind, token) = kind_and_token(&name).expect("the name of a device");
            let synced = self.device(kind, token, false).await?.sync().await;
            synced.result.map_err(|error| {
                Error::io(format!("syncing {name} in {}", self.directory.describe()), error)
            })?;
        }
        Ok(())
    }

    /// Replaces the manifest on the medium in one atomic step.
    pub(crate) async fn publish(
        &self,
        manifest: Manifest,
        durability: Durability,
    ) -> Result<(), NotPublished> {
        self.publish_and(manifest, durability, || {}).await
    }

    /// As [`publish`](Self::publish). Runs `published` before other tasks see the manifest in
    /// memory.
    pub(in crate::checkpoint) async fn publish_and(
        &self,
        manifest: Manifest,
        durability: Durability,
        published: impl FnOnce(),
    ) -> Result<(), NotPublished> {
        let _turn = self.publishing.lock().await;
        self.publish_in_turn(manifest, durability, published).await
    }

    /// Publishes the manifest in memory again.
    pub(in crate::checkpoint) async fn publish_again(&self) -> Result<(), NotPublished> {
        let _turn = self.publishing.lock().await;
        let manifest = self.manifest().clone();
        self.publish_in_turn(manifest, Durability::PowerCut, || {}).await
    }

    async fn publish_in_turn(
        &self,
        mut manifest: Manifest,
        durability: Durability,
        published: impl FnOnce(),
    ) -> Result<(), NotPublished> {
        manifest.stamp(&self.clock);
        self.assert_next(&manifest);
        let synced = durability == Durability::PowerCut;
        if manifest.gives_up_after(&self.manifest()) {
            let place = self.directory.describe();
            let removed = outdated::remove_copy::<Manifest>(&*self.directory).await;
            removed.map_err(|error| {
                let error = Error::io(format!("removing the old copy in {place}"), error);
                NotPublished { error, is_certain: true }
            })?;
        }
        let bytes = publish::publish(&*self.directory, &manifest, synced).await?;
        published();
        self.counts(manifest, synced);
        copy::keep_copy(&*self.directory, &bytes).await;
        Ok(())
    }

    /// Publishes `manifest` durably and removes the files that it no longer names. A full medium
    /// does not prevent it.
    pub(crate) async fn publish_less(&self, mut manifest: Manifest) -> Result<(), NotPublished> {
        let _turn = self.publishing.lock().await;
        manifest.stamp(&self.clock);
        self.assert_next(&manifest);
        let bytes = publish::publish_to_free(&*self.directory, &manifest).await?;
        self.counts(manifest, true);
        if let Err(error) = self.remove_debris_in_turn().await {
            tracing::warn!(target: "kvick::checkpoint", %error, "left for later");
        }
        // Now the medium has space for the copy.
        copy::keep_copy(&*self.directory, &bytes).await;
        Ok(())
    }

    /// Asserts that a manifest may replace the present one. Publishing checks its entries.
    fn assert_next(&self, next: &Manifest) {
        let before = self.manifest();
        assert!(before.next_token <= next.next_token, "tokens only grow: {}", next.next_token);
        let lives = [before.life().number(), next.life().number()];
        assert!(lives[0] <= lives[1], "lives only grow: {lives:?}");
        assert!(before.clock <= next.clock, "the clock never goes back: {}", next.clock);
        assert!(before.store.may_become(&next.store), "sizes and numbers of tables are fixed");
    }

    fn counts(&self, manifest: Manifest, synced: bool) {
        debug_assert!(self.publishing.try_lock().is_none(), "manifests are published in turn");
        if synced {
            *self.durable.lock().expect("nothing panics under it") = Needs::of(&manifest);
        }
        *self.manifest() = manifest;
    }

    /// Returns whether there is a checkpoint, also after a power cut.
    pub(crate) fn has_checkpoints(&self) -> bool {
        let durable = self.durable.lock().expect("nothing panics under it").has_checkpoints;
        durable || !self.manifest().checkpoints.is_empty()
    }

    /// Returns the first address of the log that a kept checkpoint needs, also after a power cut,
    /// or a pinned one.
    pub(crate) fn log_needed_from(&self) -> Address {
        let kept = self.manifest().log_needed_from();
        let durable = self.durable.lock().expect("nothing panics under it").log_from;
        let needed = kept.min(durable);
        // After the manifest: a pin of a checkpoint that has gone from it is there by now.
        self.pins.log_from().map_or(needed, |pinned| needed.min(pinned))
    }

    /// Returns the first address of the log that a pinned checkpoint needs.
    pub(crate) fn pinned_from(&self) -> Option<Address> {
        self.pins.log_from()
    }

    /// Returns the first address of the write-ahead log that a kept or pinned checkpoint needs, for
    /// one truncation. If the log `is_full`, of the kept ones only the newest counts that survives
    /// power cuts.
    pub(crate) fn take_wal_needed_from(&self, is_full: bool) -> Address {
        let needed = {
            let manifest = self.manifest();
            if is_full { manifest.wal_replayed_from() } else { manifest.wal_needed_from() }
        };
        // After the manifest, as above.
        self.pins.take_wal_from().map_or(needed, |pinned| needed.min(pinned))
    }

    /// Pins a checkpoint that the store keeps, so that its files stay.
    pub(crate) fn pin(&self, token: u64) -> Option<PinnedCheckpoint> {
        let manifest = self.manifest();
        self.pin_in(&manifest, token, manifest.wal_place(token))
    }

    /// As [`pin`](Self::pin), without the changes after it in the write-ahead log. `None` is the
    /// newest checkpoint.
    pub(crate) fn pin_files(&self, token: Option<u64>) -> Option<PinnedCheckpoint> {
        let manifest = self.manifest();
        let newest = || manifest.checkpoints.last().map(|entry| entry.token);
        self.pin_in(&manifest, token.or_else(newest)?, None)
    }

    fn pin_in(
        &self,
        manifest: &Manifest,
        token: u64,
        place: Option<WalPlace>,
    ) -> Option<PinnedCheckpoint> {
        let only = manifest.with_only(token)?;
        // Under the lock of the manifest. A task that removes files looks for pins only after the
        // manifest without the checkpoint has replaced this one.
        Some(PinnedCheckpoint::new(Arc::clone(&self.pins), only, place))
    }

    /// Removes debris. Returns a token above the tokens of all files found. No file name is used
    /// twice, because bytes first written under the name might come back.
    pub(crate) async fn remove_debris(&self) -> Result<u64> {
        // `manifest.new` is not debris while a manifest is published.
        let _turn = self.publishing.lock().await;
        self.remove_debris_in_turn().await
    }

    /// Returns the bytes of the files beside the log, and those of the manifest alone.
    pub(in crate::checkpoint) async fn bytes_beside(&self) -> Result<[u64; 2]> {
        // No manifest is being published meanwhile.
        let _turn = self.publishing.lock().await;
        let failed =
            |error| Error::io(format!("measuring files in {}", self.directory.describe()), error);
        let (mut all, mut manifest) = (0, 0);
        for file in self.directory.list().await.map_err(failed)? {
            if files::is_log_segment(&file) {
                continue;
            }
            let bytes = self.directory.file_bytes(&file).await.map_err(failed)?;
            all += bytes;
            if file == MANIFEST {
                manifest = bytes;
            }
        }
        Ok([all, manifest])
    }

    async fn remove_debris_in_turn(&self) -> Result<u64> {
        let failed =
            |error| Error::io(format!("removing debris in {}", self.directory.describe()), error);
        let mut named = self.manifest().files();
        named.extend(self.durable.lock().expect("nothing panics under it").files.iter().cloned());
        self.pins.add_files(&mut named);
        debug_assert!(self.publishing.try_lock().is_none(), "no manifest is published meanwhile");
        let mut free_token = self.manifest().next_token;
        for file in self.directory.list().await.map_err(failed)? {
            let is_debris = match owner(&file) {
                Some((device, token)) => {
                    free_token = free_token.max(token.saturating_add(1));
                    !named.contains(device)
                }
                // The store is a backup that was complete but for this mark.
                None => [NEW, UNFINISHED_BACKUP].contains(&&*file),
            };
            if is_debris {
                assert!(!named.contains(&file), "{file} is named by a manifest");
                self.directory.remove_file(&file).await.map_err(failed)?;
            }
        }
        Ok(free_token)
    }
}

impl Manifest {
    /// Returns the names of the devices that checkpoints need, except the log.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let images = self.indexes.iter().map(|image| device_name(INDEX, image.stream.token));
        let records = self.checkpoints.iter().flat_map(CheckpointEntry::files);
        images.chain(records).chain(self.passed_over.iter().cloned()).collect()
    }
}

impl CheckpointEntry {
    fn files(&self) -> impl Iterator<Item = String> {
        let parts = self.parts.iter().map(|part| device_name(PART, part.token));
        let deltas = self.deltas.iter().map(|delta| device_name(DELTA, delta.token));
        let points = self.point_files.iter().map(|file| device_name(SESSIONS, file.stream.token));
        parts.chain(deltas).chain(points)
    }
}

/// Returns the name of a device of one checkpoint.
pub(crate) fn device_name(kind: &str, token: u64) -> String {
    debug_assert!(KINDS.contains(&kind), "debris is found by its kind: {kind}");
    format!("{kind}-{token}")
}

/// Returns the device of a segment file, and its token. Returns `None` if the file belongs to no
/// checkpoint.
pub(crate) fn owner(file: &str) -> Option<(&str, u64)> {
    let (device, _) = files::segment(file)?;
    kind_and_token(device).map(|(_kind, token)| (device, token))
}

/// Returns whether a file is of the log or of a checkpoint. Other files belong to the directory.
pub(crate) fn is_of_contents(file: &str) -> bool {
    files::is_log_segment(file) || owner(file).is_some()
}

/// Returns the kind of a device of one checkpoint, and its token. Returns `None` for other devices.
pub(crate) fn kind_and_token(device: &str) -> Option<(&str, u64)> {
    let (kind, digits) = device.split_once('-')?;
    let token: u64 = digits.parse().ok()?;
    let is_ours = KINDS.contains(&kind) && digits == token.to_string();
    debug_assert!(!is_ours || device == device_name(kind, token), "{device} has one name");
    is_ours.then_some((kind, token))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn files_of_checkpoints_are_told_from_others() {
        assert_eq!(owner("index-12.000003"), Some(("index-12", 12)));
        assert_eq!(owner("part-1.000000"), Some(("part-1", 1)));
        assert_eq!(owner("sessions-7.000000"), Some(("sessions-7", 7)));
        for other in [
            "manifest",
            "manifest.new",
            "log.000000",
            "lock",
            "index-.000000",
            "index-1",
            "delta-x.000000",
            "notes-1.000000",
            "index-1.old",
            "index-1.7",
            "index-01.000000",
            "index-+1.000000",
        ] {
            assert_eq!(owner(other), None, "{other}");
        }
    }
}
