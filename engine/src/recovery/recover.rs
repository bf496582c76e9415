//! Recovers a store: chooses a checkpoint, and restores it.

use super::create::{device_bytes, no_memory, tables};
use super::extent::estimated_index_bytes;
use super::replay::{IndexLoading, Replay, TableHashers};
use super::stored::{adopt, check_store, only_table};
use super::types::TypeNames;
use super::{Opening, RecoveryReport};
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::kinds::Durability;
use crate::checkpoint::files::checkpoint_files::{CheckpointFiles, DELTA, INDEX, PART};
use crate::checkpoint::files::manifest::{CheckpointEntry, IndexImage, Manifest};
use crate::checkpoint::files::{index_image, points};
use crate::checkpoint::{CheckpointToken, Patches, delta_seal, part_salt};
use crate::config::Geometry;
use crate::hash_index::HashIndex;
use crate::hybrid_log::{HybridLog, LogExtent, PagePayload, Show, check_block};
use crate::manifest::copy;
use crate::manifest::files::{self, LOG};
use crate::memory::MemoryGovernor;
use crate::opening::ending::Maintenance;
use crate::store::StoreInner;
use crate::store::sessions::points::Points;
use crate::store::sessions::table::SessionTable;
use futures::future::{BoxFuture, ready};
use kvick_io::Device;
use std::sync::Arc;

impl Opening {
    pub(super) async fn recover(
        &mut self,
        types: Option<&TypeNames>,
        mut manifest: Manifest,
        from_copy: bool,
    ) -> Result<(StoreInner, CheckpointFiles, RecoveryReport, Option<Maintenance>)> {
        check_store(&manifest.store)?;
        // Before a manifest is published.
        self.clock.begin_from(manifest.clock);
        let is_renamed = match types {
            Some(types) => {
                let place = self.directory.describe();
                let table = only_table(&mut manifest.store, &place)?;
                types.adopt(table, self.accepts_type_change)?
            }
            None => false,
        };
        self.config = adopt(&self.config, &manifest.store)?;
        // The lost manifest may have had lives that the copy does not have.
        self.lost_lives += if from_copy { LIVES_APART } else { 0 };
        let checkpoint_files = self.files(manifest.clone());
        let mut report = RecoveryReport { from_copy, ..RecoveryReport::default() };
        let (restored, chosen) =
            self.choose(types, &checkpoint_files, &manifest, &mut report).await?;
        let token = chosen.as_ref().map(|record| record.token);
        // What a version has from here on was still mutable, or became immutable later.
        report.kept_until = chosen.as_ref().map(|record| Address::new(record.flushed).into());
        manifest.begin_life(self.life_after(&manifest, chosen.as_ref())?.0);
        checkpoint_files.adopt(manifest.clone());
        if from_copy {
            // The lost manifest may have had checkpoints that the copy does not have. It may also
            // have dropped images of the index that only the copy names.
            manifest.next_token += TOKENS_APART;
            manifest.drop_images_of_none();
        }
        // Files that an earlier opening passed over have been kept as evidence long enough.
        manifest.passed_over.clear();
        checkpoint_files.manifest().passed_over.clear();
        let (before, had) = (manifest.files(), manifest.checkpoints.len());
        let (reached, had_wal) = (manifest.wal_reached(), manifest.wal().is_some());
        let has_forgotten = manifest.forget_after(chosen.as_ref());
        let epoch = restored.log.epoch();
        let wal = self.open_wal(epoch, &mut manifest, (chosen.as_ref(), reached)).await?;
        let has_left = had_wal && manifest.wal().is_none();
        let is_wal_news = has_left || wal.as_ref().is_some_and(|wal| wal.is_news);
        // No other checkpoint, and no change in the write-ahead log, makes up for it any more.
        if manifest.checkpoints.len() < had || is_wal_news {
            let (log, newest) = (&*restored.device, manifest.checkpoints.last_mut());
            self.make_firm(&checkpoint_files, newest, log).await?;
        }
        if !report.rejected.is_empty() {
            let left = manifest.files();
            manifest.passed_over = before.difference(&left).cloned().collect();
        }
        if has_forgotten || from_copy || is_renamed || is_wal_news || self.replaces {
            // Before anything is written in place of the dropped data.
            let published = checkpoint_files.publish(manifest.clone(), Durability::PowerCut).await;
            published.map_err(|failed| failed.error)?;
            restored.log.flushing().announce();
        }
        let Restored { index, log, governor, device, points } = restored;
        self.bring_back(&checkpoint_files, chosen.as_ref(), &log, &*device).await?;
        if !log.restore().is_unflushed()
            && manifest.checkpoints.last_mut().is_some_and(CheckpointEntry::record_durable)
        {
            let published = checkpoint_files.publish(manifest.clone(), Durability::PowerCut).await;
            published.map_err(|failed| failed.error)?;
            log.flushing().announce();
        }
        copy::restore_copy(&*self.directory).await;
        report.chosen = token.map(CheckpointToken);
        report.cookie = chosen.as_ref().map(CheckpointEntry::cookie).unwrap_or_default();
        report.sessions = points.all();
        let sessions = SessionTable::new(self.life, points);
        let version = manifest.next_token;
        let parts = (index, log, governor);
        let (wal, maintenance) = wal.map(|opened| (opened.wal, opened.maintenance)).unzip();
        let core = self.core(tables(&manifest.store), parts, (version, sessions, wal));
        tracing::info!(?report.chosen, report.replayed_bytes, "recovered");
        Ok((core, checkpoint_files, report, maintenance))
    }

