//! Reads and checks everything that a manifest names.

use super::problems::Problems;
use super::row::Row;
use super::walk::Walk;
use super::{InspectedCheckpoint, InspectedIndex, files};
use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::error::{Error, Result};
use crate::checkpoint::files::checkpoint_files::{
    CheckpointFiles, DELTA, INDEX, PART, SESSIONS, device_name,
};
use crate::checkpoint::files::manifest::{
    BlockFile, CheckpointEntry, IndexImage, Manifest, PartFile,
};
use crate::checkpoint::files::{index_image, points};
use crate::checkpoint::{Patches, delta_seal, part_salt};
use crate::hybrid_log::{UnitFile, Units, check_block};
use crate::manifest::files::{LOG, MANIFEST};
use crate::record::Layouts;
use crate::store::sessions::points::Points;
use kvick_io::{BufPool, Device, DeviceOptions, Directory};
use std::sync::Arc;

/// The bytes of buffers that are kept for the next read.
const BUFFERS: usize = 4 << 20;

/// A check of the files of one manifest.
#[derive(Debug)]
pub(super) struct Check<'c> {
    directory: &'c dyn Directory,
    checkpoint_files: CheckpointFiles,
    manifest: &'c Manifest,
    units: Units,
    layouts: &'c Layouts,
    buffers: BufPool,
    problems: &'c mut Problems,
}

impl<'c> Check<'c> {
    /// Prepares a check. The sizes in the manifest must have been checked.
    pub(super) fn new(
        directory: &'c Arc<dyn Directory>,
        (manifest, layouts): (&'c Manifest, &'c Layouts),
        problems: &'c mut Problems,
    ) -> Self {
        Self {
            directory: &**directory,
            checkpoint_files: CheckpointFiles::new(
                Arc::clone(directory),
                manifest.clone(),
                Arc::default(),
            ),
            manifest,
            units: manifest.units(),
            layouts,
            buffers: BufPool::new(BUFFERS),
            problems,
        }
    }

    /// Checks the images of the index.
    pub(super) async fn indexes(&mut self) -> Vec<InspectedIndex> {
        let mut indexes = Vec::new();
        for image in &self.manifest.indexes {
            let mut entries = 0;
            let read = self.image(image, &mut entries).await;
            let is_sound = self.is_good(read, INDEX, image.stream.token);
            indexes.push(InspectedIndex::of(image, entries, is_sound));
        }
        indexes
    }

    async fn image(&self, image: &IndexImage, entries: &mut u64) -> Result<()> {
        let token = image.stream.token;
        let device = self.checkpoint_files.device(INDEX, token, false).await?;
        let seal = index_image::seal(self.salt(), token);
        let take = |_, run: &[u64]| {
            *entries += run.len() as u64;
            true
        };
        let image = (image, self.manifest.store.index_root_bits);
        index_image::show(image, &*device, &self.buffers, seal, take).await
    }

    /// Checks the checkpoints. The images of the index must have been checked.
    pub(super) async fn checkpoints(
        &mut self,
        indexes: &[InspectedIndex],
    ) -> Vec<InspectedCheckpoint> {
        let (units, layouts) = (self.units, self.layouts);
        let is_placed = |record: &&CheckpointEntry| is_placed(record, units);
        let records = self.manifest.checkpoints.iter();
        let mut walks: Vec<Walk<'_>> =
            records.filter(is_placed).map(|record| Walk::new(record, units, layouts)).collect();
        if walks.len() < self.manifest.checkpoints.len() {
            self.problems.add(MANIFEST, 0, "addresses that no page has");
        }
        let log = self.log(&mut walks).await;
        let mut checkpoints = Vec::new();
        for mut walk in walks {
            self.beside_log(&mut walk, log.as_deref()).await;
            let damaged = indexes.iter().filter(|index| !index.is_sound);
            let mut damaged = damaged.map(|index| index.token.version());
            walk.is_sound &= walk.record.index.is_none_or(|needed| !damaged.any(|it| it == needed));
            let points = self.points(&mut walk).await;
            let Walk { record, counts, is_sound, .. } = walk;
            checkpoints.push(InspectedCheckpoint::of(record, points.all(), counts, is_sound));
        }
        checkpoints
    }

