//! The store as its users hold it: a handle, and how it is opened.

use crate::builder::Builder;
use crate::checkpoint::{
    CheckpointInfo, CheckpointRequest, CheckpointToken, Checkpoints, Job, Removal, Reply,
};
use crate::codec::{Key, Value};
use crate::config::Config;
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::futures::{
    CompareAndSwap, Contains, Delete, InsertIfAbsent, Read, ReadWith, Rmw, TryRead, Upsert,
};
use crate::health::Health;
use crate::recovery::RecoveryReport;
use crate::session::{Session, operations};
use crate::statistics::Stats;
use crate::store::Core;
use crate::store::Types;
use crate::store::access::Access;
use crate::store::batch;
use crate::store::changes::{Insert, Swap, Update};
use crate::store::delete::Delete as DeleteOperation;
use crate::store::identity::{CommitPoint, SessionId};
use crate::store::modify::Modify;
use crate::store::operation::Running;
use crate::store::read::{Exists, Owned, Read as ReadOperation, Viewed};
use crate::store::upsert::Upsert as UpsertOperation;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument;

/// A larger-than-memory key-value store: a cheap handle, `Clone + Send + Sync`.
///
/// Operations on the handle borrow a place in the epoch table for each poll and carry no order
/// among themselves; a [`Session`] has a place of its own and is a sequence.
///
/// # Code within operations
/// Closures, views and [codecs](crate::Value) run within the poll of their operation, in which the
/// store can free no memory and end no version. They must not block, and must not wait for the
/// store: not for a [`checkpoint`](Self::checkpoint), [`flush`](Self::flush) or
/// [`close`](Self::close), nor with `block_on` for an operation that may wait for a device or for
/// room. A closure that does may stop all writers for ever. Operations that are ready at once, and
/// [`try_read`](Self::try_read), may be used in there, of this store, too.
///
/// # Forked processes
/// A child that is forked without an exec has a copy of what the store has in memory, and none of
/// the threads that work for it. Whatever needs a file, room or maintenance fails there with an
/// error that says so, and [`close`](Self::close) ends the copy; what was written to the copy is
/// lost with the child. The child may open stores of its own. (A lock of the C library or of this
/// one that another thread held during the fork is never given back in the child, which no store
/// can help: fork before there are threads, or exec.)
///
/// # Durability
/// What is in a [`checkpoint`](Self::checkpoint) is there again when the store is opened next.
/// [`close`](Self::close) takes a last one. Dropping the last handle and session ends the store in
/// the background, without one: as a crash would.
///
/// ```
/// # use kvick::{Backend, Config, FasterKv};
/// # kvick::runtime::block_on(async {
/// let config = Config::default().with_backend(Backend::Memory);
/// let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// let mut session = store.session()?;
/// session.upsert(&42, &100).await?;
/// session.rmw(&42, |v| v.unwrap_or(0) + 1).await?;
/// assert_eq!(session.read(&42).await?, Some(101));
/// session.delete(&42).await?;
/// assert_eq!(session.read_many(&[1, 42]).await?, [None, None]);
/// # drop(session);
/// store.close().await
/// # }).unwrap();
/// ```
pub struct FasterKv<K: Key + ?Sized, V: Value + ?Sized> {
    core: Arc<Core>,
    opened: Arc<Opened>,
    _types: Types<K, V>,
}

