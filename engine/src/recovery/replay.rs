//! Replays the log: the index learns every record, and the last pages stay in memory.

use super::create::no_memory;
use super::{OnProgress, RecoveryPhase, RecoveryProgress, RecoveryReport};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::hash::{KeyHash, KeyHasher};
use crate::checkpoint::files::manifest::StoreFormat;
use crate::hash_index::HashIndex;
use crate::hybrid_log::{HybridLog, PageAssembler, PagePayload, Show};
use crate::record::{StoredRecord, TableNumber};
use crate::store::Tables;
use futures::future::{AbortHandle, Aborted, BoxFuture, abortable};
use kvick_runtime::{Handle, Task};
use std::io;
use std::sync::Arc;

/// The number of records with buckets that are prefetched together.
const GROUP: usize = 32;

/// The hash functions of the tables that are not dropped. The records of a dropped table need no
/// entry: nothing searches for them.
#[derive(Debug)]
pub(super) struct TableHashers(Vec<Option<KeyHasher>>);

impl TableHashers {
    pub(super) fn new(tables: &Tables, store: &StoreFormat) -> Self {
        let mut hashers = vec![None; TableNumber::COUNT];
        for table in store.live_tables() {
            hashers[table.number().index()] = Some(tables.hasher(table.number()));
        }
        Self(hashers)
    }

    fn of(&self, number: TableNumber) -> Option<&KeyHasher> {
        self.0[number.index()].as_ref()
    }
}

/// A task that loads an index. It ends if this is dropped before.
#[derive(Debug)]
pub(super) struct IndexLoading {
    /// `None` once the task has ended.
    task: Option<Task<Result<Result<()>, Aborted>>>,
    abort: AbortHandle,
}

impl IndexLoading {
    /// Starts `load` as a task.
    pub(super) fn start(
        handle: &Handle,
        load: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Self {
        let (load, abort) = abortable(load);
        Self { task: Some(handle.spawn("kvick-index", load)), abort }
    }

    /// Waits until the index is loaded.
    ///
    /// # Errors
    /// The error of the load, once.
    pub(super) async fn ended(&mut self) -> Result<()> {
        let Some(task) = &mut self.task else {
            return Ok(());
        };
        let ended = task.await;
        self.task = None;
        let failed = |error| Error::io("loading the index", error);
        let loaded = ended.map_err(|error| failed(io::Error::other(error)))?;
        loaded.map_err(|aborted| failed(io::Error::other(aborted)))?
    }
}

impl Drop for IndexLoading {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// A replay of the log in progress.
pub(super) struct Replay<'l> {
    log: &'l HybridLog,
    tables: &'l Tables,
    index: Arc<HashIndex>,
    /// The task that loads the index up to `from`.
    loading: Option<IndexLoading>,
    hashers: TableHashers,
    /// The first address of records that are not in the index yet.
    from: Address,
    joint: PageAssembler,
    group: Vec<(KeyHash, Address)>,
    bytes: u64,
    records: u64,
    total: u64,
    on_progress: Option<&'l OnProgress>,
}

impl<'l> Replay<'l> {
    /// Creates a replay from `from`, where the index ends, to `end`, where the checkpoint ends.
    pub(super) fn new(
        (log, tables): (&'l HybridLog, &'l Tables),
        (index, loading, hashers): (Arc<HashIndex>, Option<IndexLoading>, TableHashers),
        [from, end]: [Address; 2],
        on_progress: Option<&'l OnProgress>,
    ) -> Self {
        let total = end.raw().saturating_sub(from.min(log.restore().first_in_memory()).raw());
        let group = Vec::with_capacity(GROUP);
        let (joint, bytes, records) = (PageAssembler::default(), 0, 0);
        Self {
            log,
            tables,
            index,
            loading,
            hashers,
            from,
            joint,
            group,
            bytes,
            records,
            total,
            on_progress,
        }
    }

    /// Returns the start of the first page that must be shown.
    pub(super) fn first_page(&self) -> Address {
        self.log.file().units().start_of_page(self.from.min(self.log.restore().first_in_memory()))
    }

    /// Replays the next page, or the next bytes of a page.
    async fn take_in(&mut self, page: &PagePayload) -> Result<()> {
        self.bytes += page.bytes.len() as u64;
        if self.log.restore().is_preloaded(page) {
            self.log.restore().preload(page);
        }
        if let Some(on_progress) = self.on_progress {
            let (phase, bytes, total) = (RecoveryPhase::Checkpoint, self.bytes, self.total);
            on_progress.tell(RecoveryProgress { phase, bytes, total });
        }
        // A record may lie across two payloads of a page, so the walk takes a whole page or
        // nothing.
        if page.end() <= self.log.file().units().start_of_page(self.from) {
            return Ok(());
        }
        self.index_is_loaded().await?;
        let mut joint = std::mem::take(&mut self.joint);
        let taken = joint.take_in(self.log.file().units(), page, |page| self.walk(page));
        self.joint = joint;
        taken
    }

    /// Returns the complete index.
    pub(super) async fn finish(mut self, report: &mut RecoveryReport) -> Result<HashIndex> {
        self.index_is_loaded().await?;
        if let Some(front) = self.joint.finish() {
            self.walk(&front)?;
        }
        self.raise_group()?;
        report.replayed_bytes += self.bytes;
        report.replayed_records += self.records;
        Ok(Arc::into_inner(self.index).expect("the tasks that loaded it have ended"))
    }

    async fn index_is_loaded(&mut self) -> Result<()> {
        match &mut self.loading {
            Some(loading) => loading.ended().await,
            None => Ok(()),
        }
    }

    fn walk(&mut self, page: &PagePayload) -> Result<()> {
        let file = self.log.file();
        for record in file.records(self.tables.layouts(), page.start, &page.bytes) {
            let record = record.map_err(|found| file.no_record(found))?;
            // A walk along a chain ends only if addresses go down.
            if record.info.previous() >= record.address {
                return Err(file.not_a_record(record.address));
            }
            if record.info.is_invalid() || record.info.is_piece() || record.address < self.from {
                continue;
            }
            let Some(hasher) = self.hashers.of(record.info.table()) else {
                continue;
            };
            let hash = hasher.hash(StoredRecord::key_in(record.bytes, record.layout));
            self.index.prefetch(hash);
            self.group.push((hash, record.address));
            if self.group.len() == GROUP {
                self.raise_group()?;
            }
        }
        Ok(())
    }

    fn raise_group(&mut self) -> Result<()> {
        self.records += self.group.len() as u64;
        for (hash, address) in self.group.drain(..) {
            self.index.raise(hash, address).map_err(no_memory)?;
        }
        Ok(())
    }
}

impl Show for Replay<'_> {
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.take_in(page))
    }
}