    /// Returns the newest checkpoint that can be restored. All of its files have been checked.
    pub(super) async fn choose(
        &mut self,
        types: Option<&TypeNames>,
        checkpoint_files: &CheckpointFiles,
        manifest: &Manifest,
        report: &mut RecoveryReport,
    ) -> Result<(Restored, Option<CheckpointEntry>)> {
        let wanted = |record: &&CheckpointEntry| {
            let is_asked = self.token.is_none_or(|token| record.token == token);
            is_asked && !(self.reads_only && record.is_partial)
        };
        let candidates: Vec<CheckpointEntry> =
            manifest.checkpoints.iter().rev().filter(wanted).cloned().collect();
        if let (Some(token), true) = (self.token, candidates.is_empty()) {
            let what = "the store keeps no such one; `kvick::inspect` lists them";
            return Err(Error::invalid(format!("checkpoint {token}: {what}")));
        }
        if let (Some(token), true) = (self.token, candidates.iter().any(|it| it.is_partial)) {
            let what = "it was taken in an opening that did not end, and is of no single moment";
            return Err(Error::invalid(format!(
                "checkpoint {token}: {what}; open the store first"
            )));
        }
        let mut rejected: Vec<CheckpointEntry> = Vec::new();
        let has_none = candidates.is_empty();
        for record in candidates {
            let restored = self.restore_within(types, checkpoint_files, &record, report);
            let error = match restored.await {
                Ok(restored) => {
                    note_lost(checkpoint_files, &rejected, &restored.points, report).await?;
                    return Ok((restored, Some(record)));
                }
                Err(error) => error,
            };
            if self.token.is_some() || !self.may_pass_over(&record, &error) {
                let has_others = manifest.checkpoints.len() > 1;
                let can_go_back = has_others && error.kind() == ErrorKind::Corrupt;
                return Err(if can_go_back { error.with_way_out(FALL_BACK) } else { error });
            }
            tracing::warn!(token = record.token, %error, "a checkpoint is passed over");
            report.rejected.push((CheckpointToken(record.token), error.to_string()));
            rejected.push(record);
        }
        // A new start loses no durable data if no rejected checkpoint survives power cuts.
        let was_strong = rejected.iter().any(|record| record.durability == Durability::PowerCut);
        if !has_none && (was_strong || self.reads_only) {
            let place = self.directory.describe();
            return Err(Error::all_damaged("every checkpoint", &place, RESTORE_ALL));
        }
        let restored = self.restore(types, checkpoint_files, None, (report, None)).await?;
        note_lost(checkpoint_files, &rejected, &restored.points, report).await?;
        Ok((restored, None))
    }

