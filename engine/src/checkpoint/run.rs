//! Takes one checkpoint, from its first phase to its last.

use super::files::checkpoint_files::{CheckpointFiles, DELTA, PART};
use super::files::manifest::{BlockFile, CheckpointEntry, IndexImage, Kind, Manifest, PartFile};
use super::files::points::{LayerWriter, Layers};
use super::files::space::{image_bytes, part_bytes, unflushed_bytes};
use super::files::stream::{Seal, StreamWriter};
use super::files::{delta, index_image};
use super::plan::{CheckpointPlan, IndexWish};
use super::progress::{CheckpointPhase, Progress};
use super::{Checkpoint, CheckpointKind, CheckpointTimes, CheckpointToken, Durability};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::serialized::hex_of;
use crate::manifest::publish::NotPublished;
use crate::record::RecordInfo;
use crate::store::StoreInner;
use crate::store::sessions::identity::{CommitPoint, SessionId};
use crate::store::sessions::table;
use kvick_runtime::Handle;
use std::collections::BTreeMap;
use std::time::Duration;

/// The files of a checkpoint on which an incremental checkpoint builds.
#[derive(Debug)]
pub(super) struct IncrementalBase {
    durability: Durability,
    captured: Captured,
}

/// The state on which the next checkpoint builds.
#[derive(Debug)]
pub(super) struct Basis {
    /// The base of an incremental checkpoint. `None` if a snapshot is due.
    pub(super) chain: Option<IncrementalBase>,
    pub(super) layers: Layers,
}

/// A checkpoint in progress.
pub(super) struct CheckpointRun<'r> {
    pub(super) core: &'r StoreInner,
    pub(super) checkpoint_files: &'r CheckpointFiles,
    pub(super) handle: &'r Handle,
    pub(super) plan: CheckpointPlan,
    pub(super) token: u64,
    /// The number of checkpoints to keep.
    pub(super) keep: usize,
    pub(super) progress: &'r Progress,
}

/// An ended version.
struct Ended {
    kind: Kind,
    /// The begin of the log at the end of the version. Compaction may move it later.
    begin: Address,
    end: Address,
    /// The log itself has the records below this address, or will have them.
    flushed: Address,
    /// The version tag of records that were changed in this version.
    version_tag: u64,
    sessions: table::Ended,
    wal: Option<EndInWal>,
}

/// The end of a version in the write-ahead log.
struct EndInWal {
    cut: Address,
    /// Whether operations append to the log.
    is_live: bool,
    /// The durable end of the log if it is before the cut.
    durable: Option<Address>,
}

/// The files that a capture has written beside the log.
#[derive(Clone, Debug, Default)]
struct Captured {
    parts: Vec<PartFile>,
    deltas: Vec<BlockFile>,
}

/// About the maximum number of files beside the log for one checkpoint. Each file is a device to
/// open, and recovery reads all of them. A snapshot in place of every sixteenth increment costs
/// each increment a sixteenth of the snapshot's bytes.
const MOST_FILES: usize = 16;

impl Captured {
    /// Returns whether a snapshot is due. Recovery reads parts and deltas. A new part takes less to
    /// read and to store if the deltas have more bytes than the parts that they change.
    fn is_spent(&self) -> bool {
        let parts: u64 = self.parts.iter().map(|part| part.end - part.from).sum();
        let deltas: u64 = self.deltas.iter().map(|delta| delta.bytes).sum();
        deltas > parts || self.parts.len() + self.deltas.len() >= MOST_FILES
    }
}

