//! The sessions of a store: new, named, resumed and forgotten ones.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::session::Session;
use crate::store::context::ExecutionContext;
use crate::store::sessions::identity::{CommitPoint, SessionId as Id};
use crate::store::sessions::state::SessionState;
use std::collections::BTreeMap;
use std::sync::Arc;

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Returns a session: a sequence of operations for one task.
    ///
    /// A dropped session leaves nothing, unless its [`id`](Session::id) was requested.
    ///
    /// # Errors
    /// `Closed`.
    pub fn session(&self) -> Result<Session<K, V>> {
        self.core.seat(self.core.number).map(|seat| self.seated(seat))
    }

    /// Opens the session with a name: resumes it if it waits, or else begins it.
    ///
    /// A name of 1 to 128 bytes is an identity that needs no list: each opening of the store finds
    /// the session of a worker or of a partition again. Checkpoints keep it from its first
    /// operation or [offset](Session::set_offset) on, until it is
    /// [forgotten](Self::forget_session_named).
    ///
    /// Together with an offset each message of a queue is done once, over any number of crashes.
    /// The operations of a message must be the same each time, and on one key each:
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// # let messages: Vec<Vec<u64>> = vec![vec![1, 2], vec![], vec![2, 3, 4]];
    /// let mut session = store.session_named("partition-3")?;
    /// let (mut next, mut done) = match session.offset() {
    ///     // `done` operations of the message at the offset are in the checkpoint.
    ///     Some(offset) => {
    ///         let next = u64::from_le_bytes(offset.bytes.try_into().expect("8 bytes"));
    ///         (next, session.serial() - offset.serial)
    ///     }
    ///     None => (0, session.serial()),
    /// };
    /// while let Some(keys) = messages.get(next as usize) {
    ///     for key in keys.iter().skip(done as usize) {
    ///         session.rmw(key, |count| count.unwrap_or(0) + 1).await?;
    ///     }
    ///     (next, done) = (next + 1, 0);
    ///     session.set_offset(&next.to_le_bytes())?; // the next message to do
    /// }
    /// # assert_eq!(store.read(&2).await?, Some(2));
    /// # assert_eq!(session.offset().map(|offset| offset.serial), Some(5));
    /// # drop(session);
    /// # assert_eq!(store.session_named("partition-3")?.serial(), 5);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InUse` if the session is open. `InvalidArgument` for a name that is empty or too long.
    /// `Closed`.
    pub fn session_named(&self, name: &str) -> Result<Session<K, V>> {
        self.core.named_seat(name, self.core.number).map(|seat| self.seated(seat))
    }

    /// Resumes a session that had an [`id`](Session::id), and was dropped or is in the recovered
    /// checkpoint.
    ///
    /// The session may have begun on another table of the database. It continues on this table, and
    /// works [on](Session::on) the others as before.
    ///
    /// Such a session *waits* until it is resumed or [forgotten](Self::forget_session). The numbers
    /// of its operations continue after the numbers in the checkpoint. If each request of the user
    /// is one operation, each request is done once, over any number of crashes. The user has two
    /// duties:
    ///
    /// * Keep the request of each number until a durable [commit point](Session::commit_point)
    ///   [covers](CommitPoint::covers) the number.
    /// * Do the request of [`next_serial`](Session::next_serial), until no request is left.
    ///
    /// A commit point may exclude some numbers below [`until`](CommitPoint::until); it does not
    /// cover them. They belong to keys of an [`rmw_many`](Session::rmw_many) or
    /// [`insert_many`](Session::insert_many) that waited for the device, was dropped or failed. The
    /// next operations of the session take these numbers first, in ascending order. So do their
    /// requests before any new request.
    ///
    /// A session that is not in the recovered checkpoint does not wait. All its operations are
    /// lost, so a [new session](Self::session) begins with number 1. Store the id durably, where
    /// the requests are kept, before the first operation. Otherwise a checkpoint may contain
    /// operations of a session whose id is lost, and a new session does their requests again. To be
    /// able to return to an [older checkpoint](Self::recover), keep the requests that it does not
    /// cover.
    ///
    /// [`session_named`](Self::session_named) finds the session of a worker by a name, without such
    /// a list: see [patterns](crate::guide::patterns#exactly-once).
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
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
    /// `InUse` if the session is open. `InvalidArgument` if no session with that id waits to be
    /// resumed. `Closed`.
    pub fn resume_session(&self, id: Id) -> Result<Session<K, V>> {
        self.core.resumed_seat(id, self.core.number).map(|seat| self.seated(seat))
    }

    /// Returns the sessions that wait to be resumed, with their commit points.
    ///
    /// They are the sessions in checkpoints when the store was opened, and the sessions dropped
    /// since then. Resumed and forgotten sessions are not among them.
    pub fn recovered_sessions(&self) -> BTreeMap<Id, CommitPoint> {
        self.database.recovered_sessions()
    }

    /// Forgets a session that waits to be resumed, and returns whether there was one.
    ///
    /// The next checkpoint no longer has it. Until then every checkpoint keeps it, also over any
    /// number of openings.
    pub fn forget_session(&self, id: Id) -> bool {
        self.database.forget_session(id)
    }

    /// Forgets the [named](Self::session_named) session that waits, and returns whether there was
    /// one.
    ///
    /// The next session with that name begins anew. Checkpoints keep it as
    /// [`forget_session`](Self::forget_session) says.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is empty or too long.
    pub fn forget_session_named(&self, name: &str) -> Result<bool> {
        self.database.forget_session_named(name)
    }

    /// Forgets the sessions that wait to be resumed for which `is_over` holds, and returns their
    /// number.
    ///
    /// The closure may use the store. A session that it or another task resumes meanwhile stays, if
    /// it is open or has done something since. Nothing is forgotten if the closure panics.
    ///
    /// A service whose clients may never return can limit the kept sessions by age, in checkpoints:
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// let newest = store.checkpoint().await?.token.version();
    /// store.forget_sessions(|_id, point| point.version + 1000 < newest);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn forget_sessions(&self, is_over: impl FnMut(Id, &CommitPoint) -> bool) -> usize {
        self.database.forget_sessions(is_over)
    }

    fn seated(&self, seat: (ExecutionContext, Arc<SessionState>)) -> Session<K, V> {
        Session::new(Arc::clone(&self.core), seat, Arc::clone(self.database.lifecycle()))
    }
}