    /// Returns whether an older checkpoint may be used because of this error. Only damage on the
    /// medium counts. The system may refuse to open or to read a file now, and not a moment later.
    /// An opening that passed over a checkpoint for that would truncate the log that the checkpoint
    /// needs.
    fn may_pass_over(&self, record: &CheckpointEntry, error: &Error) -> bool {
        // A checkpoint that was not meant to survive a power cut may be passed over.
        let is_weak = record.durability == Durability::ProcessCrash;
        is_damage(error) && (is_weak || self.config.allow_fallback)
    }

    /// Restores a checkpoint. A reader keeps within its memory: it has no driver that would evict
    /// pages later.
    async fn restore_within(
        &mut self,
        types: Option<&TypeNames>,
        checkpoint_files: &CheckpointFiles,
        record: &CheckpointEntry,
        report: &mut RecoveryReport,
    ) -> Result<Restored> {
        let (files, record) = (checkpoint_files, Some(record));
        let restored = self.restore(types, files, record, (report, None)).await?;
        if !self.reads_only || self.check_memory(&restored.index, &restored.log).is_ok() {
            return Ok(restored);
        }
        // Its index is larger than was estimated.
        let index = restored.index.bytes();
        drop(restored);
        let restored = self.restore(types, files, record, (report, Some(index))).await?;
        self.check_memory(&restored.index, &restored.log).map(|()| restored)
    }

    /// Reads and checks everything that a checkpoint needs. Creates an index, which may be known to
    /// take `index_bytes`, and a log that continues at the end of the checkpoint. Writes nothing.
    async fn restore(
        &mut self,
        types: Option<&TypeNames>,
        checkpoint_files: &CheckpointFiles,
        record: Option<&CheckpointEntry>,
        (report, index_bytes): (&mut RecoveryReport, Option<u64>),
    ) -> Result<Restored> {
        let manifest = checkpoint_files.manifest().clone();
        let image = record.and_then(|record| record.index).and_then(|token| manifest.index(token));
        let image = image.cloned();
        let geometry = Geometry::of(&self.config)?;
        // Before anything is written.
        types.map(|types| types.limits(&geometry)).transpose()?;
        let device = self.open_log(manifest.store.segment_bytes, record.is_none()).await?;
        check_block(manifest.store.unit_bytes, &*device)?;
        let sizes = geometry.index.with_root_bits(manifest.store.index_root_bits);
        let sizes = image.as_ref().map_or(sizes, |image| sizes.with_buckets(image.buckets));
        let governor = self.governor(&geometry);
        let extent = match record {
            Some(record) => {
                // The pages leave room for the index.
                let estimate = || estimated_index_bytes(sizes, record, image.as_ref());
                governor.note_index(index_bytes.unwrap_or_else(estimate));
                self.extent(record, &geometry, governor.shares().frames)?
            }
            None => LogExtent::EMPTY,
        };
        let life = self.life_after(&manifest, record)?;
        let log = self.log(&manifest, &geometry, life, (extent, Arc::clone(&device)))?;
        let index = HashIndex::new(sizes, self.config.huge_pages);
        let index = Arc::new(index.map_err(no_memory)?);
        let Some(record) = record else {
            let index = Arc::into_inner(index).expect("no other task has it");
            let points = Points::default();
            return Ok(Restored { index, log, governor, device, points });
        };
        self.check_segments(&manifest, record).await?;
        let points = points::read(checkpoint_files, record, |_| false).await?;
        let from = image.as_ref().map_or(extent.begin, |image| Address::new(image.start));
        let image_bytes = image.as_ref().map_or(0, |image| image.stream.bytes);
        let loading = match image {
            Some(image) => {
                let begin = Address::new(record.begin);
                Some(self.load_index(checkpoint_files, (image, begin), &index).await?)
            }
            None => None,
        };
        let tables = tables(&manifest.store);
        let hashers = TableHashers::new(&tables, &manifest.store);
        let range = [from, Address::new(record.end)];
        let on_progress = self.on_progress.as_deref();
        let mut replay =
            Replay::new((&log, &tables), (index, loading, hashers), range, on_progress);
        let first = replay
            .first_page()
            .min(log.file().units().start_of_page(synced_below(&manifest, record)));
        let flushed = log.file().units().unit_start(Address::new(record.flushed));
        log.scan().log([first, flushed], &mut replay).await?;
        show_parts(checkpoint_files, record, &log, &mut replay).await?;
        let index = replay.finish(report).await?;
        report.image_bytes += image_bytes;
        report.image_bytes += record.point_files.iter().map(|file| file.stream.bytes).sum::<u64>();
        Ok(Restored { index, log, governor, device, points })
    }

