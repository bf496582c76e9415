//! Sessions, their identities, and the answers of operations.

mod batches;
mod expiry;
mod iterators;
mod operations;
mod place;
mod whole;

pub use crate::store::answers::{Previous, Update};
pub use crate::store::expiry::Expiry;
pub use crate::store::sessions::identity::CommitPoint;
pub use crate::store::sessions::identity::Offset;
pub use crate::store::sessions::identity::SessionId as Id;
pub use crate::store::sessions::serials::Serials;
pub use place::{Borrowed, Owned, Place};
pub use whole::WriteBatch;

use crate::base::error::{Error, Result};
use crate::codec::{Key, Value};
use crate::config::Acknowledge;
use crate::lifecycle::StoreLifecycle;
use crate::store::context::ExecutionContext;
use crate::store::operation::store_ref::StoreRef;
use crate::store::sessions::state::SessionState;
use crate::store::{TableInner, Types};
use place::{Access, Account, Table};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sequence of operations of one task: cheap, `Send`, not `Sync`.
///
/// Operations borrow the session, so at most one is in flight. An operation that is dropped, leaked
/// or never polled again blocks no other task. For concurrency within a task use the `*_many`
/// operations, the operations of [`FasterKv`](crate::FasterKv) itself, or more sessions.
///
/// # Identity
/// A session numbers its operations. A checkpoint tells for each session up to which number it
/// contains them. A session whose [`id`](Self::id) was requested can be resumed after a crash, or
/// after it was dropped. [`FasterKv::resume_session`](crate::FasterKv::resume_session) continues
/// it. It is kept until it is [forgotten](crate::FasterKv::forget_session). A session whose id was
/// never requested leaves nothing.
///
/// A session yields to its executor after some hundreds of operations that were ready at once. So a
/// loop of hits starves no other task.
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::config::Backend;
/// # kvick::runtime::block_on(async {
/// let store: FasterKv<str, u64> =
///     FasterKv::open("unused", Config::default().with_backend(Backend::Memory)).await?;
/// let mut session = store.session()?;
/// session.upsert("apples", &3).await?;
/// session.rmw("apples", |count| count.unwrap_or(0) + 1).await?;
/// assert_eq!(session.read("apples").await?, Some(4));
/// session.delete("apples").await?;
/// assert!(!session.contains("apples").await?);
/// # drop(session);
/// # store.close().await
/// # }).unwrap();
/// ```
///
/// # Tables
/// A session begins on the table of its handle, and works [on](Self::on) every other table of the
/// same [`Database`](crate::Database) too. Its operations on all tables are one sequence. A handle
/// of any of these tables can resume it.
pub struct Session<K: Key + ?Sized, V: Value + ?Sized, P = Owned> {
    place: P,
    _types: Types<K, V>,
}

/// A [`Session`] that works on another table than its own, by [`Session::on`].
pub type TableSession<'s, K, V> = Session<K, V, Borrowed<'s>>;

impl<K: Key + ?Sized, V: Value + ?Sized> Session<K, V> {
    pub(crate) fn new(
        core: Arc<TableInner>,
        seat: (ExecutionContext, Arc<SessionState>),
        lifecycle: Arc<StoreLifecycle>,
    ) -> Self {
        Self { place: Owned::new(core, seat, lifecycle), _types: PhantomData }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, P: Place> Session<K, V, P> {
    /// Returns this session for operations on another table of the same store.
    ///
    /// # Errors
    /// `InvalidArgument` for a table of another store.
    pub(crate) fn on_table<'s, K2: Key + ?Sized, V2: Value + ?Sized>(
        &'s mut self,
        table: &'s TableInner,
    ) -> Result<TableSession<'s, K2, V2>> {
        let Account(own, _) = self.place.account();
        if !Arc::ptr_eq(own.store(), table.store()) {
            let what = "the table belongs to another store";
            return Err(Error::invalid(format!(
                "{what}; a session works on those of its own store"
            )));
        }
        Ok(Session { place: self.place.on(Table(table)), _types: PhantomData })
    }

    /// Returns the identity by which the session can be [resumed](crate::FasterKv::resume_session).
    ///
    /// The first call makes checkpoints keep the session. Call it before operations that must not
    /// be lost.
    pub fn id(&self) -> Id {
        let Account(table, ledger) = self.place.account();
        table.sessions.identify(ledger)
    }

    /// Sets the place in the input up to which the operations of this session are done, at most 256
    /// bytes.
    ///
    /// Each checkpoint from now on keeps it, with the [serial number](Self::serial) of the last
    /// operation. A checkpoint that has an offset has all operations before it. A checkpoint that
    /// is taken before the next offset is set may have more of them: `serial() - offset.serial`
    /// after a recovery, if they are operations on one key each. An
    /// [`rmw_many`](Self::rmw_many) or [`insert_many`](Self::insert_many) may leave lower numbers
    /// undone: then [`next_serials`](Self::next_serials) tells which operations after the offset
    /// are left. See [`session_named`](crate::FasterKv::session_named) for their use.
    ///
    /// It gives the session an [id](Self::id) if it has none.
    ///
    /// # Errors
    /// `InvalidArgument` for more than 256 bytes, or if an operation before is undone: the key of a
    /// batch that was dropped or failed. Repeat it first ([`next_serial`](Self::next_serial)).
    pub fn set_offset(&mut self, bytes: &[u8]) -> Result<()> {
        let Account(table, ledger) = self.place.account();
        table.sessions.set_offset(table.phase.version(), ledger, bytes)
    }

