//! The state that all operations of a store share, in terms of bytes.

use super::compaction::{RemovalWatch, Superseded};
use super::context::{ContextRegistry, ExecutionContext, OperationContext};
use super::feed::LogReaders;
use super::scan::ActiveScans;
use super::sessions::identity::SessionId;
use super::sessions::serial_counter::SerialCounter;
use super::sessions::state::SessionState;
use super::sessions::table::SessionTable;
use super::system_state::{SystemState, VersionBarrier};
use super::tables::Tables;
use super::wal::WriteAheadLog;
use crate::base::address::Address;
use crate::base::context_pool::ContextPool;
use crate::base::error::{Error, Result};
use crate::base::wait::{wait_either, wait_until};
use crate::base::wall_clock::WallClock;
use crate::config::Config;
use crate::epoch::Epoch;
use crate::hash_index::HashIndex;
use crate::hybrid_log::{HybridLog, LogStatus};
use crate::memory::MemoryGovernor;
use crate::read_cache::ReadCache;
use crate::record::{RecordInfo, RecordRef, TableNumber};
use crate::space::SpaceGovernor;
use crate::statistics::{
    DeviceStats, IndexStats, LogBytes, MemoryBytes, ScanStats, Stats, TableStats,
};
use crossbeam_utils::CachePadded;
use kvick_io::Device;
use kvick_runtime::Handle;
use std::sync::Arc;

/// Everything that the operations of one store share.
#[derive(Debug)]
pub(crate) struct StoreInner {
    // Fixed after opening.
    pub(crate) config: Config,
    pub(in crate::store) clock: Arc<WallClock>,
    epoch: Epoch,
    // Shared structures, each with its own rules.
    pub(crate) tables: Tables,
    pub(crate) index: HashIndex,
    pub(crate) log: HybridLog,
    pub(crate) phase: SystemState,
    pub(crate) sessions: SessionTable,
    pub(crate) governor: Arc<MemoryGovernor>,
    pub(in crate::store) read_cache: Option<ReadCache>,
    pub(crate) space: SpaceGovernor,
    /// `Some` in a store whose operations can be durable by themselves.
    pub(crate) wal: Option<WriteAheadLog>,
    pub(in crate::store) scans: ActiveScans,
    pub(in crate::store) readers: LogReaders,
    pub(crate) removals: RemovalWatch,
    pub(in crate::store) superseded: Superseded,
    /// Seats for operations that do not run in a session.
    pub(in crate::store) pool: ContextPool<ExecutionContext>,
    registry: Arc<ContextRegistry>,
}

/// The components of a store, before operations begin.
#[derive(Debug)]
pub(crate) struct StoreParts {
    pub(crate) config: Config,
    pub(crate) clock: Arc<WallClock>,
    pub(crate) tables: Tables,
    pub(crate) index: HashIndex,
    pub(crate) log: HybridLog,
    pub(crate) version: u64,
    pub(crate) sessions: SessionTable,
    pub(crate) governor: Arc<MemoryGovernor>,
    pub(crate) space: SpaceGovernor,
    pub(crate) wal: Option<WriteAheadLog>,
}

/// The number of seats for operations on the handle. Fewer threads are likely to be in a poll at
/// once.
const POOLED_SEATS: usize = 16;

/// The number of waiting operations of a batch for each operation that the device gets at once.
const DEPTHS_AHEAD: usize = 4;
/// The memory of an operation that waits for the device, without its buffer. It is a little high.
const WAIT_BYTES: usize = 1 << 10;
/// The minimum number of waiting operations of a batch, however little memory there is.
const WAITS_MIN: usize = 8;

impl StoreInner {
    pub(crate) fn new(parts: StoreParts) -> Self {
        let StoreParts {
            config,
            clock,
            tables,
            index,
            log,
            version,
            sessions,
            governor,
            space,
            wal,
        } = parts;
        let epoch = log.epoch().clone();
        let registry = Arc::new(ContextRegistry::default());
        let (places, seats) = (epoch.clone(), Arc::clone(&registry));
        let yield_every = config.yield_every;
        let pool = ContextPool::new(POOLED_SEATS, move || {
            seats.seat(&places, yield_every, TableNumber::FIRST)
        });
        let phase = SystemState::new(version);
        let read_cache = governor.read_cache_share();
        let read_cache = (read_cache > 0).then(|| ReadCache::new(read_cache));
        let (scans, readers) = (ActiveScans::default(), LogReaders::default());
        Self {
            config,
            clock,
            epoch,
            tables,
            index,
            log,
            phase,
            sessions,
            governor,
            read_cache,
            space,
            wal,
            scans,
            readers,
            removals: RemovalWatch::default(),
            superseded: Superseded::default(),
            pool,
            registry,
        }
    }