    /// Starts to load the index, while everything else is read.
    async fn load_index(
        &self,
        checkpoint_files: &CheckpointFiles,
        (image, begin): (IndexImage, Address),
        index: &Arc<HashIndex>,
    ) -> Result<IndexLoading> {
        let token = image.stream.token;
        let file = checkpoint_files.device(INDEX, token, false).await?;
        let seal = index_image::seal(checkpoint_files.manifest().store.salt.0, token);
        let (index, buffers) = (Arc::clone(index), image.stream.buffers());
        Ok(IndexLoading::start(&self.handle, async move {
            index_image::read((&image, begin), &index, &*file, &buffers, seal).await
        }))
    }

    /// Makes a checkpoint survive power cuts, before others go that do.
    async fn make_firm(
        &self,
        checkpoint_files: &CheckpointFiles,
        record: Option<&mut CheckpointEntry>,
        device: &dyn Device,
    ) -> Result<()> {
        let Some(record) = record.filter(|it| it.durability == Durability::ProcessCrash) else {
            return Ok(());
        };
        checkpoint_files.sync_files_of(record).await?;
        let failed = |error| Error::io(format!("syncing {}", self.directory.describe()), error);
        device.sync().await.result.map_err(failed)?;
        self.directory.sync().await.map_err(failed)?;
        record.durability = Durability::PowerCut;
        Ok(())
    }

    /// Makes the log on the device end with the checkpoint.
    async fn bring_back(
        &self,
        checkpoint_files: &CheckpointFiles,
        record: Option<&CheckpointEntry>,
        log: &HybridLog,
        device: &dyn Device,
    ) -> Result<()> {
        // This also truncates the range to which parts are written again.
        let flushed = record.map_or(Address::NONE, |record| Address::new(record.flushed));
        let cut = device_bytes(&checkpoint_files.manifest(), flushed);
        let place = self.directory.describe();
        let failed = |error| Error::uncut(format!("truncating the log in {place}"), error);
        // A failed sync poisons nothing, because the store is not open yet. The next opening
        // repeats all.
        let sync = async || {
            let synced = device.sync().await.result;
            synced.map_err(|error| Error::io(format!("syncing the log in {place}"), error))
        };
        device.truncate(cut).await.map_err(failed)?;
        sync().await?;
        self.directory.sync().await.map_err(failed)?;
        // Parts that are in memory are flushed later, like all other pages.
        if let Some(record) = record.filter(|_| !log.restore().is_unflushed()) {
            show_parts(checkpoint_files, record, log, &mut log.restore()).await?;
            sync().await?;
        }
        Ok(())
    }

    /// Checks that no file of the log that the checkpoint needs is missing.
    async fn check_segments(&self, manifest: &Manifest, record: &CheckpointEntry) -> Result<()> {
        let files = files::list(&*self.directory).await?;
        let segment = manifest.store.segment_bytes;
        let [begin, end] = [record.begin, record.flushed]
            .map(|address| device_bytes(manifest, Address::new(address)));
        for number in begin / segment..end.div_ceil(segment) {
            let name = files::segment_name(LOG, number);
            if !files.contains(&name) {
                return Err(Error::lost_file(&name));
            }
        }
        Ok(())
    }
}

/// The way out for a damaged checkpoint.
const FALL_BACK: &str = "`kvick::inspect` lists all damage and the checkpoints: restore this file \
     from a copy, or go back to an older checkpoint with `allow_fallback` or by its token";

