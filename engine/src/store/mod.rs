//! The store: where the index and the log meet.
//!
//! # The parts
//! * [`Core`]: everything that operations share, in terms of bytes.
//! * `trace`: the only walk along a chain of records.
//! * `read`, `upsert`, `modify`, `delete`: one *synchronous attempt* each, a `match` over the
//!   region of the newest record. An attempt runs under one guard, ends done or [`Blocked`], and
//!   leaves nothing half done: no lock, no reserved room, no borrowed memory.
//! * `operation`: the future that makes attempts and, in between, waits for what blocked them.
//! * `batch`: many operations under one guard, with prefetching.
//! * `pieces`: values that do not fit in a page.
//!
//! # What may be carried across a wait
//! Addresses and owned bytes ([`Learnt`]), never a reference. After a wait an attempt starts again
//! from the index entry. What was learnt from the device is used only if the chain still leads to
//! the address at which the device was asked: records are never changed there, so the rest of the
//! chain is still as it was read.

pub(crate) mod access;
pub(crate) mod batch;
pub(crate) mod changes;
mod cold;
pub(crate) mod delete;
pub(crate) mod encoding;
pub(crate) mod identity;
pub(crate) mod ledger;
mod limits;
mod link;
pub(crate) mod modify;
pub(crate) mod operation;
pub(crate) mod phase;
mod pieces;
pub(crate) mod points;
pub(crate) mod read;
pub(crate) mod seat;
pub(crate) mod serials;
pub(crate) mod sessions;
mod trace;
pub(crate) mod upsert;

use crate::address::Address;
use crate::codec::{Key, Value};
use crate::config::Config;
use crate::epoch::Epoch;
use crate::error::{Error, Result};
use crate::hash::{KeyHash, KeyHasher};
use crate::hash_index::HashIndex;
use crate::hybrid_log::{Health, HybridLog};
use crate::record::{Layout, RecordInfo, RecordRef, Shape};
use crate::statistics::{DeviceStats, LogBytes, MemoryBytes, Stats};
use crate::stripes::Stripes;
use crate::wait::wait_either;
use identity::SessionId;
use kvick_io::Device;
use kvick_runtime::Handle;
use ledger::Ledger;
pub(crate) use limits::Limits;
use phase::Phase;
use seat::{Registry, Seat, Tools};
use sessions::Sessions;
use std::sync::Arc;

/// Everything that the operations of one store share.
#[derive(Debug)]
pub(crate) struct Core {
    // Fixed after opening.
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) limits: Limits,
    hasher: KeyHasher,
    epoch: Epoch,
    // Shared structures, each with its own rules.
    pub(crate) index: HashIndex,
    pub(crate) log: HybridLog,
    pub(crate) phase: Phase,
    pub(crate) sessions: Sessions,
    /// Seats for operations that have none of their own.
    pool: Stripes<Seat>,
    registry: Arc<Registry>,
}

/// What a store is made of, before operations begin.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) limits: Limits,
    pub(crate) hasher: KeyHasher,
    pub(crate) index: HashIndex,
    pub(crate) log: HybridLog,
    pub(crate) version: u64,
    pub(crate) sessions: Sessions,
}

/// Seats for operations on the handle; more than threads are likely to be within a poll at once.
const POOLED_SEATS: usize = 16;

