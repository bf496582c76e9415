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

/// A sequence of operations of one task: cheap, `Send`, not `Sync`.
///
/// Operations borrow the session, so at most one is in flight. An operation that is dropped, leaked
/// or never polled again blocks no other task. For concurrency within a task use the `*_many`
/// operations, the operations of [`FasterKv`](crate::FasterKv) itself, or more sessions.
///
/// # Identity
/// A session numbers its operations, and a checkpoint has each session's operations up to some
/// number. A session whose [`id`](Self::id) was requested can be resumed after a crash, or after it
/// was dropped. [`FasterKv::resume_session`](crate::FasterKv::resume_session) continues it. It is
/// kept until it is [forgotten](crate::FasterKv::forget_session). A session whose id was never
/// requested leaves nothing.
///
/// A session yields to its executor after some hundreds of operations that were ready at once. So a
/// loop of hits starves no other task.
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

    /// Returns the identity by which the session can be [resumed](crate::FasterKv::resume_session).
    ///
    /// The first call makes checkpoints keep the session. Call it before operations that must not
    /// be lost.
    pub fn id(&self) -> SessionId {
        self.core.sessions.identify(&self.ledger)
    }

    /// Returns the serial number of the last successful write of this session; 0 if there was none.
    ///
    /// Each successful operation that may change something counts: `upsert`, `rmw`, `delete`,
    /// `insert_if_absent`, `compare_and_swap`, and each key of their `*_many` forms. Operations
    /// that failed, or were dropped before they took effect, take no number. So the numbers are 1,
    /// 2, 3 and so on. There is one exception: some keys of an [`rmw_many`](Self::rmw_many) may be
    /// undone when later keys are done. The next operations take the numbers of these keys.
    pub fn serial(&self) -> u64 {
        self.ledger.serial()
    }

    /// Returns the number that the next operation takes: the lowest number that is not done.
    ///
    /// It is the number after [`serial`](Self::serial), unless a batch was dropped, failed, or was
    /// interrupted by a crash.
    pub fn next_serial(&self) -> u64 {
        self.ledger.upcoming()
    }

    /// Returns the numbers that a batch of `count` keys takes, in the order of the keys.
    ///
    /// They ascend, but are not always neighbours. Call this before the batch. After a dropped or
    /// failed batch, the numbers of the next operations are the undone numbers. A failed key is
    /// undone, and so are the keys after it in an [`upsert_many`](Self::upsert_many).
    pub fn next_serials(&self, count: usize) -> Vec<u64> {
        self.ledger.upcoming_many(count)
    }

    /// Returns the commit point of this session in the newest durable checkpoint.
    pub fn commit_point(&self) -> CommitPoint {
        self.ledger.durable()
    }

    /// Waits until a durable checkpoint has all present operations of this session.
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
    pub fn wait_durable(&self) -> impl Future<Output = Result<()>> + Send + use<'_, K, V> {
        // This is not an `async fn`: it would hold the session, which is not `Sync`.
        let (core, ledger) = (&self.core, &self.ledger);
        async move { core.durable(ledger).await }
    }

    #[inline(always)]
    fn access(&mut self) -> Access<'_> {
        Access::seated(&self.core, &mut self.seat)
    }
}

