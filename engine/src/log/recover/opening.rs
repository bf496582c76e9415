//! Opening a directory: creating a log in it, or recovering its log.
//!
//! | found | result |
//! |---|---|
//! | nothing, or a creation without a manifest yet | a log is created |
//! | a sound manifest | the walk continues from its commit to the newest commit |
//! | a damaged manifest, or none beside a log | an error, unless falling back is allowed |
//!
//! # Torn or damaged
//! The walk ends at a frame that is not sound. A later commit may prove that the log was durable
//! beyond that place. Then the frame is damaged: an error names it, and nothing is changed.
//! Otherwise the log never reported the bytes as durable. They are the torn tail, and recovery
//! removes them.
//!
//! # Recovering
//! Recovery writes nothing before the walk has ended. Then it removes the bytes after the newest
//! commit and makes the remaining bytes durable. Only after that the manifest names the commit. If
//! a recovery discards durable commits, it publishes the manifest first, for the followers. New
//! entries begin in the next physical block. Every step returns the same result if a crash
//! interrupts it and it is repeated.

use super::report::Recovery;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::config::ByteSize;
use crate::hybrid_log::{HybridLog, Life, LogEnd, LogExtent, LogGeometry, check_block};
use crate::log::append::appender::Appender;
use crate::log::append::frame_writer::FrameWriter;
use crate::log::commit::committer::Committer;
use crate::log::commit::manifest::{Identity, Manifest, Sizes};
use crate::log::commit::record::CommitRecord;
use crate::log::commit::state::CommitState;
use crate::log::config::{Config, Geometry};
use crate::log::frame::format::{Framing, Kind};
use crate::log::frame::scanner::FrameScanner;
use crate::log::frame::stored_files::StoredFiles;
use crate::log::inner::LogInner;
use crate::log::iterator::positions::IteratorPositions;
use crate::log::memory::{EpochContexts, LogMemory};
use crate::log::read::last;
use crate::log::read::range::ReadableRange;
use crate::log::view::LogView;
use crate::manifest::copy;
use crate::manifest::files::{self, LOG, is_log_segment};
use crate::manifest::publish::{self, NotPublished};
use crate::manifest::read::read_manifest;
use crate::manifest::text::Hex;
use crate::opening::directory::admit_read_only;
use crate::opening::lock;
use kvick_io::{BufPool, Device, DeviceOptions, Directory, Lock};
use kvick_runtime::Handle;
use std::io;
use std::sync::Arc;

/// The arguments of an opening.
#[derive(Debug)]
pub(crate) struct LogOpener {
    pub(crate) config: Config,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) handle: Handle,
    pub(crate) contexts: Arc<EpochContexts>,
    /// The buffers of a group of logs, if the log shares them.
    pub(crate) buffers: Option<BufPool>,
    /// The salt of a new log.
    pub(crate) salt: u64,
    pub(crate) renews: Renews,
    /// The number of the commit to recover; `None` for the newest.
    pub(crate) number: Option<u64>,
    /// Where the owner has everything, if the log may end before that.
    pub(crate) continues: Option<Continuation>,
    /// The name that the owner has for the setting `memory`.
    pub(crate) memory_setting: &'static str,
}

/// A place at which a log continues that ends before it. Its owner has all entries that may be
/// missing, and needs none of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Continuation {
    /// The salt of the log.
    pub(crate) salt: u64,
    /// The log is durable up to here.
    pub(crate) durable: Address,
    /// The start of a block.
    pub(crate) at: Address,
}

impl Continuation {
    /// Returns the state of the log with its entries removed, if it ends between the places.
    fn state(self, found: &CommitState, sizes: &Sizes) -> Option<CommitState> {
        let Self { salt, durable, at } = self;
        let is_its_own =
            sizes.salt.0 == salt && sizes.units(Life::FIRST).block_behind_end(at) == at;
        let is_before = durable <= found.until && found.until < at;
        let (begin, until, holes) = (at, at, Vec::new());
        (is_its_own && is_before).then(|| CommitState { begin, until, holes, ..found.clone() })
    }
}