/// Operations of a batch that wait at once, for each that the device is given.
const DEPTHS_AHEAD: usize = 4;
/// What an operation takes that waits for the device, its buffer aside; a little more than it is.
const WAIT_BYTES: usize = 1 << 10;
/// A batch goes on with so many at once, however little memory there is.
const WAITS_MIN: usize = 8;

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, layout, limits, hasher, index, log, version, sessions } = parts;
        let epoch = log.epoch().clone();
        let registry = Arc::new(Registry::default());
        let (places, seats) = (epoch.clone(), Arc::clone(&registry));
        let pool = Stripes::new(POOLED_SEATS, move || seats.seat(&places, limits.yield_every));
        let phase = Phase::new(version);
        Self { config, layout, limits, hasher, epoch, index, log, phase, sessions, pool, registry }
    }

    /// A seat for a new session.
    pub(crate) fn seat(&self) -> Result<(Seat, Arc<Ledger>)> {
        self.log.health().check_read()?;
        let mut seat = self.registry.seat(&self.epoch, self.limits.yield_every);
        let ledger = Sessions::open(seat.counters());
        seat.set_ledger(Arc::clone(&ledger));
        Ok((seat, ledger))
    }

    /// A seat for a session of an earlier life.
    pub(crate) fn resumed_seat(&self, id: SessionId) -> Result<(Seat, Arc<Ledger>)> {
        self.log.health().check_read()?;
        let mut seat = self.registry.seat(&self.epoch, self.limits.yield_every);
        let ledger = self.sessions.resume(id, seat.counters())?;
        seat.set_ledger(Arc::clone(&ledger));
        Ok((seat, ledger))
    }

    /// Waits until everything that the session has done so far is in a durable checkpoint.
    pub(crate) async fn durable(&self, ledger: &Ledger) -> Result<()> {
        let wanted = ledger.present();
        // What was done so far belongs to this version: the checkpoint that ends it covers that.
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

    /// Waits until a cut is over.
    pub(crate) async fn cut_over(&self) -> Result<()> {
        let is_over = || !self.phase.is_cut();
        self.log.health().wait_for(self.phase.changed(), Health::check_write, is_over).await
    }

    /// Ends the version: waits until nobody changes anything any more, does `freeze` while that is
    /// so, and lets operations go on in the version `next`.
    pub(crate) async fn cut<T>(&self, handle: &Handle, next: u64, freeze: impl FnOnce() -> T) -> T {
        let cut = self.phase.transition_to_cut();
        let epoch = self.epoch.bump();
        self.epoch.drained(epoch, handle).await;
        let frozen = freeze();
        cut.end(next);
        frozen
    }

    /// Makes a file beside the log durable.
    pub(crate) async fn sync_file(&self, device: &dyn Device) -> Result<()> {
        if let Err(error) = device.sync().await.result {
            let (file, _) = device.locate(0);
            // As of the log: after a failed sync nobody knows what is durable.
            let error = Error::poisoned(&Error::io(format!("sync of {file}"), error));
            self.log.health().transition_to_poisoned(&error);
            return Err(error);
        }
        Ok(())
    }

    /// Notes, in the record itself, that it is changed in place in this version.
    #[inline(always)]
    fn stamp(&self, record: RecordRef<'_>) {
        let stamp = self.log.stamp();
        if record.info().stamp() != stamp {
            RecordInfo::transition_to_stamped(record.info_word(), stamp);
        }
    }

    /// How many operations of one batch wait for the device at once: several times as many as the
    /// device is given, but no more than there is memory for.
    fn waits_at_once(&self) -> usize {
        let enough = self.config.depth as usize * DEPTHS_AHEAD;
        (self.log.read_bytes() / WAIT_BYTES).clamp(WAITS_MIN, enough.max(WAITS_MIN))
    }

    /// Refuses if the store is closed or poisoned.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.log.health().check_write()
    }

    pub(crate) async fn flush(&self) -> Result<()> {
        self.log.health().check_write()?;
        self.log.flush().await.map(drop)
    }

    pub(crate) async fn flush_and_evict(&self) -> Result<()> {
        self.log.health().check_write()?;
        self.log.flush_and_evict().await
    }

    /// The drivers of the log; resolves when the store is closed.
    pub(crate) async fn maintain(&self) {
        self.log.maintain().await;
    }

    /// Bytes of the log so far.
    pub(crate) fn log_end(&self) -> u64 {
        self.log.tail_address().raw()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.registry.count(&mut stats);
        let [begin, head, _, read_only] = self.log.marks();
        let tail = self.log.tail_address();
        stats.log = LogBytes {
            mutable: tail.raw().saturating_sub(read_only.raw()),
            read_only: read_only.raw() - head.raw(),
            on_device: head.raw() - begin.raw(),
        };
        let stored = self.log.device().bytes_stored();
        stats.device = DeviceStats::of(self.log.counters(), stored);
        let (frames, buffers) = self.log.memory();
        stats.memory = MemoryBytes { index: self.index.bytes(), frames, buffers };
        stats
    }

    /// What the asker must be told before anything else: the store is closed or poisoned.
    #[inline(always)]
    fn check_write(&self) -> Result<()> {
        self.log.health().check_write()
    }

    /// Whether a change has to wait for the next version. If not, its seat and its session belong
    /// to this version from now on.
    #[inline(always)]
    fn must_wait(&self, tools: &Tools<'_>) -> bool {
        let word = self.phase.word();
        word != tools.counters.phase() && self.is_cut_or_begins(word, tools)
    }

    #[cold]
    fn is_cut_or_begins(&self, word: u64, tools: &Tools<'_>) -> bool {
        if Phase::is_cut_in(word) {
            return true;
        }
        self.sessions.begin(Phase::version_in(word), tools.ledger.as_ref());
        tools.counters.note_phase(word);
        false
    }

    #[inline(always)]
    fn check_read(&self) -> Result<()> {
        self.log.health().check_read()
    }
}

/// Key and value types of a store, of which nothing is held.
pub(crate) type Types<K, V> = std::marker::PhantomData<(fn(&K), fn(&V))>;

/// An encoded key and its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashedKey<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) hash: KeyHash,
}

/// How the records of a store of these types are laid out.
impl<K: Key + ?Sized, V: Value + ?Sized> Shape for Types<K, V> {
    const LAYOUT: Layout = Layout::new(K::WIDTH, V::WIDTH);
}

/// How the records of a store of these types are laid out.
#[inline(always)]
pub(crate) const fn layout<K: Key + ?Sized, V: Value + ?Sized>() -> Layout {
    <Types<K, V> as Shape>::LAYOUT
}

/// Why an attempt could not finish, and so what to wait for. Two words: what is larger is boxed,
/// since every attempt has room for this in its result.
#[derive(Debug)]
pub(crate) enum Blocked {
    /// The chain goes on at this address, on the device.
    OnDevice(Address),
    /// The log has no room for a record of so many bytes.
    Room(u64),
    /// The record here may still be changed by somebody who sees older marks.
    Fuzzy(Address),
    /// Somebody else is in the middle of a change.
    Contended,
    /// Others changed the value while a new one was being made of it: the next attempt is to be
    /// made at once, under a guard of its own.
    Overtaken,
    /// A version of the store is ending: nothing is changed until the next one has begun.
    Cut,
    /// The value of the record here is in these pieces.
    InPieces(Box<(Address, Vec<u8>)>),
    /// This value, made from that version of the record, must be stored in pieces first.
    TooLong(Box<(trace::Version, Vec<u8>)>),
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Done(T),
    Blocked(Blocked),
}

/// What waiting has brought: addresses and bytes of our own.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// The first record of the key at or behind an address on the device.
    chain: Option<(Address, Option<crate::record::StoredRecord>)>,
    /// The whole value of the record at an address.
    gathered: Option<(Address, Vec<u8>)>,
    /// Where a long value went: for which version of the record, and the list of its pieces.
    scattered: Option<(trace::Version, Vec<u8>)>,
}