    /// Checks the units of the log that any checkpoint needs, once.
    async fn log(&mut self, walks: &mut [Walk<'_>]) -> Option<Arc<dyn Device>> {
        if walks.is_empty() {
            return None;
        }
        let device = match self.open_log().await {
            Ok(device) => device,
            Err(error) => {
                self.problems.note(&error, (&format!("{LOG}.000000"), 0));
                walks.iter_mut().for_each(|walk| walk.is_sound = false);
                return None;
            }
        };
        let segment_bytes = self.manifest.store.segment_bytes;
        let row = Row {
            strip: self.log_strip(&*device),
            units: self.units,
            buffers: &self.buffers,
            stored: files::end_of(self.problems.lengths(), LOG, segment_bytes),
        };
        for range in union(walks.iter().map(Walk::in_log).collect()) {
            let covered = row
                .check(range, self.problems, |page, bad| {
                    walks.iter_mut().for_each(|walk| walk.take_in_log(page, bad));
                })
                .await;
            for walk in walks.iter_mut() {
                let [from, end] = walk.in_log();
                walk.is_sound &= from >= range[1] || end <= covered;
            }
        }
        Some(device)
    }

    /// Checks the files of a checkpoint beside the log, and ends its walk.
    async fn beside_log(&mut self, walk: &mut Walk<'_>, log: Option<&dyn Device>) {
        let record = walk.record;
        let mut patches = Patches::default();
        for delta in &record.deltas {
            let read = self.delta(*delta, &mut patches).await;
            walk.is_sound &= self.is_good(read, DELTA, delta.token);
        }
        let mut parts = Vec::new();
        for part in &record.parts {
            let opened = self.checkpoint_files.device(PART, part.token, false).await;
            match opened {
                Ok(device) => {
                    self.part(part, &*device, walk, &mut patches).await;
                    parts.push((part, device));
                }
                Err(error) => walk.is_sound &= self.is_good(Err(error), PART, part.token),
            }
        }
        walk.finish();
        let [_, flushed] = walk.in_log();
        for (address, what) in std::mem::take(&mut walk.wrong) {
            let strip = if address < flushed {
                log.map(|device| self.log_strip(device))
            } else {
                let part = parts.iter().rev().find(|(part, _)| part.from <= address.raw());
                part.map(|(part, device)| self.part_strip(part, &**device))
            };
            if let Some((file, offset)) = strip.map(|strip| strip.locate(address)) {
                self.problems.add(&file, offset, what);
            }
        }
    }

    /// Reads the commit points of sessions in a checkpoint.
    async fn points(&mut self, walk: &mut Walk<'_>) -> Points {
        let mut points = Points::default();
        for file in &walk.record.point_files {
            let read = points::read_layer(&self.checkpoint_files, *file, &mut points).await;
            walk.is_sound &= self.is_good(read, SESSIONS, file.stream.token);
        }
        walk.record.sessions.iter().for_each(|(id, point)| points.set(*id, point));
        points
    }

    async fn delta(&mut self, delta: BlockFile, patches: &mut Patches) -> Result<()> {
        let device = self.checkpoint_files.device(DELTA, delta.token, false).await?;
        let seal = delta_seal(self.salt(), delta.token);
        let take_in = |contents: &[u8]| {
            patches.take_in(contents);
            Ok(())
        };
        delta.read(&*device, &self.buffers, seal, take_in).await?;
        if patches.is_complete() {
            return Ok(());
        }
        let (file, _) = device.locate(0);
        Err(Error::damaged("the last record has no end", &file, delta.bytes))
    }

    /// Checks the units of a part that a checkpoint needs, and applies the later changes to its
    /// pages.
    async fn part(
        &mut self,
        part: &PartFile,
        device: &dyn Device,
        walk: &mut Walk<'_>,
        patches: &mut Patches,
    ) {
        let units = self.units.salted(part_salt(self.salt(), part.token));
        let segment_bytes = self.manifest.store.segment_bytes;
        let name = device_name(PART, part.token);
        let row = Row {
            strip: self.part_strip(part, device),
            units,
            buffers: &self.buffers,
            stored: files::end_of(self.problems.lengths(), &name, segment_bytes),
        };
        let from = units.unit_start(Address::new(part.from.max(walk.record.flushed)));
        let range = [from, Address::new(part.end)];
        let covered = row
            .check(range, self.problems, |page, bad| {
                if let Err(address) = patches.apply(page) {
                    walk.is_sound = false;
                    walk.wrong.push((address, "a changed record that does not fit into its page"));
                }
                walk.take_in(page, bad);
            })
            .await;
        walk.is_sound &= covered >= range[1];
    }

    async fn open_log(&self) -> Result<Arc<dyn Device>> {
        let segment_bytes = self.manifest.store.segment_bytes;
        let options = DeviceOptions { segment_bytes, create: false };
        let opened = self.directory.open_device(LOG, options).await;
        let device = opened.map_err(|error| Error::io("opening the log", error))?;
        check_block(self.manifest.store.unit_bytes, &*device)?;
        Ok(device)
    }

    fn log_strip<'d>(&self, device: &'d dyn Device) -> UnitFile<'d> {
        UnitFile::new(device, self.units, Address::NONE)
    }

    fn part_strip<'d>(&self, part: &PartFile, device: &'d dyn Device) -> UnitFile<'d> {
        let units = self.units.salted(part_salt(self.salt(), part.token));
        UnitFile::new(device, units, Address::new(part.from))
    }

    fn salt(&self) -> u64 {
        self.manifest.store.salt.0
    }

    /// Notes the error of a file of checkpoint `token`. Returns whether there is none.
    fn is_good(&mut self, checked: Result<()>, kind: &str, token: u64) -> bool {
        if let Err(error) = &checked {
            let file = format!("{}.000000", device_name(kind, token));
            self.problems.note(error, (&file, 0));
        }
        checked.is_ok()
    }
}

/// Returns whether pages of these units have all addresses of a checkpoint.
fn is_placed(record: &CheckpointEntry, units: Units) -> bool {
    let parts = record.parts.iter().flat_map(|part| [part.from, part.end]);
    // The pages after the last one have addresses, too.
    let limit = ADDRESS_MASK / 2;
    [record.begin, record.flushed, record.end].into_iter().chain(parts).all(|address| {
        let offset = address & ((1 << units.page_bits()) - 1);
        address < limit && offset < units.page_capacity()
    })
}

/// Returns the ranges in order, joined where they overlap.
fn union(mut ranges: Vec<[Address; 2]>) -> Vec<[Address; 2]> {
    ranges.sort_unstable();
    let mut union: Vec<[Address; 2]> = Vec::new();
    for [from, end] in ranges {
        match union.last_mut() {
            Some(last) if from <= last[1] => last[1] = last[1].max(end),
            _ => union.push([from, end]),
        }
    }
    union
}