/// Whether a log without a commit becomes a new log, with the new salt: its owner does not know it,
/// and another owner may know it by the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renews {
    Never,
    /// Its owner knows no log, or only one with this salt.
    Unless(Option<u64>),
}

/// An open log. Keep the lock for as long as the log writes.
pub(crate) struct RecoveredLog {
    pub(crate) inner: LogInner,
    pub(crate) identity: Identity,
    pub(crate) published: CommitState,
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) recovery: Option<Recovery>,
}

/// The newest commit that a walk has found, and the number of entries on the way.
#[derive(Debug)]
pub(crate) struct FoundCommit {
    pub(crate) commit_state: CommitState,
    pub(crate) entries: u64,
}

impl LogOpener {
    pub(crate) async fn open(self) -> Result<RecoveredLog> {
        let place = self.directory.describe();
        let opened = self.create_or_recover().await;
        opened.map_err(|error| error.with_place(&place, CHECK))
    }

    async fn create_or_recover(self) -> Result<RecoveredLog> {
        Geometry::named(&self.config, None, self.memory_setting)?;
        let lock = lock::lock(&*self.directory).await?;
        let begun = self.handle.now();
        let Some(manifest) = look(&*self.directory, self.config.allow_fallback).await? else {
            if let Some(number) = self.number {
                let place = self.directory.describe();
                return Err(Error::invalid(format!("commit {number}: there is no log in {place}")));
            }
            return self.create(lock).await;
        };
        let sizes = manifest.log;
        self.check_page(sizes.page_bytes)?;
        let geometry = Geometry::named(&self.config, Some(sizes.page_bytes), self.memory_setting)?;
        // A log without entries may have no file yet, or no file any more.
        let is_empty = !manifest.commit_state().has_entries();
        let device = open_log(&*self.directory, sizes, is_empty).await?;
        let buffers = self.buffers(&geometry);
        let stored = StoredFiles::look(&*self.directory, sizes.segment_bytes).await?;
        let units = manifest.units();
        let framing = Framing::new(units, sizes.salt.0);
        let scanner = FrameScanner { framing, device: &*device, buffers: &buffers, stored };
        let saved = manifest.commit_state();
        let found = newest(&scanner, saved.clone(), self.number).await?;
        let walked_bytes = found.commit_state.until.raw() - saved.until.raw();
        let found_until = found.commit_state.until;
        let moved = self.continues.and_then(|place| place.state(&found.commit_state, &sizes));
        let (is_moved, commit_state) = (moved.is_some(), moved.unwrap_or(found.commit_state));
        let until = units.device_offset(commit_state.until);
        let dropped = scanner.end_of_bytes(until).await?.saturating_sub(until);
        let life = manifest.life().next(commit_state.until).ok_or_else(Error::lives_exhausted)?;
        let gives_up = u64::from(self.number.is_some() && dropped > 0);
        let mut identity =
            Identity { sizes, life, rewinds: manifest.identity().rewinds + gives_up };
        let is_unknown = match self.renews {
            Renews::Never => false,
            Renews::Unless(known) => known != Some(sizes.salt.0),
        };
        if is_unknown && commit_state == CommitState::nothing() {
            identity.sizes.salt = Hex(self.salt);
            let published = self.try_publish(identity, &commit_state).await;
            published.map_err(|failed| failed.error)?;
        }
        let (mut published, mut is_announced) = (saved.clone(), false);
        if dropped > 0 || scanner.stored.has_file_behind(until) || commit_state != saved {
            let from = (gives_up > 0, is_moved.then_some(found_until));
            if self.end_with((identity, &commit_state), &*device, from).await? {
                (published, is_announced) = (commit_state.clone(), true);
            }
        }
        assert!(
            published.begin <= commit_state.begin && published.until <= commit_state.until,
            "the next opening finds what this one keeps: {published:?}, {commit_state:?}"
        );
        let freed = device.discard_below(units.page_start(published.begin)).await;
        freed.map_err(|error| Error::io("deleting files that a truncation has freed", error))?;
        let recovery = Recovery {
            commit: commit_state.commit(),
            walked_bytes,
            walked_entries: found.entries,
            dropped_bytes: dropped,
            took: self.handle.now().saturating_sub(begun),
        };
        let directory = Arc::clone(&self.directory);
        let life = ((identity, is_announced, found_until), geometry);
        let inner = self.inner(life, (device, buffers), &commit_state)?;
        admit_read_only(&*directory, inner.memory.log());
        last::find(&inner.view).await;
        Box::pin(copy::restore_copy(&*directory)).await;
        Ok(RecoveredLog { inner, identity, published, lock, recovery: Some(recovery) })
    }