impl CheckpointRun<'_> {
    /// Takes the checkpoint, and records the base of the next one.
    pub(super) async fn take(&self, basis: &mut Basis) -> Result<Checkpoint> {
        let mut times = CheckpointTimes::default();
        let mut room = self.core.space.optional_bytes();
        let image = self.index(&mut room, &mut times).await?;
        if self.plan.kind == CheckpointKind::IndexOnly {
            return self.publish_index(image, times).await;
        }
        // The steps below end the version. The chain stays valid only if all of them succeed.
        let base = basis.chain.take().filter(|base| {
            // A synced checkpoint cannot build on files that were never synced.
            let is_firm = base.durability == Durability::PowerCut || !self.is_synced();
            is_firm && !base.captured.is_spent()
        });
        let mut ended = self.cut((base.is_some(), room), &mut times).await;
        let taken = self.complete(&mut ended, (base, basis), image, times).await;
        let published = taken.as_ref().ok().map(|_taken| self.is_synced());
        self.core.sessions.record_outcome(ended.sessions, self.token + 1, published).await;
        taken
    }

    /// Runs the phases after the version barrier.
    async fn complete(
        &self,
        ended: &mut Ended,
        (base, basis): (Option<IncrementalBase>, &mut Basis),
        image: Option<IndexImage>,
        mut times: CheckpointTimes,
    ) -> Result<Checkpoint> {
        let begun = self.handle.now();
        self.progress.enter(CheckpointPhase::Capture);
        let captured = self.capture(ended, base).await;
        if ended.kind != Kind::FoldOver {
            let versions = self.core.log.versions();
            versions.unpin();
            versions.thaw(&[ended.end]).await;
        }
        let captured = captured?;
        if let (Some(wal), Some(end)) = (&self.core.wal, &mut ended.wal) {
            // Before the checkpoint is published: later entries are above its cut for ever.
            end.durable = wal.commit_below(end.cut, self.plan.durability).await?;
        }
        self.core.sessions.read(&mut ended.sessions, self.token + 1).await;
        let layers = self.layer_writer().layers(&basis.layers).await?;
        times.capture = self.since(begun);
        let next = (ended.kind != Kind::FoldOver).then(|| IncrementalBase {
            durability: self.plan.durability,
            captured: captured.clone(),
        });
        let taken = self.publish(ended, (captured, &layers), image, &mut times).await?;
        self.layer_writer().forget_points(&layers);
        *basis = Basis { chain: next, layers };
        Ok(taken)
    }

    /// Writes an image of the index, if it is wanted and has room. Takes it off `room`, the bytes
    /// that the budget has for such files.
    async fn index(
        &self,
        room: &mut u64,
        times: &mut CheckpointTimes,
    ) -> Result<Option<IndexImage>> {
        let is_asked =
            self.plan.kind == CheckpointKind::IndexOnly || self.plan.index == IndexWish::Always;
        let is_wanted =
            is_asked || self.plan.index == IndexWish::IfWorthwhile && self.is_index_worthwhile();
        if !is_wanted {
            return Ok(None);
        }
        let bytes = image_bytes(self.core);
        if bytes > *room {
            if !is_asked {
                return Ok(None);
            }
            let why = format!("an image of the index of {bytes} bytes is beyond the budget");
            return Err(Error::over_budget(why));
        }
        *room -= bytes;
        self.progress.enter(CheckpointPhase::Index);
        let begun = self.handle.now();
        let Self { core, checkpoint_files, handle, progress, .. } = *self;
        let image =
            index_image::write(core, checkpoint_files, handle, self.token, progress).await?;
        times.index = self.since(begun);
        Ok(Some(image))
    }

    /// Returns whether recovery would read more bytes of log than an image has. Then the images of
    /// a store take no more bytes than its log. Recovery reads at most two bytes for each byte that
    /// it must read.
    fn is_index_worthwhile(&self) -> bool {
        let log = &self.core.log;
        let newest = self.checkpoint_files.manifest().indexes.last().map(|image| image.start);
        let covered = newest.unwrap_or(0).max(log.pages().begin().raw());
        log.tail_address().raw().saturating_sub(covered) >= self.core.index.bytes()
    }

    /// Ends the version. `room` is the number of bytes that the budget has for files beside the
    /// log: with too few the checkpoint is a fold-over.
    async fn cut(&self, (has_base, room): (bool, u64), times: &mut CheckpointTimes) -> Ended {
        self.progress.enter(CheckpointPhase::VersionBarrier);
        let wanted = match self.plan.kind {
            CheckpointKind::FoldOver => Kind::FoldOver,
            CheckpointKind::Incremental if has_base => Kind::Incremental,
            CheckpointKind::Snapshot | CheckpointKind::Incremental => Kind::Snapshot,
            kind @ (CheckpointKind::Auto | CheckpointKind::IndexOnly) => {
                unreachable!("{kind:?} ends no version: the driver chooses a kind first")
            }
        };
        let begun = self.handle.now();
        let log = &self.core.log;
        let freeze = || {
            let (end, version_tag) = (log.versions().end_version(), log.pages().version_tag());
            let bytes = part_bytes(unflushed_bytes(log, end.raw()), wanted.into());
            let kind = if bytes <= room { wanted } else { Kind::FoldOver };
            let flushed = if kind == Kind::FoldOver {
                log.versions().fold_over(end);
                end
            } else {
                log.versions().set_version_tag(RecordInfo::version_tag_of(self.token + 1));
                log.versions().freeze_pinned(end)
            };
            let (begin, sessions) = (log.pages().begin(), self.core.sessions.end_version());
            let wal = self.core.wal.as_ref().map(|wal| {
                let (cut, is_live) = (wal.cut(), wal.is_live());
                EndInWal { cut, is_live, durable: None }
            });
            Ended { kind, begin, end, flushed, version_tag, sessions, wal }
        };
        let ended = self.core.cut(self.handle, self.token + 1, freeze).await;
        debug_assert!(
            ended.begin <= ended.flushed && ended.flushed <= ended.end,
            "begin <= flushed <= end of the version: {:?}, {:?}",
            ended.flushed,
            ended.end
        );
        times.cut = self.since(begun);
        tracing::debug!(target: "kvick::checkpoint", took = ?times.cut, end = ?ended.end, "cut");
        ended
    }

    /// Writes everything below the end of the version to the device. Syncs it if the checkpoint
    /// must survive power cuts.
    async fn capture(&self, ended: &Ended, base: Option<IncrementalBase>) -> Result<Captured> {
        let log = &self.core.log;
        let captured = match (ended.kind, base) {
            (Kind::FoldOver, _) => {
                let before = log.flushing().flushed();
                log.flushing().stored(ended.end).await?;
                self.progress.wrote(ended.end.raw().saturating_sub(before.raw()));
                Captured::default()
            }
            (Kind::Incremental, Some(base)) => self.increment(ended, base.captured).await?,
            (Kind::Incremental | Kind::Snapshot, _) => {
                let part = self.part(ended.flushed, ended.end).await?;
                Captured { parts: part.into_iter().collect(), deltas: Vec::new() }
            }
        };
        if self.is_synced() {
            // The driver of syncs makes this one too, as it makes the syncs of users: no two of
            // them overlap.
            log.flushing().synced().await?;
        }
        Ok(captured)
    }

    /// Writes the changes since `base`, and the new records.
    async fn increment(&self, ended: &Ended, base: Captured) -> Result<Captured> {
        let Captured { mut parts, mut deltas } = base;
        let old_end = parts.last().map_or(ended.flushed, |part| Address::new(part.end));
        if ended.flushed < old_end {
            deltas.push(self.delta(ended, old_end).await?);
        }
        debug_assert!(old_end <= ended.end, "versions only grow");
        parts.extend(self.part(old_end.max(ended.flushed), ended.end).await?);
        // The log itself has the records of these parts by now.
        parts.retain(|part| part.end > ended.flushed.raw());
        if parts.is_empty() {
            deltas.clear();
        }
        debug_assert!(
            parts.is_sorted_by(|before, next| before.end == next.from),
            "parts leave no gap and do not overlap: {parts:?}"
        );
        debug_assert!(
            deltas.is_sorted_by(|before, next| before.token < next.token),
            "a later delta has later changes: {deltas:?}"
        );
        Ok(Captured { parts, deltas })
    }

    /// Writes the records of `[flushed, old_end)` that were changed in this version.
    async fn delta(&self, ended: &Ended, old_end: Address) -> Result<BlockFile> {
        assert!(ended.flushed < old_end, "only records in memory change: {:?}", ended.flushed);
        let log = &self.core.log;
        let device = self.checkpoint_files.device(DELTA, self.token, true).await?;
        let seal = delta_seal(self.salt(), self.token);
        let written = |bytes| self.progress.wrote(bytes);
        let mut writer = StreamWriter::new(&*device, log.file().writing(), seal, written);
        let mut page = ended.flushed;
        while page < old_end {
            let pending = writer.pending();
            page = log.capture().changed_in_page(
                self.core.tables.layouts(),
                [page, old_end],
                ended.version_tag,
                |address, record| {
                    delta::append(pending, address, record);
                },
            );
            log.capture().shown_below(page.min(old_end));
            writer.go_on().await?;
        }
        let stream = writer.finish().await?;
        if self.is_synced() {
            self.core.sync_file(&*device).await?;
        }
        Ok(stream)
    }

    /// Writes a range of the log to a file beside it.
    async fn part(&self, from: Address, end: Address) -> Result<Option<PartFile>> {
        if from >= end {
            return Ok(None);
        }
        let log = &self.core.log;
        let device = self.checkpoint_files.device(PART, self.token, true).await?;
        let salt = part_salt(self.salt(), self.token);
        log.capture()
            .write([from, end], &*device, salt, |bytes| self.progress.wrote(bytes))
            .await
            .map_err(|error| error.with_directory(log.file().place()))?;
        if self.is_synced() {
            self.core.sync_file(&*device).await?;
        }
        Ok(Some(PartFile { token: self.token, from: from.raw(), end: end.raw() }))
    }

    async fn publish(
        &self,
        ended: &Ended,
        (captured, layers): (Captured, &Layers),
        image: Option<IndexImage>,
        times: &mut CheckpointTimes,
    ) -> Result<Checkpoint> {
        self.assert_captured(ended, &captured);
        let mut manifest = self.next_manifest(image);
        // An image from before the begin saves no reading.
        let helps =
            |image: &&IndexImage| image.end <= ended.end.raw() && image.start >= ended.begin.raw();
        let newest = manifest.indexes.iter().rfind(helps);
        let wal = ended.wal.as_ref();
        let mut record = CheckpointEntry {
            token: self.token,
            kind: ended.kind,
            durability: self.plan.durability,
            begin: ended.begin.raw(),
            flushed: ended.flushed.raw(),
            end: ended.end.raw(),
            index: newest.map(|image| image.stream.token),
            cookie: hex_of(&self.plan.cookie),
            wal: wal.map(|end| end.cut.raw()),
            wal_durable: wal.and_then(|end| end.durable).map(Address::raw),
            is_partial: wal.is_some_and(|end| !end.is_live),
            parts: captured.parts,
            deltas: captured.deltas,
            point_files: Vec::new(),
            session_count: 0,
            sessions: BTreeMap::new(),
        };
        self.layer_writer().enter_points(&mut record, layers);
        let before = manifest.checkpoints.last();
        assert!(
            before.is_none_or(|before| before.token < record.token && before.end <= record.end),
            "versions end one after the other: {before:?}, then {record:?}"
        );
        manifest.checkpoints.push(record);
        manifest.keep_newest(self.keep);
        self.make_newest(manifest, times).await?;
        Ok(self.checkpoint(ended.kind.into(), ended.sessions.points(), *times))
    }

    /// Asserts that the log and the parts together have every record of the version.
    fn assert_captured(&self, ended: &Ended, captured: &Captured) {
        let Ended { begin, flushed, end, .. } = ended;
        assert!(begin <= flushed && flushed <= end, "{begin:?} to {end:?}");
        let log = self.core.log.flushing().flushed();
        assert!(log >= ended.flushed, "{log:?}: a checkpoint leaves to the log what it has");
        let mut covered = ended.flushed.raw();
        debug_assert!(
            ended.kind != Kind::FoldOver || captured.parts.is_empty(),
            "the log itself has the records of a fold-over: {captured:?}"
        );
        debug_assert!(
            captured.deltas.is_empty() || !captured.parts.is_empty(),
            "a delta changes records of parts: {captured:?}"
        );
        for part in &captured.parts {
            debug_assert!(part.from < part.end, "a part has bytes: {part:?}");
            assert!(part.from <= covered, "no record is between {covered} and {part:?}");
            covered = covered.max(part.end);
        }
        assert!(covered >= ended.end.raw(), "{covered}: the version ends at {:?}", ended.end);
    }

    async fn publish_index(
        &self,
        image: Option<IndexImage>,
        mut times: CheckpointTimes,
    ) -> Result<Checkpoint> {
        self.make_newest(self.next_manifest(image), &mut times).await?;
        Ok(self.checkpoint(CheckpointKind::IndexOnly, BTreeMap::new(), times))
    }

    fn next_manifest(&self, image: Option<IndexImage>) -> Manifest {
        let mut manifest = self.checkpoint_files.manifest().clone();
        assert!(manifest.next_token <= self.token, "tokens only grow");
        manifest.next_token = self.token + 1;
        debug_assert!(
            image.as_ref().is_none_or(|image| image.stream.token == self.token),
            "an image has the token of its checkpoint: {image:?}"
        );
        manifest.indexes.extend(image);
        manifest.rounds = self.core.space.history();
        manifest
    }

    async fn make_newest(&self, mut manifest: Manifest, times: &mut CheckpointTimes) -> Result<()> {
        self.progress.enter(CheckpointPhase::Publish);
        let begun = self.handle.now();
        manifest.drop_unused();
        let published = self.checkpoint_files.publish(manifest, self.plan.durability).await;
        times.publish = self.since(begun);
        published.map_err(|failed| unpublished(self.core, failed))
    }

    fn checkpoint(
        &self,
        kind: CheckpointKind,
        sessions: BTreeMap<SessionId, CommitPoint>,
        times: CheckpointTimes,
    ) -> Checkpoint {
        Checkpoint {
            token: CheckpointToken(self.token),
            kind,
            durability: self.plan.durability,
            cookie: self.plan.cookie.clone(),
            sessions,
            bytes: self.progress.now().bytes,
            times,
        }
    }

    fn layer_writer(&self) -> LayerWriter<'_> {
        let Self { core, checkpoint_files, token, progress, .. } = *self;
        LayerWriter { core, checkpoint_files, token, progress }
    }

    fn salt(&self) -> u64 {
        self.checkpoint_files.manifest().store.salt.0
    }

    fn is_synced(&self) -> bool {
        self.plan.durability == Durability::PowerCut
    }

    fn since(&self, begun: Duration) -> Duration {
        self.handle.now().saturating_sub(begun)
    }
}

/// Returns the error of a manifest that was not published. Poisons the log if it is unknown which
/// manifest counts, because the store can then promise nothing.
pub(super) fn unpublished(core: &StoreInner, failed: NotPublished) -> Error {
    if failed.is_certain {
        return failed.error;
    }
    let error = Error::poisoned(&failed.error);
    core.log.health().transition_to_poisoned(&error);
    error
}

/// Returns the salt of the checksums in the part that checkpoint `token` wrote.
pub(crate) fn part_salt(salt: u64, token: u64) -> u64 {
    debug_assert!(token > 0, "a part has another salt than the log");
    salt ^ token.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Returns the checksum identity of the delta that checkpoint `token` wrote.
pub(crate) fn delta_seal(salt: u64, token: u64) -> Seal {
    Seal { salt, what: b"delta", token }
}
