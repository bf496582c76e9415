//! The public handle of a log.

use super::Address;
use super::append::future::{Append, Appended};
use super::commit::request::CommitRequest;
use super::commit::state::Commit;
use super::inner::LogInner;
use super::lifecycle::LogLifecycle;
use super::read::entry::Entry;
use super::read::last;
use super::read::lookup::Lookup;
use super::read::options::ScanOptions;
use super::read::reader::Reader;
use super::read::scan::Scan;
use super::read::start::Start;
use super::recover::report::Recovery;
use super::stats::Stats;
use super::truncate::truncation::Truncation;
use crate::base::error::Result;
use crate::base::health::Health;
use bytes::Bytes;
use std::fmt;
use std::ops::RangeBounds;
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
/// # use kvick::{log, FasterLog};
/// # use kvick::config::Backend;
/// # use futures::StreamExt;
/// # kvick::runtime::block_on(async {
/// let config = log::Config::default().with_backend(Backend::Memory);
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
    pub(crate) inner: Arc<LogInner>,
    lifecycle: Arc<LogLifecycle>,
}

impl FasterLog {
    pub(crate) fn new(inner: Arc<LogInner>, lifecycle: LogLifecycle) -> Self {
        Self { inner, lifecycle: Arc::new(lifecycle) }
    }

    /// See [`LogLifecycle::check_maintained`].
    pub(crate) fn check_maintained(&self) -> Result<()> {
        self.lifecycle.check_maintained()
    }

    /// Ends the log without a commit, as the drop of its last handle does.
    pub(crate) fn forsake(&self) {
        self.lifecycle.forsake();
    }

    /// Returns the report of the recovery; `None` if the log was created.
    #[must_use]
    pub fn recovery(&self) -> Option<&Recovery> {
        self.lifecycle.recovery()
    }