    /// Makes the log on the medium end with the recovered state. Returns whether the manifest has
    /// it. A log that continues at another place was found to end at `moved_from`.
    ///
    /// Without space for a manifest the old one stays, and with it the entries that it needs. The
    /// driver of the manifest publishes the state before anything is written after it.
    async fn end_with(
        &self,
        (identity, commit_state): (Identity, &CommitState),
        device: &dyn Device,
        (gives_up, moved_from): (bool, Option<Address>),
    ) -> Result<bool> {
        // Publish first, so that followers see it even after a power cut in between.
        let is_first = gives_up || moved_from.is_some();
        let is_published = is_first && self.publish(identity, commit_state).await?;
        let end = moved_from.filter(|_| !is_published).unwrap_or(commit_state.until);
        let until = identity.sizes.units(identity.life).device_offset(end);
        cut(&*self.directory, device, until).await?;
        Ok(is_published || self.publish(identity, commit_state).await?)
    }

    /// Refuses a page size other than that of the existing log.
    fn check_page(&self, page_bytes: u64) -> Result<()> {
        match self.config.page_size {
            Some(asked) if asked.bytes() != page_bytes => {
                let (place, page) = (self.directory.describe(), ByteSize::new(page_bytes));
                let why = format!("the log in {place} was created with pages of {page}; omit it");
                Err(Error::invalid(format!("page_size = {asked}: {why}")))
            }
            _ => Ok(()),
        }
    }

    /// Publishes the recovered state. Returns whether there was space for the manifest. If not, the
    /// next opening recovers the same state again.
    async fn publish(&self, identity: Identity, commit_state: &CommitState) -> Result<bool> {
        match self.try_publish(identity, commit_state).await {
            Ok(()) => Ok(true),
            Err(NotPublished { is_certain: true, error }) if error.is_shortage() => {
                tracing::warn!(%error, "the manifest could not follow what was recovered");
                Ok(false)
            }
            Err(NotPublished { error, .. }) => Err(error),
        }
    }

    /// As [`publish`](Self::publish), with an error if there was no space.
    async fn try_publish(
        &self,
        identity: Identity,
        commit_state: &CommitState,
    ) -> Result<(), NotPublished> {
        let manifest = Manifest::new(identity, commit_state);
        let bytes = publish::publish_to_free(&*self.directory, &manifest).await?;
        copy::keep_copy(&*self.directory, &bytes).await;
        Ok(())
    }

    async fn create(self, lock: Box<dyn Lock>) -> Result<RecoveredLog> {
        let geometry = Geometry::named(&self.config, None, self.memory_setting)?;
        let device = open_device(&*self.directory, geometry.segment_bytes, true).await?;
        // A unit is at least the smallest transfer of the device.
        let unit_bytes = geometry.unit_bytes.max(device.geometry().block as usize);
        let sizes = Sizes {
            salt: Hex(self.salt),
            page_bytes: 1 << geometry.page_bits,
            unit_bytes: unit_bytes as u64,
            block_bytes: device.geometry().physical_block.into(),
            segment_bytes: geometry.segment_bytes,
        };
        let commit_state = CommitState::nothing();
        let identity = Identity { sizes, life: Life::FIRST, rewinds: 0 };
        let manifest = Manifest::new(identity, &commit_state);
        let buffers = self.buffers(&geometry);
        let directory = Arc::clone(&self.directory);
        // Reserve memory first: the sizes of a log without memory are never published.
        let life = (identity, true, commit_state.until);
        let inner = match self.inner((life, geometry), (device, buffers), &commit_state) {
            Ok(inner) => inner,
            Err(error) => {
                lock::give_up_creation(&*directory).await;
                return Err(error);
            }
        };
        let bytes = match publish::publish(&*directory, &manifest, true).await {
            Ok(bytes) => bytes,
            Err(failed) => {
                if failed.is_certain {
                    drop(inner);
                    lock::give_up_creation(&*directory).await;
                }
                return Err(failed.error);
            }
        };
        copy::keep_copy(&*directory, &bytes).await;
        Ok(RecoveredLog { inner, identity, published: commit_state, lock, recovery: None })
    }