/// The way out if no checkpoint is sound.
const RESTORE_ALL: &str = "`kvick::inspect` lists the damage: restore its files from a copy";

/// The number of tokens to skip if it is unknown which tokens were used.
const TOKENS_APART: u64 = 1 << 20;

/// The number of lives to skip if it is unknown which lives were begun.
const LIVES_APART: u32 = 1 << 12;

/// A checkpoint in memory. Its log may still be too long on the device.
pub(super) struct Restored {
    pub(super) index: HashIndex,
    pub(super) log: HybridLog,
    pub(super) governor: Arc<MemoryGovernor>,
    pub(super) device: Arc<dyn Device>,
    pub(super) points: Points,
}

/// Returns whether an error means that the medium does not have the written bytes. A file that is
/// missing or too short is damage, too.
fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound)
}

/// Records the commit points of the rejected checkpoints, as far as they can be read.
async fn note_lost(
    checkpoint_files: &CheckpointFiles,
    rejected: &[CheckpointEntry],
    kept: &Points,
    report: &mut RecoveryReport,
) -> Result<()> {
    for record in rejected {
        let had = points::read(checkpoint_files, record, is_damage).await?;
        report.note_lost(&had, kept);
    }
    Ok(())
}

/// Returns the address below which the log was synced before the checkpoint was published. Recovery
/// must read the log from there on before it relies on it.
fn synced_below(manifest: &Manifest, record: &CheckpointEntry) -> Address {
    let is_strong = |record: &&CheckpointEntry| record.durability == Durability::PowerCut;
    if is_strong(&record) {
        return Address::new(record.flushed);
    }
    let older = manifest.checkpoints.iter().filter(|older| older.token < record.token);
    let synced = older.filter(is_strong).map(|record| record.flushed).max();
    Address::new(synced.unwrap_or(0).max(record.begin))
}

/// Reads the changes of records in the parts of a checkpoint.
async fn patches(
    checkpoint_files: &CheckpointFiles,
    record: &CheckpointEntry,
    log: &HybridLog,
) -> Result<Patches> {
    let salt = checkpoint_files.manifest().store.salt.0;
    let mut patches = Patches::default();
    for delta in &record.deltas {
        let device = checkpoint_files.device(DELTA, delta.token, false).await?;
        let seal = delta_seal(salt, delta.token);
        let take_in = |contents: &[u8]| {
            patches.take_in(contents);
            Ok(())
        };
        delta.read(&*device, log.file().buffers(), seal, take_in).await?;
        if !patches.is_complete() {
            let (file, _) = device.locate(0);
            return Err(Error::damaged("the last record has no end", &file, delta.bytes));
        }
    }
    Ok(patches)
}

/// Passes the parts of a checkpoint to `show`, in order and with their changes.
async fn show_parts(
    checkpoint_files: &CheckpointFiles,
    record: &CheckpointEntry,
    log: &HybridLog,
    show: &mut dyn Show,
) -> Result<()> {
    let salt = checkpoint_files.manifest().store.salt.0;
    let mut patches = patches(checkpoint_files, record, log).await?;
    for part in &record.parts {
        let device = checkpoint_files.device(PART, part.token, false).await?;
        let first = Address::new(part.from);
        let strip = log.file().part(&*device, first, part_salt(salt, part.token));
        let from = log.file().units().unit_start(first.max(Address::new(record.flushed)));
        let mut patched = Patched { patches: &mut patches, log, show: &mut *show };
        log.scan().strip(strip, [from, Address::new(part.end)], &mut patched).await?;
    }
    Ok(())
}

/// Applies changes to pages, and shows the pages.
struct Patched<'a> {
    patches: &'a mut Patches,
    log: &'a HybridLog,
    show: &'a mut dyn Show,
}

impl Show for Patched<'_> {
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>> {
        if let Err(address) = self.patches.apply(page) {
            return Box::pin(ready(Err(self.log.file().not_a_record(address))));
        }
        self.show.show(page)
    }
}