    /// Returns a seat for a new session that begins on `table`.
    pub(crate) fn seat(&self, table: TableNumber) -> Result<(ExecutionContext, Arc<SessionState>)> {
        self.seat_for(table, |counter| Ok(SessionTable::open(counter)))
    }

    /// Returns the memory of all sessions and seats, in bytes.
    pub(in crate::store) fn seat_bytes(&self) -> u64 {
        const SEAT: usize = ExecutionContext::BYTES + size_of::<SessionState>();
        let (seats, counters) = self.registry.in_use();
        (seats * SEAT + counters * ExecutionContext::COUNTERS_BYTES) as u64
    }

    /// Returns a seat on `table` for a session that waits to be resumed.
    pub(crate) fn resumed_seat(
        &self,
        id: SessionId,
        table: TableNumber,
    ) -> Result<(ExecutionContext, Arc<SessionState>)> {
        self.seat_for(table, |counter| self.sessions.resume(id, counter))
    }

    /// Returns a seat on `table` for the session with a name, which waits or is new.
    pub(crate) fn named_seat(
        &self,
        name: &str,
        table: TableNumber,
    ) -> Result<(ExecutionContext, Arc<SessionState>)> {
        self.seat_for(table, |counter| self.sessions.open_named(name, counter))
    }

    /// Returns a seat on `table` for the session whose account `open` returns. The account counts
    /// with the counter of the seat.
    fn seat_for(
        &self,
        table: TableNumber,
        open: impl FnOnce(&Arc<CachePadded<SerialCounter>>) -> Result<Arc<SessionState>>,
    ) -> Result<(ExecutionContext, Arc<SessionState>)> {
        self.log.health().check_read()?;
        let mut seat = self.registry.seat(&self.epoch, self.config.yield_every, table);
        let ledger = open(seat.serial())?;
        seat.set_ledger(Arc::clone(&ledger));
        seat.set_durable(self.config.acknowledges_durably());
        self.governor.note_sessions(self.seat_bytes());
        Ok((seat, ledger))
    }

    /// Waits until all operations of the session so far are in a durable checkpoint.
    pub(crate) async fn durable(&self, ledger: &SessionState) -> Result<()> {
        if self.wal.is_some() {
            return self.sync(Some(ledger)).await;
        }
        let wanted = ledger.present();
        // The operations so far belong to this version or earlier ones, so its checkpoint covers
        // them.
        let (version, failures) = (self.phase.version(), self.sessions.failures());
        let health = self.log.health();
        health.check_process()?;
        wait_either([self.sessions.published(), health.changed()], || {
            if ledger.is_durable(&wanted) {
                return Some(Ok(()));
            }
            let failed = || self.sessions.failed_since(failures, version);
            health.check_write().err().or_else(failed).map(Err)
        })
        .await
    }

    /// Waits until the version barrier is over.
    pub(crate) async fn cut_over(&self) -> Result<()> {
        let is_over = || !self.phase.is_cut();
        self.log.health().wait_for(self.phase.changed(), LogStatus::check_write, is_over).await
    }

    /// Ends the version. Waits until no operation changes anything, runs `freeze`, and lets
    /// operations continue in version `next`.
    pub(crate) async fn cut<T>(&self, handle: &Handle, next: u64, freeze: impl FnOnce() -> T) -> T {
        let barrier = self.barrier(handle).await;
        let frozen = freeze();
        barrier.end(next);
        frozen
    }

    /// Waits until no operation changes anything, runs `look`, and lets operations continue in the
    /// same version.
    pub(in crate::store) async fn between_changes<T>(
        &self,
        handle: &Handle,
        look: impl FnOnce() -> T,
    ) -> T {
        let _barrier = self.barrier(handle).await;
        look()
    }

