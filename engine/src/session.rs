//! Sessions, their identities, and the answers of operations.

mod batches;
mod iterators;
mod operations;

pub use crate::store::answers::{Previous, Update};
pub use crate::store::sessions::identity::CommitPoint;
pub use crate::store::sessions::identity::SessionId as Id;
pub use crate::store::sessions::serials::Serials;

use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::lifecycle::StoreLifecycle;
use crate::store::context::ExecutionContext;
use crate::store::operation::store_ref::StoreRef;
use crate::store::sessions::state::SessionState;
use crate::store::{TableInner, Types};
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
pub struct Session<K: Key + ?Sized, V: Value + ?Sized> {
    core: Arc<TableInner>,
    seat: ExecutionContext,
    ledger: Arc<SessionState>,
    _lifecycle: Arc<StoreLifecycle>,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> Session<K, V> {
    pub(crate) fn new(
        core: Arc<TableInner>,
        (seat, ledger): (ExecutionContext, Arc<SessionState>),
        lifecycle: Arc<StoreLifecycle>,
    ) -> Self {
        Self { core, seat, ledger, _lifecycle: lifecycle, _types: PhantomData }
    }

    /// Returns the identity by which the session can be [resumed](crate::FasterKv::resume_session).
    ///
    /// The first call makes checkpoints keep the session. Call it before operations that must not
    /// be lost.
    pub fn id(&self) -> Id {
        self.core.sessions.identify(&self.ledger)
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
    /// undone, and so are the keys after it in an [`upsert_many`](Self::upsert_many) or
    /// [`delete_many`](Self::delete_many).
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
    fn access(&mut self) -> StoreRef<'_> {
        StoreRef::seated(&self.core, &mut self.seat)
    }
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