    fn buffers(&self, geometry: &Geometry) -> BufPool {
        self.buffers.clone().unwrap_or_else(|| BufPool::new(geometry.io_bytes))
    }

    fn inner(
        self,
        ((Identity { sizes, life, .. }, is_announced, found_until), geometry): (
            (Identity, bool, Address),
            Geometry,
        ),
        (device, buffers): (Arc<dyn Device>, BufPool),
        state: &CommitState,
    ) -> Result<LogInner> {
        let units = sizes.units(life);
        let log_geometry = LogGeometry {
            page_bits: geometry.page_bits,
            frames: geometry.frames,
            reserved_frames: geometry.frames,
            mutable_fraction: 0.0,
            unit_bytes: units.unit_bytes(),
            block_bytes: sizes.block_bytes,
            salt: sizes.salt.0,
            life,
            is_announced,
            flush_bytes: geometry.io_bytes,
            prepares: true,
            huge_pages: self.config.huge_pages,
            owner: "log",
            end: LogEnd::of_entries(geometry.page_bits),
        };
        let CommitState { begin, until, .. } = *state;
        debug_assert!(life.begin() <= until, "this life writes from the tail on: {until:?}");
        let extent = LogExtent { begin, head: until, flushed: until, tail: until };
        let clock = (self.contexts.epoch().clone(), self.handle.clone());
        let log = (Arc::clone(&device), buffers.clone(), &*self.directory.describe());
        let log = HybridLog::new(log_geometry, extent, log, clock)
            .map_err(|error| Error::io("reserving memory", error))?;
        let memory = Arc::new(LogMemory::new(log, self.contexts));
        let framing = Framing::new(units, sizes.salt.0);
        let view = LogView::new(framing, device, buffers, ReadableRange::new(state.clone()))
            .with_memory(Arc::clone(&memory));
        let view = Arc::new(view);
        let frames = FrameWriter::new(Arc::clone(&memory), framing, Geometry::layout(units));
        Ok(LogInner {
            appender: Appender::new(frames, &self.config, state.completed),
            committer: Committer::new(Arc::clone(&memory), Arc::clone(&view)),
            iterators: IteratorPositions::new(state.iterators.clone()),
            found_until,
            config: self.config,
            directory: self.directory,
            handle: self.handle,
            memory,
            view,
        })
    }
}