    /// Returns the offset that this session set last, before or after it was resumed.
    pub fn offset(&self) -> Option<Offset> {
        self.ledger().offset()
    }

    /// Returns the serial number of the last successful write of this session; 0 if there was none.
    ///
    /// Each successful operation that may change something counts, whether it did or not: `upsert`,
    /// `rmw`, `delete`, `insert_if_absent`, `take` and so on, and each key of their `*_many` forms.
    /// Operations that failed, or were dropped before they took effect, take no number. So the
    /// numbers are 1, 2, 3 and so on. There is one exception: some keys of an
    /// [`rmw_many`](Self::rmw_many) or [`insert_many`](Self::insert_many) may be undone when later
    /// keys are done. The next operations take the numbers of these keys.
    pub fn serial(&self) -> u64 {
        self.ledger().serial()
    }

    /// Returns the number that the next operation takes: the lowest number that is not done.
    ///
    /// It is the number after [`serial`](Self::serial), unless a batch was dropped, failed, or was
    /// interrupted by a crash.
    pub fn next_serial(&self) -> u64 {
        self.ledger().upcoming()
    }

    /// Returns the numbers that a batch of `count` keys takes, in the order of the keys.
    ///
    /// They ascend, but are not always neighbours. Call this before the batch. After a dropped or
    /// failed batch, the numbers of the next operations are the undone numbers. A failed key is
    /// undone, and so are the keys after it in an [`upsert_many`](Self::upsert_many) or
    /// [`delete_many`](Self::delete_many).
    pub fn next_serials(&self, count: usize) -> Vec<u64> {
        self.ledger().upcoming_many(count)
    }

    /// Returns the commit point of this session that is durable: in the newest durable checkpoint,
    /// or in the write-ahead log.
    pub fn commit_point(&self) -> CommitPoint {
        self.ledger().durable()
    }

    /// Makes all operations of this session durable that have ended, by one commit of the
    /// write-ahead log.
    ///
    /// A session with an [id](Self::id) that is recovered after it has all of them, and its
    /// [offset](Self::set_offset).
    ///
    /// # Errors
    /// As for [`FasterKv::sync`](crate::FasterKv::sync).
    ///
    /// # Cancel safety
    /// A commit that was begun continues when the future is dropped.
    pub fn sync(&self) -> impl Future<Output = Result<()>> + Send + use<'_, K, V, P> {
        // This is not an `async fn`: it would hold the session, which is not `Sync`.
        let Account(table, ledger) = self.place.account();
        async move { table.store().sync(Some(ledger)).await }
    }

    /// Sets when the writes of this session are ready from now on: when they have taken effect in
    /// memory, or when they are durable.
    ///
    /// A new session does as the [configuration](crate::Config::acknowledge) says. A single write
    /// can do otherwise: see [`durable`](crate::futures::Upsert::durable) and
    /// [`in_memory`](crate::futures::Upsert::in_memory). A batch waits once, at its end.
    ///
    /// # Errors
    /// `InvalidArgument` if the store has no write-ahead log, and the writes should be durable.
    pub fn set_acknowledge(&mut self, acknowledge: Acknowledge) -> Result<()> {
        self.access().set_acknowledge(acknowledge)
    }

    /// Waits until a durable checkpoint has all present operations of this session. With a
    /// write-ahead log it is [`sync`](Self::sync).
    ///
    /// It takes no checkpoint: another task must take one, or
    /// [`Config::checkpoint_every`](crate::Config::checkpoint_every) must be set.
    ///
    /// # Errors
    /// `Poisoned` and `Closed`, if no such checkpoint can follow. Also the error of a failed
    /// checkpoint that would have had the operations. A retryable error is not returned, since the
    /// next automatic checkpoint may succeed.
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub fn wait_durable(&self) -> impl Future<Output = Result<()>> + Send + use<'_, K, V, P> {
        // This is not an `async fn`: it would hold the session, which is not `Sync`.
        let Account(table, ledger) = self.place.account();
        async move { table.durable(ledger).await }
    }

    #[inline(always)]
    fn access(&mut self) -> StoreRef<'_> {
        let Access(access) = self.place.access();
        access
    }

    fn ledger(&self) -> &SessionState {
        let Account(_, ledger) = self.place.account();
        ledger
    }
}

impl<K, V, P> fmt::Debug for Session<K, V, P>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    P: Place + fmt::Debug,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Session");
        debug.field("id", &self.ledger().id()).field("place", &self.place).finish_non_exhaustive()
    }
}
