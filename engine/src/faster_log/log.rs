//! The log as its users hold it.

use super::LogAddress;
use super::append::Append;
use super::builder::LogBuilder;
use super::commit_request::CommitRequest;
use super::config::LogConfig;
use super::core::Core;
use super::reader::{LogEntry, Reader, Terms};
use super::recovered::LogRecovery;
use super::scan::Scan;
use super::settled::Commit;
use super::start::{Start, no_entry};
use super::statistics::LogStats;
use crate::address::Address;
use crate::ending::Ending;
use crate::error::Result;
use crate::health::Health;
use bytes::Bytes;
use futures::StreamExt;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

/// An append-only log of entries: many writers, many readers, durable when it says so. A cheap
/// handle, `Clone + Send + Sync`.
///
/// An entry that was appended is in memory; after a [`commit`](Self::commit) it survives a power
/// cut, and so does everything before it. [`close`](Self::close) commits. Dropping the last handle
/// ends the log in the background, without a commit: as a crash would.
///
/// ```
/// # use kvick::{Backend, FasterLog, LogConfig};
/// # use futures::StreamExt;
/// # kvick::runtime::block_on(async {
/// let config = LogConfig::default().with_backend(Backend::Memory);
/// let log = FasterLog::open("unused", config).await?;
/// log.append(b"one").await?;
/// let two = log.append(b"two").await?;
/// let commit = log.commit().await?; // one write and one sync, for everybody who waits
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
/// In a child that is forked without an exec whatever needs a file, room or maintenance fails with
/// an error that says so, as with a [`FasterKv`](crate::FasterKv#forked-processes).
#[derive(Clone)]
pub struct FasterLog {
    pub(super) core: Arc<Core>,
    opened: Arc<Opened>,
}