    /// Appends an entry and returns its address. Waits only while memory is full of entries that
    /// are not yet written. An entry larger than a page is split into pieces, but appended in one
    /// step. The largest entry has almost half of the memory.
    ///
    /// # Errors
    /// `InvalidArgument` for an entry that is too large, `StorageFull` while the device is full.
    /// `AddressesExhausted` when the log has no more addresses: after 2^48 bytes with pages of 4
    /// KiB and 2^61 with pages of 32 MiB. `Poisoned`, `Completed`, `Closed`.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub fn append<'a>(&'a self, entry: &'a [u8]) -> Append<'a> {
        Append::new(&self.inner.appender, entry)
    }

    /// Appends an entry if there is space for it now.
    ///
    /// # Errors
    /// `Busy` if there is none: call [`wait_for_room`](Self::wait_for_room), or try again after a
    /// commit. Others as [`append`](Self::append).
    pub fn try_append(&self, entry: &[u8]) -> Result<Address> {
        self.inner.appender.append_now(entry)
    }

    /// Appends entries in sequence, with no other entry between them, and returns their addresses.
    /// All of them are appended, or none. This holds after a crash too.
    ///
    /// # Errors
    /// As [`append`](Self::append), for all of them together.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub async fn append_many<E: AsRef<[u8]> + Sync>(&self, entries: &[E]) -> Result<Vec<Address>> {
        self.inner.appender.append_many(entries).await
    }

    /// Appends an entry like [`append`](Self::append). Also returns the address where the log
    /// continues after the entry.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub async fn append_entry(&self, entry: &[u8]) -> Result<Appended> {
        let address = self.append(entry).await?;
        let frames = self.inner.appender.frames();
        let next = frames.end_of_entry(address.inner(), entry.len()).into();
        Ok(Appended { address, next })
    }

    /// Waits until there is space for an entry of `bytes` bytes, and appends nothing. Then
    /// [`try_append`](Self::try_append) succeeds, unless another task uses the space first. For
    /// callers that must announce in advance whether they can take an entry.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn wait_for_room(&self, bytes: usize) -> Result<()> {
        self.inner.appender.wait_for_space(bytes).await
    }

    /// Appends an entry and waits until it is durable. Concurrent callers share the write and the
    /// sync. Requests a commit, unless
    /// [`log::Config::commit_every`](crate::log::Config::commit_every) is set and causes one.
    ///
    /// # Errors
    /// As [`append`](Self::append). After any error of the commit, `StorageFull` too, the entry is
    /// in the log already: appending it again adds a second one. Wait for the next
    /// [`commit`](Self::commit) to succeed instead; it makes the entry durable. After an error of
    /// the device it is unknown whether the entry is durable.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready may have appended the entry.
    pub async fn append_durable(&self, entry: &[u8]) -> Result<Address> {
        self.inner.make_durable(self.append(entry).await?).await
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
        CommitRequest::new(&self.inner)
    }

    /// Stores these bytes, at most 512, with the next commit of any cause. Later commits keep them
    /// until another cookie is set. It requests no commit.
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many bytes, `Completed`, `Poisoned`, `Closed`.
    pub fn set_cookie(&self, cookie: &[u8]) -> Result<()> {
        self.inner.committer.set_cookie(cookie)
    }

    /// Waits until the entry at `address`, and so every entry before it, is durable. It requests no
    /// commit: another caller or the settings must do so.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); `Completed` if the log ends before that address.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn wait_for_commit(&self, address: Address) -> Result<()> {
        self.inner.committer.wait_for_entry(address.inner()).await
    }

    /// Returns the newest durable commit.
    #[must_use]
    pub fn last_commit(&self) -> Commit {
        self.inner.committer.committed().commit()
    }

    /// Returns the address of the first entry, or of the next entry if the log is empty.
    #[must_use]
    pub fn begin_address(&self) -> Address {
        self.inner.view.range().begin().into()
    }

    /// Returns the end of the newest commit. Entries below this address are durable.
    #[must_use]
    pub fn committed_until(&self) -> Address {
        self.inner.committer.committed().until().into()
    }

    /// Returns the end of the log. Entries appended from now on are at this address or after it.
    #[must_use]
    pub fn tail_address(&self) -> Address {
        self.inner.memory.log().tail_address().into()
    }

    /// Returns the committed entries that begin in `range`, in order, as of the first poll of the
    /// scan.
    ///
    /// A range may begin at the address of any past, present or future entry. A range from a
    /// truncated entry begins with the first remaining entry. A range from the end of the log, or
    /// after it, is empty. If no entry begins at the start, the scan returns one error of kind
    /// `InvalidArgument` and ends. A range that excludes its start begins with the next entry. The
    /// end of a range may be any address.
    pub fn scan(&self, range: impl RangeBounds<Address>) -> Scan {
        let options =
            ScanOptions { end: Address::end_of(&range), follow: false, uncommitted: false };
        self.read_from(Start::of(&range), options)
    }

    /// Returns entries from now on, as they are committed. The stream ends when the log is
    /// [completed](Self::complete).
    pub fn follow(&self) -> Scan {
        self.follow_from(self.committed_until())
    }

    /// Returns all entries from `address` on, and later entries as they are committed. The stream
    /// returns one error, as [`scan`](Self::scan) does, if no entry begins at `address` or if it is
    /// beyond the [tail](Self::tail_address).
    pub fn follow_from(&self, address: Address) -> Scan {
        self.read_on_from(Start::At(address.inner()))
    }

    pub(crate) fn read_on_from(&self, start: Start) -> Scan {
        let end = Address::MAX.inner();
        self.read_from(start, ScanOptions { end, follow: true, uncommitted: false })
    }

    /// Returns the entries that begin at any `address` or after it, and later ones as they are
    /// committed. Ends with `Truncated` where it would miss one.
    pub(crate) fn follow_all_from(&self, address: Address) -> Scan {
        self.read_on_from(Start::Kept(address.inner())).fail_on_truncated()
    }

    /// Returns the end of the last entry that begins below `address`; `None` if there is none.
    pub(crate) async fn end_before(&self, address: Address) -> Result<Option<Address>> {
        let last = last::last_before(&self.inner.view, address.inner()).await?;
        Ok(last.map(|entry| entry.next))
    }

    fn read_from(&self, start: Start, options: ScanOptions) -> Scan {
        let reader = Reader::new(Arc::clone(&self.inner.view), start, options);
        Scan::new(reader, Some(Arc::clone(&self.lifecycle)))
    }

    /// Returns the entry at `address`; `None` if it was truncated, or does not exist yet. The entry
    /// need not be committed.
    ///
    /// # Errors
    /// `InvalidArgument` if no entry begins there, `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn read(&self, address: Address) -> Result<Option<Bytes>> {
        let entry = Lookup::new(&self.inner.view).at(address.inner()).await?;
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
    pub async fn read_at_or_after(&self, address: Address) -> Result<Option<Entry>> {
        Lookup::new(&self.inner.view).at_or_after(address.inner()).await
    }

    /// Returns the last committed entry; `None` if there is none.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn last(&self) -> Result<Option<Entry>> {
        last::last(&self.inner.view).await
    }

    /// Removes the entries below `address`: an address of an entry, a
    /// [`log::Entry::next`](crate::log::Entry::next) or the end. Readers no longer see them. A
    /// file is deleted after all of its entries are removed and the removal is durable.
    ///
    /// The next commit makes the removal durable. Every commit requested afterwards contains it,
    /// and a commit in flight may contain it. The removal itself requests no commit. So call
    /// [`commit()`](Self::commit) afterwards for a permanent removal; without it, the entries are
    /// back after a crash. On a full medium no commit can be written. There the removal becomes
    /// durable by itself, up to the newest commit, and the deleted files free space.
    ///
    /// Named iterators do not delay the removal: their owner decides.
    ///
    /// # Errors
    /// `InvalidArgument` if no entry begins there, others as [`read`](Self::read). An address that
    /// is truncated already changes nothing.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready may have removed the entries.
    pub async fn truncate_until(&self, address: Address) -> Result<()> {
        Truncation::new(&self.inner).of_prefix(address.inner()).await
    }

    /// Removes the entries from `address` to the current end, and makes the removal durable. A
    /// consensus log does so with entries that were never agreed on. Readers that have not reached
    /// the entries no longer see them. The addresses are not used again.
    ///
    /// # Errors
    /// As [`truncate_until`](Self::truncate_until) and [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// A removal that was begun continues when the future is dropped.
    pub async fn truncate_suffix(&self, address: Address) -> Result<Commit> {
        Truncation::new(&self.inner).of_suffix(address.inner()).await
    }

    /// Closes the log to new entries permanently, and commits the existing ones. Readers end after
    /// the last entry. A completed log stays completed when it is opened again, and nothing
    /// reverses it. Use [`close`](Self::close) to end only this opening.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). Even after an error, the log takes no more entries.
    ///
    /// # Cancel safety
    /// A dropped future may have completed the log. Call it again.
    pub async fn complete(&self) -> Result<Commit> {
        self.inner.complete().await
    }

    /// Returns statistics of the log.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.inner)
    }

    /// Returns the current fault of the device under the log, if there is one.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::new(self.inner.memory.health().cause(), None)
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
        self.lifecycle.close().await
    }
}

impl fmt::Debug for FasterLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FasterLog")
            .field("begin_address", &self.begin_address())
            .field("committed_until", &self.committed_until())
            .field("tail_address", &self.tail_address())
            .finish_non_exhaustive()
    }
}