    /// Returns the barrier, after every operation that may have missed it has left. Only drivers
    /// call this: writers wait until the barrier is dropped.
    async fn barrier(&self, handle: &Handle) -> VersionBarrier<'_> {
        let barrier = wait_until(self.phase.changed(), || self.phase.transition_to_cut()).await;
        self.epoch.drain(handle).await;
        barrier
    }

    /// Syncs a file beside the log.
    pub(crate) async fn sync_file(&self, device: &dyn Device) -> Result<()> {
        if let Err(error) = device.sync().await.result {
            let (file, _) = device.locate(0);
            // As for the log: after a failed sync it is unknown which data is durable.
            let error = Error::poisoned(&Error::io(
                format!("sync of {file} in {}", self.log.file().place()),
                error,
            ));
            self.log.health().transition_to_poisoned(&error);
            return Err(error);
        }
        Ok(())
    }

    /// Records in the record itself that it is changed in place in this version.
    #[inline(always)]
    pub(in crate::store) fn version_tag(&self, record: RecordRef<'_>) {
        self.stamp_observed(record, record.info());
    }

    /// As [`version_tag`](Self::version_tag), with a header loaded under the same guard. No other
    /// operation writes an older version tag meanwhile.
    #[inline(always)]
    pub(in crate::store) fn stamp_observed(&self, record: RecordRef<'_>, info: RecordInfo) {
        let version_tag = self.log.pages().version_tag();
        if info.version_tag() != version_tag {
            RecordInfo::transition_to_tagged(record.info_word(), version_tag);
        }
    }

    /// Returns the maximum number of operations of one batch that wait for the device. It is a
    /// multiple of the device's depth, within the memory for reads.
    pub(in crate::store) fn waits_at_once(&self) -> usize {
        let enough = self.config.depth as usize * DEPTHS_AHEAD;
        (self.log.file().read_bytes() / WAIT_BYTES).clamp(WAITS_MIN, enough.max(WAITS_MIN))
    }

    pub(crate) async fn flush(&self) -> Result<()> {
        self.log.health().check_write()?;
        self.log.flushing().flush().await.map(drop)
    }

    pub(crate) async fn flush_and_evict(&self) -> Result<()> {
        self.log.health().check_write()?;
        self.log.flushing().flush_and_evict().await
    }

    /// Returns the first address whose record can be read. It is the begin of the log; in a cache
    /// that keeps nothing on a device, the begin follows the head.
    pub(in crate::store) fn readable_from(&self) -> Address {
        let [begin, head, ..] = self.log.pages().addresses();
        if self.config.is_in_memory() { head } else { begin }
    }

    /// Returns the end of the log.
    pub(crate) fn log_end(&self) -> u64 {
        self.log.tail_address().raw()
    }

    /// Returns the statistics of one table.
    pub(in crate::store) fn table_stats(&self, table: TableNumber) -> TableStats {
        self.registry.count_table(table)
    }

    /// Returns the counts of all tables together.
    pub(crate) fn counts(&self) -> TableStats {
        self.registry.count_tables()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.registry.count(&mut stats);
        let [begin, head, _, read_only] = self.log.pages().addresses();
        let tail = self.log.tail_address();
        let (entries, buckets) = (self.index.entries(), self.index.buckets());
        stats.index = IndexStats { entries, prefixes: self.index.prefixes(), buckets };
        stats.log = LogBytes {
            mutable: tail.raw().saturating_sub(read_only.raw()),
            read_only: read_only.raw() - head.raw(),
            on_device: head.raw() - begin.raw(),
        };
        let (in_progress, scans_need) = self.scans.needs();
        let (log_readers, readers_need) = self.readers.needs();
        let needs = scans_need.into_iter().chain(readers_need).min();
        let needed = needs.map_or(0, |needs| tail.raw().saturating_sub(needs.raw()));
        let [in_progress, log_readers] = [in_progress, log_readers].map(|count| count as u64);
        stats.scans = ScanStats { in_progress, log_readers, needed };
        let stored = self.log.file().device().bytes_stored();
        stats.device = DeviceStats::of(self.log.file().counters(), stored);
        let (frames, buffers) = (self.log.pages().bytes(), self.log.file().bytes_in_buffers());
        stats.memory = MemoryBytes { frames, buffers, ..self.memory_bytes() };
        stats
    }

    /// Refuses if the store is closed or poisoned. An attempt checks this before anything else.
    #[inline(always)]
    pub(crate) fn check_write(&self) -> Result<()> {
        self.log.health().check_write()
    }

    /// Returns whether a change must wait for the next version. Otherwise its seat and its session
    /// belong to this version from now on.
    #[inline(always)]
    pub(in crate::store) fn must_wait(&self, tools: &OperationContext<'_>) -> bool {
        let word = self.phase.word();
        word != tools.serial.phase() && self.is_cut_or_begins(word, tools)
    }

    #[cold]
    fn is_cut_or_begins(&self, word: u64, tools: &OperationContext<'_>) -> bool {
        if SystemState::is_cut_in(word) {
            return true;
        }
        self.sessions.begin(SystemState::version_in(word), tools.ledger.as_ref());
        tools.serial.note_phase(word);
        false
    }

    #[inline(always)]
    pub(crate) fn check_read(&self) -> Result<()> {
        self.log.health().check_read()
    }
}

/// Returns the error of a durable operation of a store without a write-ahead log.
#[cold]
pub(in crate::store) fn no_wal() -> Error {
    Error::invalid(
        "the store has no write-ahead log, so single operations are not durable: open it with \
         `durability = \"wal\"`, or take checkpoints",
    )
}
