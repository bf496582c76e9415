//! The files that checkpoints need, and pinned checkpoints, whose files a task reads.

use super::manifest::{Manifest, WalPlace};
use crate::base::address::Address;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The needs of the checkpoints of one manifest.
#[derive(Debug)]
pub(super) struct Needs {
    /// The names of the devices beside the log.
    pub(super) files: BTreeSet<String>,
    pub(super) log_from: Address,
    pub(super) has_checkpoints: bool,
}

impl Needs {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let has_checkpoints = !manifest.checkpoints.is_empty();
        Self { files: manifest.files(), log_from: manifest.log_needed_from(), has_checkpoints }
    }
}

/// The needs of the pinned checkpoints of a store.
#[derive(Debug, Default)]
pub(super) struct Pins {
    // Under its lock.
    pinned: Mutex<Pinned>,
}

#[derive(Debug, Default)]
struct Pinned {
    next: u64,
    needs: BTreeMap<u64, Needs>,
    /// The places in the write-ahead log after the pinned checkpoints.
    places: BTreeMap<u64, WalPlace>,
    /// The lowest place since the last look that is not pinned any more.
    unpinned: Option<Address>,
}

impl Pins {
    /// Returns the number of a new pin.
    fn add(&self, needs: Needs, place: Option<WalPlace>) -> u64 {
        let mut pinned = self.pinned();
        pinned.next += 1;
        let number = pinned.next;
        pinned.needs.insert(number, needs);
        pinned.places.extend(place.map(|place| (number, place)));
        number
    }

    fn remove(&self, number: u64) {
        let mut pinned = self.pinned();
        pinned.needs.remove(&number);
        if let Some(WalPlace { cut, .. }) = pinned.places.remove(&number) {
            pinned.unpinned = Some(pinned.unpinned.map_or(cut, |lowest| lowest.min(cut)));
        }
    }

    /// Adds the names of all pinned devices to `files`.
    pub(super) fn add_files(&self, files: &mut BTreeSet<String>) {
        files.extend(self.pinned().needs.values().flat_map(|needs| needs.files.iter().cloned()));
    }

    /// Returns the first pinned address of the log.
    pub(super) fn log_from(&self) -> Option<Address> {
        self.pinned().needs.values().map(|needs| needs.log_from).min()
    }

    /// Returns the first address of the write-ahead log after a pinned checkpoint. One that was
    /// pinned until now counts once more, so that a reader has time to begin there.
    pub(super) fn take_wal_from(&self) -> Option<Address> {
        let mut pinned = self.pinned();
        let unpinned = pinned.unpinned.take();
        pinned.places.values().map(|place| place.cut).chain(unpinned).min()
    }

    fn pinned(&self) -> MutexGuard<'_, Pinned> {
        self.pinned.lock().expect("nothing panics under it")
    }
}

/// A checkpoint whose files stay until this is dropped, whatever becomes of the checkpoint. So do
/// the changes after it in the write-ahead log.
#[derive(Debug)]
pub(crate) struct PinnedCheckpoint {
    pins: Arc<Pins>,
    number: u64,
    manifest: Manifest,
    place: Option<WalPlace>,
}

impl PinnedCheckpoint {
    /// Pins the only checkpoint of `manifest`, which is at `place` in the write-ahead log.
    pub(super) fn new(pins: Arc<Pins>, manifest: Manifest, place: Option<WalPlace>) -> Self {
        assert_eq!(manifest.checkpoints.len(), 1, "a manifest of this checkpoint alone");
        let number = pins.add(Needs::of(&manifest), place);
        Self { pins, number, manifest, place }
    }

    /// Lets the files go. The changes after the checkpoint stay.
    pub(crate) fn release_files(&self) {
        self.pins.pinned().needs.remove(&self.number);
    }

    /// Returns the place in the write-ahead log after the changes of the checkpoint.
    pub(crate) fn place(&self) -> Option<WalPlace> {
        self.place
    }

    /// Returns a manifest that has this checkpoint alone.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl Drop for PinnedCheckpoint {
    fn drop(&mut self) {
        self.pins.remove(self.number);
    }
}