/// What ends when the last handle is gone.
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
    /// Opens the log in `path`, a directory of its own, with the built-in background executor. If
    /// there is none, it is created; if there is one, its newest commit is recovered, and
    /// [`recovery`](Self::recovery) tells of it.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds, `InUse` if another has the directory
    /// open, `Corrupt` if something is damaged that was durable, `Unsupported` for a directory of
    /// another format or of a store, `AlreadyExists` for files that are no log's, `Io`,
    /// `StorageFull`. What is there is left as it is.
    ///
    /// # Cancel safety
    /// A directory that was being created may be left with a lock file in it. A recovery that was
    /// begun is done again by the next opening.
    pub async fn open(path: impl AsRef<Path>, config: LogConfig) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Opens with components of one's own: a runtime, a directory.
    pub fn builder(config: LogConfig) -> LogBuilder {
        LogBuilder::new(config)
    }

    pub(super) fn new(core: Arc<Core>, ending: Arc<Ending>, recovery: Option<LogRecovery>) -> Self {
        Self { core, opened: Arc::new(Opened { ending, recovery }) }
    }

    /// See [`Ending::check_maintained`].
    pub(super) fn check_maintained(&self) -> Result<()> {
        self.opened.ending.check_maintained()
    }

    /// How the log came back when it was opened; `None` if it was created.
    #[must_use]
    pub fn recovery(&self) -> Option<&LogRecovery> {
        self.opened.recovery.as_ref()
    }

    /// Appends an entry; ready at once unless memory is full of entries that are not yet written.
    /// Returns where it is. Entries larger than a page go in pieces, in one step; half of the
    /// memory is the limit.
    ///
    /// # Errors
    /// `InvalidArgument` for an entry that is too large, `StorageFull` while the device is,
    /// `AddressesExhausted` when the log has come to the end of them, after 2^48 bytes with pages
    /// of 4 KiB and 2^61 with pages of 32 MiB, `Poisoned`, `Completed`, `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it is ready it has appended nothing.
    pub fn append<'a>(&'a self, entry: &'a [u8]) -> Append<'a> {
        Append::new(self, entry)
    }

    /// Appends an entry if there is room for it now.
    ///
    /// # Errors
    /// `Busy` if there is none: [`wait_for_room`](Self::wait_for_room), or try again after a
    /// commit. Others as [`append`](Self::append).
    pub fn try_append(&self, entry: &[u8]) -> Result<LogAddress> {
        self.core.attempt(entry)?.map_err(|blocked| self.core.busy(blocked))
    }

    /// Appends entries, one behind the other with nothing between them. All of them are appended,
    /// or none; so it is after a crash. Returns where they are.
    ///
    /// # Errors
    /// As [`append`](Self::append), for all of them together.
    ///
    /// # Cancel safety
    /// Dropped before it is ready it has appended nothing.
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

    /// Appends an entry and waits until it is durable. Who waits meanwhile shares the write and the
    /// sync. Asks for a commit, unless [`LogConfig::commit_every`] sees to it that there will be
    /// one.
    ///
    /// # Errors
    /// As [`append`](Self::append). After an error of the device nobody knows whether the entry
    /// will be there.
    ///
    /// # Cancel safety
    /// Dropped before it is ready it has appended the entry, or not.
    pub async fn append_durable(&self, entry: &[u8]) -> Result<LogAddress> {
        let address = self.append(entry).await?;
        if self.core.config.commit_every.is_none() {
            self.core.commits.request(Address::new(address.raw() + 1), 0);
        }
        self.core.durable_at(address.inner()).await?;
        Ok(address)
    }

    /// Makes everything durable that was appended before: await the request, or say first what the
    /// commit is to be like. Requests that come while commits are on their way share the next one.
    ///
    /// # Errors
    /// `StorageFull` while the device is full: the commit is made when there is space.
    /// `Poisoned` if a write or sync has failed: every request fails with the first cause, and only
    /// opening again helps. `InvalidArgument` for a number that was given already or a cookie that
    /// is too long. `Closed`.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
    pub fn commit(&self) -> CommitRequest<'_> {
        CommitRequest::new(self)
    }

    /// Waits until the entry at `address`, and so everything before it, is durable. Asks for no
    /// commit: somebody else does, or the settings.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); `Completed` if the log ends before that address.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn wait_for_commit(&self, address: LogAddress) -> Result<()> {
        self.core.durable_at(address.inner()).await
    }

    /// The newest durable commit.
    #[must_use]
    pub fn last_commit(&self) -> Commit {
        self.core.commits.settled().0.commit()
    }

    /// The first entry that there is, or the place of the next one.
    #[must_use]
    pub fn begin(&self) -> LogAddress {
        self.core.source.begin.load().into()
    }

    /// Entries below this address are durable.
    #[must_use]
    pub fn committed(&self) -> LogAddress {
        self.core.source.durable.load().into()
    }

    /// Entries that are appended from now on are here or behind.
    #[must_use]
    pub fn end(&self) -> LogAddress {
        self.core.live().log.tail_address().into()
    }

    /// The committed entries that begin in `range`, in order, as of when the scan is polled first.
    ///
    /// A range may begin anywhere where an entry was, is or will be: at a truncated one it begins
    /// with the first that is left, at or behind the end it is empty. Where no entry begins the
    /// scan gives one error, of kind `InvalidArgument`, and ends; a range that excludes its start
    /// begins with the next entry. The end of a range may be any address.
    pub fn scan(&self, range: impl RangeBounds<LogAddress>) -> Scan {
        let terms = Terms { end: end_of(&range), follow: false, uncommitted: false };
        self.read_from(Start::of(&range), terms)
    }

    /// Entries from now on, as they are committed; ends when the log is
    /// [completed](Self::complete).
    pub fn tail(&self) -> Scan {
        self.tail_from(self.committed())
    }

    /// All entries from `address` on, and then those that are committed later. An address where no
    /// entry begins, or beyond the [end](Self::end), gives one error, as of [`scan`](Self::scan).
    pub fn tail_from(&self, address: LogAddress) -> Scan {
        self.follow_from(Start::At(address.inner()))
    }

    pub(super) fn follow_from(&self, start: Start) -> Scan {
        let end = LogAddress::MAX.inner();
        self.read_from(start, Terms { end, follow: true, uncommitted: false })
    }

    fn read_from(&self, start: Start, terms: Terms) -> Scan {
        let reader = Reader::new(Arc::clone(&self.core.source), start, terms);
        Scan::new(reader, Some(self.clone()))
    }

    /// The entry at `address`; `None` if it was truncated, or none is there yet. It need not be
    /// committed.
    ///
    /// # Errors
    /// `InvalidArgument` if no entry begins there, `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn read(&self, address: LogAddress) -> Result<Option<Bytes>> {
        let entry = self.entry_at(address.inner()).await?;
        Ok(entry.map(|entry| entry.payload))
    }

    /// The first committed entry that begins at `address` or behind it, whatever is there; `None`
    /// if there is none.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn read_at_or_after(&self, address: LogAddress) -> Result<Option<LogEntry>> {
        let end = LogAddress::MAX.inner();
        let terms = Terms { end, follow: false, uncommitted: false };
        self.read_from(Start::Near(address.inner()), terms).next().await.transpose()
    }

    /// The last committed entry; `None` if there is none.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn last(&self) -> Result<Option<LogEntry>> {
        self.core.source.last().await
    }

    /// That a frame begins at `address`, which is below the end.
    pub(super) async fn frame_at(&self, address: Address) -> Result<()> {
        // Padding and records of commits are where entries may begin, too.
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
            // It was truncated meanwhile.
            Some(Ok(_)) | None if is_gone() => Ok(None),
            Some(Ok(_)) | None => Err(no_entry(address)),
            Some(Err(error)) => Err(error),
        }
    }

    /// What a scan of the one address finds.
    async fn first_at(&self, address: Address) -> Option<Result<LogEntry>> {
        let end = Address::new(address.raw() + 1);
        let terms = Terms { end, follow: false, uncommitted: true };
        self.read_from(Start::At(address), terms).next().await
    }

    /// Takes no more entries, and commits those that there are. Readers end when they have read
    /// them. A completed log stays so when it is opened again.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); then entries are refused all the same.
    ///
    /// # Cancel safety
    /// Once begun it may take effect when the future is dropped. Call it again.
    pub async fn complete(&self) -> Result<Commit> {
        // A guard that a thread of the parent had is never given back in a child.
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

    /// What the log has done and holds.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        LogStats::of(&self.core)
    }

    /// What is wrong with the device under the log now, if anything.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::new(self.core.live().log.health().cause(), None)
    }

    /// Commits, brings the manifest up to date, and closes the log: for every handle. The directory
    /// is free afterwards. Closing twice, or twice at once, is fine: each call waits for the same
    /// end and gives the same result.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); the log is closed all the same, and its directory free.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
    pub async fn close(&self) -> Result<()> {
        self.opened.ending.close().await
    }
}

pub(super) fn end_of(range: &impl RangeBounds<LogAddress>) -> Address {
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