/// Walks from a commit to the newest commit, or to the requested commit.
///
/// # Errors
/// `Corrupt` if the log was durable beyond the place where the walk has to stop. `InvalidArgument`
/// if there is no commit of that number.
pub(crate) async fn newest(
    scanner: &FrameScanner<'_>,
    saved: CommitState,
    number: Option<u64>,
) -> Result<FoundCommit> {
    let units = scanner.framing.units;
    if saved.has_entries() && scanner.stored.end() < units.device_offset(saved.until) {
        let (file, offset) = scanner.device.locate(scanner.stored.end());
        let until = saved.until.raw();
        let what = format!("the log ends here, and was durable up to address {until}");
        return Err(Error::damaged(&what, &file, offset));
    }
    let is_missing =
        scanner.stored.first().is_none_or(|first| first > units.page_start(saved.begin));
    if saved.has_entries() && is_missing {
        let (file, offset) = scanner.device.locate(units.device_offset(saved.begin));
        return Err(Error::damaged("the file is missing", &file, offset));
    }
    let (mut commit_state, from) = (saved.clone(), saved.until);
    let is_chosen =
        |commit_state: &CommitState| number.is_some_and(|number| commit_state.number == number);
    let (mut entries, mut since) = (0, 0);
    let stop = scanner.along(from, |frame| {
        match frame.kind {
            Kind::Whole | Kind::First => since += 1,
            Kind::Commit if !is_chosen(&commit_state) => {
                let record = CommitRecord::decode(frame.payload);
                let until = units.block_behind_end(frame.next);
                let Some(record) = record.filter(|record| commit_state.precedes(record, until))
                else {
                    let (file, offset) = scanner.device.locate(units.device_offset(frame.address));
                    let what = "the record of a commit contradicts the one before";
                    return Err(Error::damaged(what, &file, offset));
                };
                commit_state.apply(&record, until);
                entries += std::mem::take(&mut since);
            }
            Kind::Commit | Kind::Middle | Kind::Last | Kind::Padding => {}
        }
        Ok(())
    });
    let stop = stop.await?;
    if let Some(number) = number.filter(|_| !is_chosen(&commit_state)) {
        let (first, last) = (saved.number, commit_state.number);
        return Err(Error::invalid(format!(
            "commit {number}: there are commits {first} to {last}, and maybe not each of them"
        )));
    }
    if number.is_none()
        && let Some(durable) = scanner.proof_behind(stop, commit_state.until).await?
    {
        let (file, offset) = scanner.device.locate(units.device_offset(stop.unit));
        let what = format!(
            "the unit at address {} is damaged, and the log was durable up to {}",
            stop.unit.raw(),
            durable.raw()
        );
        return Err(Error::damaged(&what, &file, offset));
    }
    assert!(
        saved.number <= commit_state.number && saved.until <= commit_state.until,
        "recovery goes only forward from the manifest: {saved:?}, then {commit_state:?}"
    );
    Ok(FoundCommit { commit_state, entries })
}

/// The next step for damage that an opening has found.
const CHECK: &str = "`log::check` lists all damage: restore this file from a copy, or drop the \
     damage with `log::repair`";

/// Returns the manifest of the log in a directory, if there is one.
pub(crate) async fn look(
    directory: &dyn Directory,
    allow_fallback: bool,
) -> Result<Option<Manifest>> {
    let names = files::list(directory).await?;
    if let Some(read) = read_manifest(directory, &names, allow_fallback).await? {
        return Ok(Some(read.manifest));
    }
    let place = directory.describe();
    for file in names.iter().filter(|file| is_log_segment(file)) {
        let bytes = directory.file_bytes(file).await;
        let bytes = bytes.map_err(|error| Error::io(format!("looking at {file}"), error))?;
        if bytes > 0 {
            return Err(Error::lost_manifests(&place));
        }
    }
    files::refuse_foreign(&place, &names, is_log_segment)?;
    Ok(None)
}

/// Durably deletes the bytes after `end`, and makes the remaining bytes durable: they may have been
/// read from the cache of the system.
pub(crate) async fn cut(directory: &dyn Directory, device: &dyn Device, end: u64) -> Result<()> {
    let failed = |error| Error::uncut("cutting off the torn tail of the log", error);
    device.truncate(end).await.map_err(failed)?;
    device.sync().await.result.map_err(failed)?;
    directory.sync().await.map_err(failed)
}

/// Opens the files of a log with these sizes.
pub(crate) async fn open_log(
    directory: &dyn Directory,
    sizes: Sizes,
    create: bool,
) -> Result<Arc<dyn Device>> {
    let device = open_device(directory, sizes.segment_bytes, create).await?;
    check_block(sizes.unit_bytes, &*device)?;
    Ok(device)
}

async fn open_device(
    directory: &dyn Directory,
    segment_bytes: u64,
    create: bool,
) -> Result<Arc<dyn Device>> {
    let options = DeviceOptions { segment_bytes, create };
    let doing = if create { "creating" } else { "opening" };
    directory.open_device(LOG, options).await.map_err(|error| {
        if !create && error.kind() == io::ErrorKind::NotFound {
            return Error::lost_file("log.000000");
        }
        Error::io(format!("{doing} the log in {}", directory.describe()), error)
    })
}
