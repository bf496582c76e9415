//! Sessions: one task's sequence of operations.

use crate::codec::{Key, Value};
use crate::error::Result;
use crate::futures::{
    CompareAndSwap, Contains, Delete, InsertIfAbsent, Read, ReadWith, Rmw, TryRead, Upsert,
};
use crate::kv::Opened;
use crate::store::access::Access;
use crate::store::batch;
use crate::store::changes::{Insert, Swap, Update};
use crate::store::delete::Delete as DeleteOperation;
use crate::store::identity::{CommitPoint, SessionId};
use crate::store::ledger::Ledger;
use crate::store::modify::Modify;
use crate::store::operation::Running;
use crate::store::read::{Exists, Owned, Read as ReadOperation, Viewed};
use crate::store::seat::Seat;
use crate::store::upsert::Upsert as UpsertOperation;
use crate::store::{Core, Types};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sequence of operations: one per task, cheap, `Send`, not `Sync`.
///
/// Operations borrow the session, so at most one is in flight; an operation that is dropped, leaked
/// or never polled again blocks nobody. For concurrency within a task use the `*_many` operations,
/// those of [`FasterKv`](crate::FasterKv) itself, or more sessions.
///
/// # Identity
/// A session numbers what it does, and a checkpoint has of each session everything up to some
/// number. A session that is asked for its [`id`](Self::id) can be resumed after a crash, or after
/// it was dropped: [`FasterKv::resume_session`](crate::FasterKv::resume_session) goes on where it
/// was. It is kept until it is [forgotten](crate::FasterKv::forget_session). A session that was
/// never asked leaves nothing behind.
///
/// After some hundreds of operations that were ready at once a session yields to its executor once,
/// so that a loop of hits starves no other task.
///
/// ```
/// # use kvick::{Config, FasterKv, Backend};
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
pub struct Session<K: Key + ?Sized, V: Value + ?Sized> {
    core: Arc<Core>,
    seat: Seat,
    ledger: Arc<Ledger>,
    _opened: Arc<Opened>,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> Session<K, V> {
    pub(crate) fn new(
        core: Arc<Core>,
        (seat, ledger): (Seat, Arc<Ledger>),
        opened: Arc<Opened>,
    ) -> Self {
        Self { core, seat, ledger, _opened: opened, _types: PhantomData }
    }

    /// Its identity, by which it can be [resumed](crate::FasterKv::resume_session). Being asked for
    /// the first time makes it one that checkpoints keep: ask before doing what must not be lost.
    pub fn id(&self) -> SessionId {
        self.core.sessions.identify(&self.ledger)
    }

    /// The number of the last operation; 0 if there was none.
    ///
    /// What counts is each operation that may change something and ended well: `upsert`, `rmw`,
    /// `delete`, `insert_if_absent`, `compare_and_swap`, and each key of a `*_many` of those.
    /// Operations that failed, or were dropped before they took effect, take no number. So the
    /// numbers are 1, 2, 3 and so on, unless keys of an [`rmw_many`](Self::rmw_many) were left
    /// undone when others behind them were done: their numbers are taken next.
    pub fn serial(&self) -> u64 {
        self.ledger.serial()
    }

    /// The number that the next operation takes: the lowest that was not done. Without a batch that
    /// was dropped, failed, or was cut off by a crash, the one after [`serial`](Self::serial).
    pub fn next_serial(&self) -> u64 {
        self.ledger.upcoming()
    }

    /// The numbers that the keys of a batch of so many take, in the order of the keys, ascending;
    /// not always neighbours. Ask before the batch: afterwards, if it was dropped or failed, those
    /// that the next operations take are the undone ones. A key that failed, and those behind it in
    /// an [`upsert_many`](Self::upsert_many), are undone as well.
    pub fn next_serials(&self, count: usize) -> Vec<u64> {
        self.ledger.upcoming_many(count)
    }

    /// What the newest durable checkpoint has of it.
    pub fn commit_point(&self) -> CommitPoint {
        self.ledger.durable()
    }

    /// Waits until a durable checkpoint has everything that this session has done so far. Takes
    /// none: somebody else must, or [`Config::checkpoint_every`](crate::Config::checkpoint_every).
    ///
    /// # Errors
    /// `Poisoned` and `Closed`: then it will not happen any more. That of a checkpoint which would
    /// have had it and failed, unless that is retryable: then the next one that is due may do.
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub fn wait_durable(&self) -> impl Future<Output = Result<()>> + Send + use<'_, K, V> {
        // Not an `async fn`, which would hold the session, and that is not `Sync`.
        let (core, ledger) = (&self.core, &self.ledger);
        async move { core.durable(ledger).await }
    }