/// What ends when the last handle and session are gone.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) report: Option<RecoveryReport>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.ending.forsaken();
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Opens the store in `path`, a directory of its own, with the built-in background executor. If
    /// there is none, it is created; if there is one, its newest checkpoint is recovered, and
    /// [`recovery`](Self::recovery) tells of it.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds or of another store, `InUse` if another
    /// store has the directory open, `Corrupt` if the newest checkpoint is damaged (see
    /// [`Config::allow_fallback`]), `Unsupported` for a store of another format, `AlreadyExists`
    /// where there is no store and there are files of others (directories and hidden files aside),
    /// `Io`, `StorageFull`. What is there is left as it is.
    ///
    /// # Cancel safety
    /// A directory that was being created may be left with a lock file in it. A recovery that was
    /// begun is done again by the next opening.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// As [`open`](Self::open), with the checkpoint that `token` names. Newer ones are given up.
    ///
    /// # Errors
    /// As [`open`](Self::open); `InvalidArgument` if the store has no such checkpoint.
    ///
    /// # Cancel safety
    /// As [`open`](Self::open).
    pub async fn recover(
        path: impl AsRef<Path>,
        config: Config,
        token: CheckpointToken,
    ) -> Result<Self> {
        Self::builder(config).recover(token).open(path).await
    }

    /// Opens with components of one's own: a runtime, a directory, a seed.
    pub fn builder(config: Config) -> Builder<K, V> {
        Builder::new(config)
    }

    pub(crate) fn new(core: Arc<Core>, opened: Arc<Opened>) -> Self {
        Self { core, opened, _types: PhantomData }
    }

    /// A session: a sequence of operations for one task. It leaves nothing behind when it is
    /// dropped, unless it was asked for its [`id`](Session::id).
    ///
    /// # Errors
    /// `Closed`.
    pub fn session(&self) -> Result<Session<K, V>> {
        let seat = self.core.seat()?;
        Ok(Session::new(Arc::clone(&self.core), seat, Arc::clone(&self.opened)))
    }

    /// Goes on with a session that waits: one that had an [`id`](Session::id) when the store ended,
    /// or when it was dropped. The numbers of its operations go on where the checkpoint has it, so
    /// each number is done once, over any number of crashes, if its user
    ///
    /// * keeps what each number stands for until a durable
    ///   [commit point](Session::commit_point) [covers](CommitPoint::covers) it: also numbers below
    ///   [`until`](CommitPoint::until) that it excludes, and
    /// * does what [`next_serial`](Session::next_serial) stands for, until there is nothing left.
    ///
    /// Numbers that the commit point excludes come first, the lowest before the others, whatever is
    /// done: a request that is new must wait until they are done, or it is counted as one of them.
    /// They are keys of an [`rmw_many`](Session::rmw_many) that waited for the device at that
    /// moment, or that were left undone when it was dropped or failed.
    ///
    /// A session of which the recovered checkpoint has nothing does not wait: all that it had done
    /// is gone, so a [new one](Self::session) begins with number 1. To go back to an
    /// [older checkpoint](Self::recover) one day, keep what that one does not cover.
    ///
    /// ```
    /// # use kvick::{Backend, Config, FasterKv};
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// # let mut session = store.session()?;
    /// # let id = session.id();
    /// # session.upsert(&1, &1).await?;
    /// # drop(session);
    /// // Request number n adds n to the key n % 10.
    /// let mut session = store.resume_session(id)?;
    /// while session.next_serial() <= 500 {
    ///     let n = session.next_serial();
    ///     session.rmw(&(n % 10), |sum| sum.unwrap_or(0) + n).await?;
    /// }
    /// // The same in batches.
    /// while session.next_serial() <= 1000 {
    ///     let mut numbers = session.next_serials(64);
    ///     numbers.retain(|n| *n <= 1000);
    ///     let keys: Vec<u64> = numbers.iter().map(|n| n % 10).collect();
    ///     let add = |place: usize, sum: Option<u64>| sum.unwrap_or(0) + numbers[place];
    ///     session.rmw_many(&keys, add).await?;
    /// }
    /// # assert_eq!(session.serial(), 1000);
    /// # drop(session);
    /// # let mut sum = 0;
    /// # for key in 0..10 {
    /// #     sum += store.read(&key).await?.unwrap_or(0);
    /// # }
    /// # assert_eq!(sum, 1000 * 1001 / 2);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if no session of that id waits to be resumed, `Closed`.
    pub fn resume_session(&self, id: SessionId) -> Result<Session<K, V>> {
        let seat = self.core.resumed_seat(id)?;
        Ok(Session::new(Arc::clone(&self.core), seat, Arc::clone(&self.opened)))
    }

    /// Sessions that wait to be resumed, and where each goes on: those that checkpoints had when
    /// the store was opened, and those that were dropped since, but for the resumed and forgotten.
    pub fn recovered_sessions(&self) -> BTreeMap<SessionId, CommitPoint> {
        self.core.sessions.waiting()
    }

    /// Gives up a session that waits to be resumed; whether there was one. The next checkpoint no
    /// longer has it; until then every checkpoint keeps it, also over any number of openings.
    pub fn forget_session(&self, id: SessionId) -> bool {
        self.core.sessions.forget_one(id)
    }

    /// Gives up the sessions that wait to be resumed for which `is_over` holds; how many.
    ///
    /// A service whose clients may never come back bounds what it keeps by age, in checkpoints:
    ///
    /// ```
    /// # use kvick::{Backend, Config, FasterKv};
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// let newest = store.checkpoint().await?.token.version();
    /// store.forget_sessions(|_id, point| point.version + 1000 < newest);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn forget_sessions(&self, is_over: impl FnMut(SessionId, &CommitPoint) -> bool) -> usize {
        self.core.sessions.forget(is_over)
    }

    /// How the store came back when it was opened; `None` if it was created.
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        self.opened.report.as_ref()
    }

    /// Makes the store as it is durable, while operations go on: await the request, or say first
    /// what the checkpoint is to be like.
    ///
    /// A checkpoint has of each session everything up to some operation and nothing after it; what
    /// was done through handles is in it if it ended before the checkpoint was asked for.
    ///
    /// Do not wait for it within the closure of an operation: it waits for the operation to end.
    pub fn checkpoint(&self) -> CheckpointRequest<'_> {
        CheckpointRequest::new(&self.opened.checkpoints)
    }

    /// The checkpoints that are kept, oldest first.
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.opened.checkpoints.list()
    }

    /// Removes a checkpoint, and the files that only it needs.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such one, if it is the newest (sessions count on what is
    /// durable in it), or if there is no other that survives power cuts; `Busy`
    /// while a checkpoint is being taken; `StorageFull`, which a full device alone is no reason
    /// for; `Poisoned`; `Closed`.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
    pub async fn delete_checkpoint(&self, token: CheckpointToken) -> Result<()> {
        self.remove_checkpoints(Removal::One(token)).await
    }

    /// Removes all but the `keep` newest checkpoints.
    ///
    /// # Errors
    /// As [`delete_checkpoint`](Self::delete_checkpoint); `InvalidArgument` if `keep` is 0.
    ///
    /// # Cancel safety
    /// As [`delete_checkpoint`](Self::delete_checkpoint).
    pub async fn prune_checkpoints(&self, keep: usize) -> Result<()> {
        if keep == 0 {
            return Err(Error::invalid("keep = 0: the last checkpoint is never removed"));
        }
        self.remove_checkpoints(Removal::AllBut(keep)).await
    }

    async fn remove_checkpoints(&self, which: Removal) -> Result<()> {
        let (reply, answer) = Reply::new(&self.core);
        self.opened.checkpoints.submit(Job::Remove { which, reply })?;
        answer.await.unwrap_or_else(|_cancelled| Err(Error::closed()))
    }

    /// Writes everything to the device and waits until it is there. Records written before stay in
    /// memory but are no longer updated in place.
    ///
    /// What it leaves is no checkpoint: it is not found again when the store is opened. As of a
    /// checkpoint, do not wait for it within the closure of an operation.
    ///
    /// # Errors
    /// `StorageFull`, `Poisoned`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The writing goes on.
    pub async fn flush(&self) -> Result<()> {
        let span = tracing::debug_span!(target: "kvick::flush", "flush");
        self.core.flush().instrument(span).await
    }

    /// Like [`flush`](Self::flush), and leaves none of it in memory: the next read of each key
    /// awaits the device.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The writing goes on.
    pub async fn flush_and_evict(&self) -> Result<()> {
        let span = tracing::debug_span!(target: "kvick::flush", "flush_and_evict");
        self.core.flush_and_evict().instrument(span).await
    }

    /// Takes a last checkpoint if anything has changed since the newest one that survives power
    /// cuts, or that was removed (see [`Config::checkpoint_on_close`]), refuses every operation
    /// from then on, and waits until the store has let go of its directory. All handles and
    /// sessions of the store are closed by this. Closing twice, or twice at once, is fine: each
    /// call waits for the same end and gives the same result.
    ///
    /// Operations that end while it closes may or may not be in the last checkpoint.
    ///
    /// # Errors
    /// Of the checkpoint; the store is closed all the same, and its directory free. `Poisoned` if
    /// there was nothing left that could take one: a write had failed, or the runtime had ended.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
    pub async fn close(&self) -> Result<()> {
        self.opened.ending.close().await
    }

    /// What the store has done and holds.
    pub fn stats(&self) -> Stats {
        Stats { checkpoints: self.opened.checkpoints.stats(), ..self.core.stats() }
    }

    /// What is wrong now, if anything: with the device under the store, and with its checkpoints.
    /// Those that are taken by time or by growth of the log have nobody else to tell.
    pub fn health(&self) -> Health {
        let failure = self.opened.checkpoints.failure();
        Health::new(self.core.log.health().cause(), failure)
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    #[inline(always)]
    fn access(&self) -> Access<'_> {
        Access::pooled(&self.core)
    }

    operations!(self, &'a Self, &Self);
}

impl<K: Key + ?Sized, V: Value + ?Sized> Clone for FasterKv<K, V> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.core), Arc::clone(&self.opened))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for FasterKv<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("FasterKv");
        debug.field("key", &K::type_name()).field("value", &V::type_name());
        debug.field("log_end", &self.core.log_end()).finish_non_exhaustive()
    }
}