/// Declares the operations once, for sessions and for the handle. Only their access to the store
/// differs.
macro_rules! operations {
    ($self:ident, $receiver:ty, $borrowed:ty) => {
        /// Returns the newest value of `key`, or `None`.
        ///
        /// It is ready at the first poll if the record is in memory; otherwise it awaits the
        /// device.
        ///
        /// # Errors
        /// `Corrupt` if the stored bytes are not the written bytes, `Io`, `Codec`, `Closed`.
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        #[inline(always)]
        pub fn read<'a>($self: $receiver, key: &'a K::Item) -> Read<'a, K, V> {
            Read(Running::new($self.access(), ReadOperation::new(key, Owned)))
        }

        /// Calls `look` with the newest value of `key`.
        ///
        /// `look` sees the value in place if it is immutable or a single word. Otherwise it sees a
        /// copy, whose memory is kept for the next operation.
        ///
        /// `look` runs at most once, within a poll. A panic of `look` passes through and leaves the
        /// store unchanged. `look` must not block, nor wait for the store: see [Code within
        /// operations](crate::FasterKv#code-within-operations).
        ///
        /// # Errors
        /// As for [`read`](Self::read).
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

        /// Returns whether `key` has a value.
        ///
        /// # Errors
        /// As for [`read`](Self::read).
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        #[inline(always)]
        pub fn contains<'a>($self: $receiver, key: &'a K::Item) -> Contains<'a, K, V> {
            Contains(Running::new($self.access(), ReadOperation::new(key, Exists)))
        }

        /// Reads without any I/O. Returns the answer if it is in memory, else the future that reads
        /// the device.
        #[inline(always)]
        pub fn try_read<'a>($self: $receiver, key: &'a K::Item) -> TryRead<'a, K, V> {
            Read(Running::new($self.access(), ReadOperation::new(key, Owned))).try_now()
        }

        /// Sets the value of `key`, without a read of the old value.
        ///
        /// It waits only if the log has no room, until a page is written.
        ///
        /// # Errors
        /// `InvalidArgument` for a key or value over the limits. `StorageFull` while there is no
        /// room in memory and on the device, `Poisoned` after a failed write, `Codec`, `Closed`.
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

        /// Replaces the value of `key` by the result of `update`, atomically per key.
        ///
        /// `update` gets a copy of the value, or `None`. It runs optimistically, without a lock. It
        /// runs again if another operation changed the value meanwhile; only the last result
        /// counts. A long `update` may run many times beside writers of the same key. A panic of
        /// `update` passes through and leaves the value unchanged. `update` must not block, nor
        /// wait for the store: see [Code within
        /// operations](crate::FasterKv#code-within-operations).
        ///
        /// # Errors
        /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
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

        /// Removes `key`, without a read. An absent key is no error.
        ///
        /// # Errors
        /// As for [`upsert`](Self::upsert).
        ///
        /// # Cancel safety
        /// Takes effect in the poll that makes it ready, or not at all.
        #[inline(always)]
        pub fn delete<'a>($self: $receiver, key: &'a K::Item) -> Delete<'a, K, V> {
            Delete(Running::new($self.access(), DeleteOperation::new(key)))
        }

        /// Sets the value of `key` if it has none, and returns whether it did.
        ///
        /// # Errors
        /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
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

        /// Replaces the value of `key` by `new` if it is `expected`, and returns whether it did.
        ///
        /// Values are compared in their encoded form. An absent key has no value that could be
        /// expected.
        ///
        /// # Errors
        /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
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

        /// Reads many keys and returns the answers in the order of the keys.
        ///
        /// Keys are prefetched together. Cold keys are read from the device many at once, within
        /// [`Config::depth`](crate::Config::depth) and the memory for I/O. It is not one atomic
        /// step: each key is read by itself.
        ///
        /// # Errors
        /// As for [`read`](Self::read), for the first key that fails.
        ///
        /// # Cancel safety
        /// Has no effect; can be dropped at any time.
        pub async fn read_many<Q>($self: $borrowed, keys: &[Q]) -> Result<Vec<Option<V::Owned>>>
        where
            Q: Borrow<K::Item>,
        {
            batch::read_many::<K, V, Q>($self.access(), keys).await
        }

        /// Sets many values, in their order. It is not one atomic step.
        ///
        /// # Errors
        /// As for [`upsert`](Self::upsert); the pairs before the failing one are set.
        ///
        /// # Cancel safety
        /// Some pairs from the start are set, and no later ones.
        pub async fn upsert_many<Q, W>($self: $borrowed, pairs: &[(Q, W)]) -> Result<()>
        where
            Q: Borrow<K::Item>,
            W: Borrow<V::Item>,
        {
            batch::upsert_many::<K, V, Q, W>($self.access(), pairs).await
        }

        /// Modifies many keys like [`rmw`](Self::rmw), each atomically by itself.
        ///
        /// `update` also gets the position of the key in `keys`. Several runs of it follow each
        /// other without a pause for the store's maintenance. Use [`rmw`](Self::rmw) for a long
        /// `update`.
        ///
        /// # Errors
        /// As for [`rmw`](Self::rmw), for the first key that fails; others may be modified.
        ///
        /// # Cancel safety
        /// Some of the keys are modified, each once or not at all. The next operations of a session
        /// take the numbers of the unmodified keys.
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
