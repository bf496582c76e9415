//! The public handle of a log.

use super::LogAddress;
use super::append::future::Append;
use super::builder::LogBuilder;
use super::commit::request::CommitRequest;
use super::commit::state::Commit;
use super::config::LogConfig;
use super::inner::Core;
use super::read::reader::{LogEntry, Reader, Terms};
use super::read::scan::Scan;
use super::read::start::{Start, no_entry};
use super::recover::report::LogRecovery;
use super::stats::LogStats;
use crate::address::Address;
use crate::error::Result;
use crate::health::Health;
use crate::opening::ending::Ending;
use bytes::Bytes;
use futures::StreamExt;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

/// An append-only log of entries with many writers and many readers.
///
/// It is a cheap handle, `Clone + Send + Sync`.
///
/// An appended entry is in memory. After a [`commit`](Self::commit) the entry, and every entry
/// before it, survives a power cut. [`close`](Self::close) commits. Dropping the last handle ends
/// the log in the background without a commit, like a crash.
///
/// ```
/// # use kvick::{Backend, FasterLog, LogConfig};
/// # use futures::StreamExt;
/// # kvick::runtime::block_on(async {
/// let config = LogConfig::default().with_backend(Backend::Memory);
/// let log = FasterLog::open("unused", config).await?;
/// log.append(b"one").await?;
/// let two = log.append(b"two").await?;
/// let commit = log.commit().await?; // one write and one sync, for all waiting tasks
/// assert!(two < commit.until);
///
/// let mut entries = log.scan(two..);
/// let entry = entries.next().await.expect("committed")?;
/// assert_eq!(&entry.payload[..], b"two");
/// # drop(entries);
/// log.close().await
/// # }).unwrap();
/// ```
///
/// In a child that is forked without an exec, operations that need a file, space or maintenance
/// fail. Their error names the fork, as with a [`FasterKv`](crate::FasterKv#forked-processes).
#[derive(Clone)]
pub struct FasterLog {
    pub(crate) core: Arc<Core>,
    opened: Arc<Opened>,
}

/// Ends when the last handle is dropped.
struct Opened {
    ending: Arc<Ending>,
    recovery: Option<LogRecovery>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.ending.forsaken();
    }
}

impl FasterLog {
    /// Opens the log in `path`, a directory of its own, with the built-in background executor.
    /// Creates the log if the directory has none. Otherwise recovers its newest commit, which
    /// [`recovery`](Self::recovery) describes.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds, `InUse` if the directory is open
    /// elsewhere. `Corrupt` if durable data is damaged, `Unsupported` for a directory of another
    /// format or of a store. `AlreadyExists` for files that belong to no log, `Io`, `StorageFull`.
    /// An error leaves the existing files as they are.
    ///
    /// On a read-only file system a log that was closed opens for reading; everything else fails
    /// with `ReadOnly`.
    ///
    /// # Cancel safety
    /// A directory that was being created may keep a lock file. The next opening repeats a recovery
    /// that was begun.
    pub async fn open(path: impl AsRef<Path>, config: LogConfig) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Returns a builder that opens a log with your own components: a runtime, a directory.
    pub fn builder(config: LogConfig) -> LogBuilder {
        LogBuilder::new(config)
    }

    pub(crate) fn new(core: Arc<Core>, ending: Arc<Ending>, recovery: Option<LogRecovery>) -> Self {
        Self { core, opened: Arc::new(Opened { ending, recovery }) }
    }

    /// See [`Ending::check_maintained`].
    pub(crate) fn check_maintained(&self) -> Result<()> {
        self.opened.ending.check_maintained()
    }

    /// Returns the report of the recovery; `None` if the log was created.
    #[must_use]
    pub fn recovery(&self) -> Option<&LogRecovery> {
        self.opened.recovery.as_ref()
    }

