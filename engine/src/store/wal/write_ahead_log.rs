//! The write-ahead log of one open store.

use super::entry::WalEntry;
use super::relief::Relief;
use super::stripes::{Stripe, Stripes};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::hash::KeyHash;
use crate::base::kinds::Durability;
use crate::base::wait::{Event, wait_either, wait_until};
use crate::base::weak_spot;
use crate::config::{ByteSize, ENTRY_HEAD};
use crate::epoch::Guard;
use crate::hybrid_log::LogStatus;
use crate::log::handle::FasterLog;
use crate::log::{LogAddress, NotAppended, Space};
use crate::statistics::WalStats;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::cell::Cell;

/// The log, and the locks of the keys.
#[derive(Debug)]
pub(crate) struct WriteAheadLog {
    log: FasterLog,
    stripes: Stripes,
    /// The end of the entries that the opening has repeated; `LIVE` from its end on.
    replayed: AtomicU64,
    /// Notified when it is live.
    live: Event,
    relief: Relief,
}

thread_local! {
    /// The buffer in which a change encodes its entry.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The bytes that the buffer of a thread keeps from one entry to the next.
const KEPT: usize = 512;

/// Passes an encoded entry to `body`, which encodes no other.
#[inline(always)]
fn with_encoded<T>(entry: &WalEntry<'_>, body: impl FnOnce(&[u8]) -> T) -> T {
    // A destructor of a thread that ends may find it gone.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    entry.encode(&mut buffer);
    let result = body(&buffer);
    if buffer.capacity() <= KEPT {
        // Else the thread is ending, and needs no buffer any more.
        _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
    result
}

/// Operations append entries: every entry was repeated.
const LIVE: u64 = u64::MAX;

impl WriteAheadLog {
    /// Creates the write-ahead log of a store that has every change below `from`.
    pub(crate) fn new(log: FasterLog, from: Address) -> Self {
        Self {
            log,
            stripes: Stripes::new(),
            replayed: AtomicU64::new(from.raw()),
            live: Event::new(),
            relief: Relief::default(),
        }
    }

    pub(crate) fn log(&self) -> &FasterLog {
        &self.log
    }

    /// Returns the bytes of the longest key and value together whose entry fits in the pages of the
    /// log. They keep their size, so with less memory there are fewer.
    pub(crate) fn longest_pair(&self) -> u64 {
        self.log.inner.appender.space().longest().saturating_sub(ENTRY_HEAD)
    }

    /// Makes a change of a key, and writes its entry.
    ///
    /// # Errors
    /// Why there is no space for the entry. Then nothing was changed.
    pub(super) fn log_change<T>(
        &self,
        hash: KeyHash,
        entry: &WalEntry<'_>,
        guard: &Guard<'_>,
        (change, took_effect): (impl FnOnce() -> T, impl FnOnce(&T) -> bool),
    ) -> Result<T, NotAppended> {
        // Before the lock.
        with_encoded(entry, |entry| {
            let _stripe = self.stripes.lock(hash);
            self.log_under(entry, guard, (change, took_effect))
        })
    }

    /// Makes all changes of a batch, and writes its entry. The caller has locked its keys.
    ///
    /// # Errors
    /// Why there is no space for the entry. Then `change` was not called.
    pub(in crate::store) fn log_batch<T, E>(
        &self,
        entry: &WalEntry<'_>,
        guard: &Guard<'_>,
        change: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, NotAppended> {
        self.log_under(&entry.to_bytes(), guard, (change, Result::is_ok))
    }

    /// Takes space for an entry, makes its change, and shows the entry if that took effect. The
    /// stripes of its keys are locked.
    #[inline(always)]
    fn log_under<T>(
        &self,
        entry: &[u8],
        guard: &Guard<'_>,
        (change, took_effect): (impl FnOnce() -> T, impl FnOnce(&T) -> bool),
    ) -> Result<T, NotAppended> {
        // Before the change, whose record may be on its way to the processor.
        let filled = self.log.inner.appender.reserve(entry.len(), guard)?.fill(entry);
        weak_spot::pause();
        let changed = change();
        if took_effect(&changed) {
            filled.show();
        }
        Ok(changed)
    }

    /// Locks the keys of a batch: see [`stripes_of`](super::stripes::stripes_of).
    pub(in crate::store) fn lock_all(&self, stripes: &[usize]) -> Vec<Stripe<'_>> {
        self.stripes.lock_all(stripes)
    }

    /// Writes an entry that changes no key.
    pub(super) fn log_entry(
        &self,
        entry: &WalEntry<'_>,
        guard: &Guard<'_>,
    ) -> Result<(), NotAppended> {
        let bytes = entry.to_bytes();
        self.log.inner.appender.reserve(bytes.len(), guard)?.fill(&bytes).show();
        Ok(())
    }

    /// Waits until there is space for an entry.
    pub(in crate::store) async fn wait_for(&self, space: Space) -> Result<()> {
        self.log.inner.appender.wait_for(space).await
    }

    /// Returns whether operations append entries. Until every entry is repeated, they do not.
    #[inline(always)]
    pub(crate) fn is_live(&self) -> bool {
        // Relaxed: the task that opens the store hands it to all others later.
        self.replayed.load(Ordering::Relaxed) == LIVE
    }

    /// Returns the end of the changes so far.
    pub(crate) fn end(&self) -> Address {
        match self.replayed() {
            None => self.log.tail_address().inner(),
            Some(replayed) => replayed,
        }
    }

    /// Returns the end of the changes so far. Later ones begin there, at the start of a block.
    /// Called while no change is being made.
    pub(crate) fn cut(&self) -> Address {
        let frames = self.log.inner.appender.frames();
        let close = || frames.memory().protected(|guard| frames.close_block(guard));
        self.replayed().unwrap_or_else(close)
    }

    /// Returns the end of the entries that the opening has repeated so far; `None` if operations
    /// append entries.
    fn replayed(&self) -> Option<Address> {
        // Relaxed: the barrier orders it for a cut.
        let replayed = self.replayed.load(Ordering::Relaxed);
        (replayed != LIVE).then(|| Address::new(replayed))
    }

    /// Checks that no entry between two addresses was given up by a repair.
    ///
    /// # Errors
    /// `Corrupt` if one was.
    pub(super) fn check_whole(&self, range: [Address; 2]) -> Result<()> {
        let [begin, end] = range;
        if begin < end && self.log.inner.view.range().holes().reach_into(range) {
            let (begin, end) = (begin.raw(), end.raw());
            return Err(Error::lost_entries(&format!(
                "the write-ahead log lacks entries between {begin} and {end}, which a repair gave \
                 up, and has later ones"
            )));
        }
        Ok(())
    }

    /// Records that the store has every change below `until`.
    pub(super) fn note_replayed(&self, until: Address) {
        self.replayed.store(until.raw(), Ordering::Relaxed);
    }

    /// Records that operations append entries from now on.
    pub(super) fn transition_to_live(&self) {
        self.replayed.store(LIVE, Ordering::Relaxed);
        self.live.notify(usize::MAX);
    }

    /// Appends an entry, outside of the operations of the store.
    pub(super) async fn append(&self, entry: &WalEntry<'_>) -> Result<()> {
        self.log.append(&entry.to_bytes()).await.map(drop)
    }

    /// Returns the statistics. A replay would begin at `from`.
    pub(crate) fn stats(&self, from: Address) -> WalStats {
        let log = self.log.stats();
        let up_to_end = |from: LogAddress| log.end.raw().saturating_sub(from.raw());
        WalStats {
            kept_bytes: up_to_end(log.begin),
            replay_bytes: up_to_end(log.begin.max(from.into())),
            uncommitted_bytes: up_to_end(log.commit.until),
            commits: log.commit.number,
            memory_bytes: log.frame_bytes + log.buffer_bytes,
            device: log.device,
        }
    }

    /// Waits until operations append entries.
    pub(crate) async fn live(&self) {
        wait_until(&self.live, || self.is_live().then_some(())).await;
    }

    /// Waits until operations have appended entries up to `address`.
    pub(crate) async fn reached(&self, address: u64) {
        self.live().await;
        self.log.inner.memory.log().reached(address).await;
    }

    /// Lets waiting readers look at their tables and at the store again.
    pub(crate) fn wake_readers(&self) {
        self.log.inner.view.range().changed().notify(usize::MAX);
    }

    /// Makes every entry durable that was written so far.
    ///
    /// # Errors
    /// `StorageFull` while its device is full; `Poisoned`, `Closed`.
    pub(crate) async fn commit(&self) -> Result<()> {
        self.log.commit().await.map(drop)
    }

    /// Makes every change durable that was made so far: by the log, or by a checkpoint if its
    /// device is full. `store` is the status of the log of the store.
    ///
    /// # Errors
    /// `StorageFull` if that checkpoint fails, too; `Poisoned`, `Closed`.
    pub(super) async fn make_durable(&self, store: &LogStatus) -> Result<()> {
        let end = self.log.tail_address();
        match self.commit().await {
            Err(shortage) if shortage.is_shortage() => {
                let is_durable = || self.log.committed_until() >= end;
                self.relieved(shortage, (store, is_durable)).await.map(drop)
            }
            committed => committed,
        }
    }

    /// Appends an entry, or waits for a checkpoint that has what it tells. Returns whether it was
    /// appended.
    ///
    /// # Errors
    /// As for [`make_durable`](Self::make_durable).
    pub(super) async fn append_or_cover(
        &self,
        entry: &WalEntry<'_>,
        store: &LogStatus,
    ) -> Result<bool> {
        loop {
            match self.append(entry).await {
                Err(shortage) if shortage.is_shortage() => {
                    if self.relieved(shortage, (store, || !self.is_full())).await? {
                        return Ok(false);
                    }
                }
                appended => return appended.map(|()| true),
            }
        }
    }

    /// Waits until a checkpoint that begins after this call has everything before it, or until
    /// `is_over`. Returns whether there is such a checkpoint.
    async fn relieved(
        &self,
        shortage: Error,
        (store, is_over): (&LogStatus, impl Fn() -> bool),
    ) -> Result<bool> {
        let request = self.relief.request();
        let health = self.log.inner.memory.health();
        let changed = self.log.inner.view.range().changed();
        let events = [self.relief.ended(), changed, health.changed(), store.changed()];
        wait_either(events, || match self.relief.outcome(request) {
            Some(true) => Some(Ok(true)),
            _ if is_over() => Some(Ok(false)),
            Some(false) => Some(Err(shortage.clone())),
            None => health.check_write().and_then(|()| store.check_write()).err().map(Err),
        })
        .await
    }

    pub(crate) fn relief(&self) -> &Relief {
        &self.relief
    }

    /// Makes the entries below `cut` durable, which a checkpoint has. If the device is full, a
    /// checkpoint that survives power cuts stands for them: returns the end of those that are
    /// durable.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit), except for a full device below such a checkpoint.
    pub(crate) async fn commit_below(
        &self,
        cut: Address,
        durability: Durability,
    ) -> Result<Option<Address>> {
        match self.commit().await {
            Err(error) if error.is_shortage() && durability == Durability::PowerCut => {
                let durable = self.log.inner.durable_until();
                Ok((durable < cut).then_some(durable))
            }
            committed => committed.map(|()| None),
        }
    }

    /// Returns whether its device is full.
    pub(crate) fn is_full(&self) -> bool {
        self.log.inner.memory.health().is_full()
    }

    /// Waits until its device is full.
    pub(crate) async fn full(&self) {
        let changed = self.log.inner.memory.health().changed();
        wait_until(changed, || self.is_full().then_some(())).await;
    }

    /// Removes the entries below `from`, which no checkpoint needs, except those in the last `kept`
    /// bytes, and makes that durable. The log then begins where the last of them ended: a reader
    /// that has read them all finds its place.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub(crate) async fn truncate(&self, from: Address, kept: ByteSize) -> Result<()> {
        let readable = self.log.committed_until().raw().saturating_sub(kept.bytes());
        let from = LogAddress::from(from).min(LogAddress::new(readable));
        if from <= self.log.begin_address() {
            return Ok(());
        }
        let Some(end) = self.log.end_before(from).await? else {
            return Ok(());
        };
        self.log.truncate_until(end).await?;
        self.commit().await
    }
}