    #[inline(always)]
    fn access(&mut self) -> Access<'_> {
        Access::seated(&self.core, &mut self.seat)
    }
}

/// Writes the operations once, for sessions and for the handle: they differ in how the store is
/// reached.
macro_rules! operations {
    ($self:ident, $receiver:ty, $borrowed:ty) => {
        /// The newest value of `key`, or `None`.
        ///
        /// Ready at the first poll if the record is in memory; awaits the device otherwise.
        ///
        /// # Errors
        /// `Corrupt` if the stored bytes are not what was written, `Io`, `Codec`, `Closed`.
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        #[inline(always)]
        pub fn read<'a>($self: $receiver, key: &'a K::Item) -> Read<'a, K, V> {
            Read(Running::new($self.access(), ReadOperation::new(key, Owned)))
        }

        /// Shows the newest value of `key` to `look`, in place where it is immutable or a single
        /// word, else from a copy that is kept for the next operation.
        ///
        /// `look` runs at most once, within a poll. If it panics, the panic passes through and the
        /// store is as before. It must not block, nor wait for the store: see
        /// [Code within operations](crate::FasterKv#code-within-operations).
        ///
        /// # Errors
        /// As [`read`](Self::read).
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        #[inline(always)]
        pub fn read_with<'a, F, R>(
            $self: $receiver,
            key: &'a K::Item,
            look: F,
        ) -> ReadWith<'a, K, V, F, R>
        where
            F: FnOnce(V::View<'_>) -> R,
        {
            let viewed = Viewed::new(look);
            ReadWith(Running::new($self.access(), ReadOperation::new(key, viewed)))
        }

        /// Whether `key` has a value.
        ///
        /// # Errors
        /// As [`read`](Self::read).
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        #[inline(always)]
        pub fn contains<'a>($self: $receiver, key: &'a K::Item) -> Contains<'a, K, V> {
            Contains(Running::new($self.access(), ReadOperation::new(key, Exists)))
        }

        /// Reads without any I/O: the answer if it is in memory, else the future that goes to the
        /// device for it.
        #[inline(always)]
        pub fn try_read<'a>($self: $receiver, key: &'a K::Item) -> TryRead<'a, K, V> {
            Read(Running::new($self.access(), ReadOperation::new(key, Owned))).try_now()
        }

        /// Sets the value of `key`, whatever it was. Reads nothing; waits only when the log has no
        /// room, until a page has been written.
        ///
        /// # Errors
        /// `InvalidArgument` for a key or value over the limits, `StorageFull` while there is
        /// neither room in memory nor on the device, `Poisoned` after a failed write, `Codec`,
        /// `Closed`.
        ///
        /// # Cancel safety
        /// Takes effect in the poll that makes it ready, or not at all.
        #[inline(always)]
        pub fn upsert<'a>(
            $self: $receiver,
            key: &'a K::Item,
            value: &'a V::Item,
        ) -> Upsert<'a, K, V> {
            Upsert(Running::new($self.access(), UpsertOperation::new(key, value)))
        }

        /// Replaces the value of `key` by what `update` makes of it, atomically per key.
        ///
        /// `update` gets a copy of the value, or `None`. It is optimistic: it runs without a lock,
        /// and again if another operation changed the value meanwhile; only the last result counts.
        /// Beside writers of the same key a long `update` may run many times. If it panics, the
        /// panic passes through and the value is as before. It must not block, nor wait for the
        /// store: see [Code within operations](crate::FasterKv#code-within-operations).
        ///
        /// # Errors
        /// Those of [`read`](Self::read) and [`upsert`](Self::upsert).
        ///
        /// # Cancel safety
        /// Takes effect in the poll that makes it ready, or not at all.
        #[inline(always)]
        pub fn rmw<'a, F>($self: $receiver, key: &'a K::Item, update: F) -> Rmw<'a, K, V, F>
        where
            F: FnMut(Option<V::Owned>) -> V::Owned,
        {
            Rmw(Running::new($self.access(), Modify::new(key, Update(update))))
        }

        /// Removes `key`, whether it is there or not. Reads nothing.
        ///
        /// # Errors
        /// As [`upsert`](Self::upsert).
        ///
        /// # Cancel safety
        /// Takes effect in the poll that makes it ready, or not at all.
        #[inline(always)]
        pub fn delete<'a>($self: $receiver, key: &'a K::Item) -> Delete<'a, K, V> {
            Delete(Running::new($self.access(), DeleteOperation::new(key)))
        }

        /// Sets the value of `key` if it has none; says whether it did.
        ///
        /// # Errors
        /// Those of [`read`](Self::read) and [`upsert`](Self::upsert).
        ///
        /// # Cancel safety
        /// Takes effect in the poll that makes it ready, or not at all.
        #[inline(always)]
        pub fn insert_if_absent<'a>(
            $self: $receiver,
            key: &'a K::Item,
            value: &'a V::Item,
        ) -> InsertIfAbsent<'a, K, V> {
            InsertIfAbsent(Running::new($self.access(), Modify::new(key, Insert(value))))
        }

        /// Replaces the value of `key` by `new` if it is `expected`; says whether it did. Values
        /// are compared as they are encoded. An absent key has no value to be expected.
        ///
        /// # Errors
        /// Those of [`read`](Self::read) and [`upsert`](Self::upsert).
        ///
        /// # Cancel safety
        /// Takes effect in the poll that makes it ready, or not at all.
        #[inline(always)]
        pub fn compare_and_swap<'a>(
            $self: $receiver,
            key: &'a K::Item,
            expected: &'a V::Item,
            new: &'a V::Item,
        ) -> CompareAndSwap<'a, K, V> {
            let swap = Swap { expected, new };
            CompareAndSwap(Running::new($self.access(), Modify::new(key, swap)))
        }

        /// Reads many keys: prefetched together, cold ones from the device many at once, as
        /// [`Config::depth`](crate::Config::depth) and the memory for I/O allow. The answers are in
        /// the order of the keys. Not one atomic step: each key is read by itself.
        ///
        /// # Errors
        /// As [`read`](Self::read), for the first key that fails.
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        pub async fn read_many<Q>($self: $borrowed, keys: &[Q]) -> Result<Vec<Option<V::Owned>>>
        where
            Q: Borrow<K::Item>,
        {
            batch::read_many::<K, V, Q>($self.access(), keys).await
        }

        /// Sets many values, in their order. Not one atomic step.
        ///
        /// # Errors
        /// As [`upsert`](Self::upsert); the pairs before the failing one are set.
        ///
        /// # Cancel safety
        /// Some first part of the pairs is set.
        pub async fn upsert_many<Q, W>($self: $borrowed, pairs: &[(Q, W)]) -> Result<()>
        where
            Q: Borrow<K::Item>,
            W: Borrow<V::Item>,
        {
            batch::upsert_many::<K, V, Q, W>($self.access(), pairs).await
        }

        /// Modifies many keys, each atomically by itself, as [`rmw`](Self::rmw) does; `update` is
        /// also told the position of the key in `keys`. Several runs of it follow each other
        /// without a pause for the store's maintenance: give long ones to [`rmw`](Self::rmw).
        ///
        /// # Errors
        /// As [`rmw`](Self::rmw), for the first key that fails; others may be modified.
        ///
        /// # Cancel safety
        /// Some of the keys are modified, each once or not at all. A session's numbers for those
        /// that are not are taken by its next operations.
        pub async fn rmw_many<Q, F>($self: $borrowed, keys: &[Q], update: F) -> Result<()>
        where
            Q: Borrow<K::Item>,
            F: FnMut(usize, Option<V::Owned>) -> V::Owned,
        {
            batch::rmw_many::<K, V, Q, F>($self.access(), keys, update).await
        }
    };
}

pub(crate) use operations;

impl<K: Key + ?Sized, V: Value + ?Sized> Session<K, V> {
    operations!(self, &'a mut Self, &mut Self);
}

impl<K: Key + ?Sized, V: Value + ?Sized> Drop for Session<K, V> {
    fn drop(&mut self) {
        self.core.sessions.close(&self.ledger);
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Session<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Session");
        debug.field("id", &self.ledger.id()).field("seat", &self.seat).finish_non_exhaustive()
    }
}