    /// Appends an entry and returns its address. Waits only while memory is full of entries that
    /// are not yet written. An entry larger than a page is split into pieces, but appended in one
    /// step. The largest entry has half of the memory.
    ///
    /// # Errors
    /// `InvalidArgument` for an entry that is too large, `StorageFull` while the device is full.
    /// `AddressesExhausted` when the log has no more addresses: after 2^48 bytes with pages of 4
    /// KiB and 2^61 with pages of 32 MiB. `Poisoned`, `Completed`, `Closed`.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub fn append<'a>(&'a self, entry: &'a [u8]) -> Append<'a> {
        Append::new(self, entry)
    }

    /// Appends an entry if there is space for it now.
    ///
    /// # Errors
    /// `Busy` if there is none: call [`wait_for_room`](Self::wait_for_room), or try again after a
    /// commit. Others as [`append`](Self::append).
    pub fn try_append(&self, entry: &[u8]) -> Result<LogAddress> {
        self.core.attempt(entry)?.map_err(|blocked| self.core.busy(blocked))
    }

    /// Appends entries in sequence, with no other entry between them, and returns their addresses.
    /// All of them are appended, or none. This holds after a crash too.
    ///
    /// # Errors
    /// As [`append`](Self::append), for all of them together.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub async fn append_many<E: AsRef<[u8]> + Sync>(
        &self,
        entries: &[E],
    ) -> Result<Vec<LogAddress>> {
        let mut addresses = Vec::with_capacity(entries.len());
        loop {
            let attempt = self.core.live().seats.protected(|guard| {
                self.core.try_append_many(entries, |address| addresses.push(address), guard)
            });
            match attempt? {
                Ok(()) => return Ok(addresses),
                Err(blocked) => self.core.unblocked(blocked).await?,
            }
        }
    }

    /// Appends an entry and waits until it is durable. Concurrent callers share the write and the
    /// sync. Requests a commit, unless [`LogConfig::commit_every`] is set and causes one.
    ///
    /// # Errors
    /// As [`append`](Self::append). After any error of the commit, `StorageFull` too, the entry is
    /// in the log already: appending it again adds a second one. Wait for the next
    /// [`commit`](Self::commit) to succeed instead; it makes the entry durable. After an error of
    /// the device it is unknown whether the entry is durable.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready may have appended the entry.
    pub async fn append_durable(&self, entry: &[u8]) -> Result<LogAddress> {
        let address = self.append(entry).await?;
        if self.core.config.commit_every.is_none() {
            self.core.commits.request(Address::new(address.raw() + 1), 0);
        }
        self.core.durable_at(address.inner()).await?;
        Ok(address)
    }

    /// Makes every entry durable that was appended before. Await the request, or set its options
    /// first. Requests that arrive while commits are in flight share the next commit.
    ///
    /// # Errors
    /// `StorageFull` while the device is full: the log makes the commit when there is space.
    /// `Poisoned` if a write or sync has failed: every request fails with the first cause until the
    /// log is opened again. `InvalidArgument` for a number that is too high, or not above all
    /// earlier numbers, or for a cookie that is too long. `Closed`.
    ///
    /// # Cancel safety
    /// A commit that was begun continues when the future is dropped.
    pub fn commit(&self) -> CommitRequest<'_> {
        CommitRequest::new(self)
    }

    /// Waits until the entry at `address`, and so every entry before it, is durable. It requests no
    /// commit: another caller or the settings must do so.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); `Completed` if the log ends before that address.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn wait_for_commit(&self, address: LogAddress) -> Result<()> {
        self.core.durable_at(address.inner()).await
    }

    /// Returns the newest durable commit.
    #[must_use]
    pub fn last_commit(&self) -> Commit {
        self.core.commits.settled().0.commit()
    }

    /// Returns the address of the first entry, or of the next entry if the log is empty.
    #[must_use]
    pub fn begin(&self) -> LogAddress {
        self.core.source.begin.load().into()
    }

    /// Returns the end of the newest commit. Entries below this address are durable.
    #[must_use]
    pub fn committed(&self) -> LogAddress {
        self.core.source.durable.load().into()
    }

    /// Returns the end of the log. Entries appended from now on are at this address or after it.
    #[must_use]
    pub fn end(&self) -> LogAddress {
        self.core.live().log.tail_address().into()
    }

    /// Returns the committed entries that begin in `range`, in order, as of the first poll of the
    /// scan.
    ///
    /// A range may begin at the address of any past, present or future entry. A range from a
    /// truncated entry begins with the first remaining entry. A range from the end of the log, or
    /// after it, is empty. If no entry begins at the start, the scan returns one error of kind
    /// `InvalidArgument` and ends. A range that excludes its start begins with the next entry. The
    /// end of a range may be any address.
    pub fn scan(&self, range: impl RangeBounds<LogAddress>) -> Scan {
        let terms = Terms { end: end_of(&range), follow: false, uncommitted: false };
        self.read_from(Start::of(&range), terms)
    }

    /// Returns entries from now on, as they are committed. The stream ends when the log is
    /// [completed](Self::complete).
    pub fn tail(&self) -> Scan {
        self.tail_from(self.committed())
    }

    /// Returns all entries from `address` on, and later entries as they are committed. The stream
    /// returns one error, as [`scan`](Self::scan) does, if no entry begins at `address` or if it is
    /// beyond the [end](Self::end).
    pub fn tail_from(&self, address: LogAddress) -> Scan {
        self.follow_from(Start::At(address.inner()))
    }

    pub(crate) fn follow_from(&self, start: Start) -> Scan {
        let end = LogAddress::MAX.inner();
        self.read_from(start, Terms { end, follow: true, uncommitted: false })
    }

    fn read_from(&self, start: Start, terms: Terms) -> Scan {
        let reader = Reader::new(Arc::clone(&self.core.source), start, terms);
        Scan::new(reader, Some(self.clone()))
    }

    /// Returns the entry at `address`; `None` if it was truncated, or does not exist yet. The entry
    /// need not be committed.
    ///
    /// # Errors
    /// `InvalidArgument` if no entry begins there, `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn read(&self, address: LogAddress) -> Result<Option<Bytes>> {
        let entry = self.entry_at(address.inner()).await?;
        Ok(entry.map(|entry| entry.payload))
    }

    /// Returns the first committed entry that begins at `address` or after it; `None` if there is
    /// none. Any address is valid.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn read_at_or_after(&self, address: LogAddress) -> Result<Option<LogEntry>> {
        let end = LogAddress::MAX.inner();
        let terms = Terms { end, follow: false, uncommitted: false };
        self.read_from(Start::Near(address.inner()), terms).next().await.transpose()
    }

    /// Returns the last committed entry; `None` if there is none.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn last(&self) -> Result<Option<LogEntry>> {
        self.core.source.last().await
    }

    /// Checks that a frame begins at `address`, which is below the end.
    pub(crate) async fn frame_at(&self, address: Address) -> Result<()> {
        // Entries may also begin at the address of padding or of a commit record.
        self.first_at(address).await.map_or(Ok(()), |first| first.map(drop))
    }

    async fn entry_at(&self, address: Address) -> Result<Option<LogEntry>> {
        let source = &self.core.source;
        let is_gone = || address < source.begin.load() || source.voids.clip(address).0 != address;
        if is_gone() || address >= source.end() {
            source.check()?;
            return Ok(None);
        }
        match self.first_at(address).await {
            Some(Ok(entry)) if entry.address.inner() == address => Ok(Some(entry)),
            // It was truncated in the meantime.
            Some(Ok(_)) | None if is_gone() => Ok(None),
            Some(Ok(_)) | None => Err(no_entry(address)),
            Some(Err(error)) => Err(error),
        }
    }

    /// Returns the first result of a scan of this address only.
    async fn first_at(&self, address: Address) -> Option<Result<LogEntry>> {
        let end = Address::new(address.raw() + 1);
        let terms = Terms { end, follow: false, uncommitted: true };
        self.read_from(Start::At(address), terms).next().await
    }

    /// Closes the log to new entries and commits the existing ones. Readers end after the last
    /// entry. A completed log stays completed when it is opened again.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). Even after an error, the log takes no more entries.
    ///
    /// # Cancel safety
    /// A dropped future may have completed the log. Call it again.
    pub async fn complete(&self) -> Result<Commit> {
        // In a forked child, a guard held by a thread of the parent is never released.
        self.core.live().log.health().check_process()?;
        self.core.seal().await;
        if self.core.source.is_completed() {
            return Ok(self.last_commit());
        }
        let until = self.core.live().log.tail_address();
        let changes = self.core.commits.change(|intent| intent.completed = true);
        self.core.commits.request(until, changes);
        self.core.settled(until, changes).await
    }

    /// Returns statistics of the log.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        LogStats::of(&self.core)
    }

    /// Returns the current fault of the device under the log, if there is one.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::new(self.core.live().log.health().cause(), None)
    }

    /// Commits, brings the manifest up to date, and closes the log for every handle. The directory
    /// is free afterwards. It may be called several times, also at once: each call waits for the
    /// same end and returns the same result.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). Even after an error, the log is closed and its directory is
    /// free.
    ///
    /// # Cancel safety
    /// A close that was begun continues when the future is dropped.
    pub async fn close(&self) -> Result<()> {
        self.opened.ending.close().await
    }
}

pub(crate) fn end_of(range: &impl RangeBounds<LogAddress>) -> Address {
    match range.end_bound() {
        Bound::Included(end) => LogAddress::new(end.raw() + 1).inner(),
        Bound::Excluded(end) => end.inner(),
        Bound::Unbounded => LogAddress::MAX.inner(),
    }
}

impl fmt::Debug for FasterLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FasterLog")
            .field("begin", &self.begin())
            .field("committed", &self.committed())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
