//! The operations of a session on one key.

use super::Session;
use super::place::Place;
use crate::codec::{Key, Value};
use crate::futures::{
    CompareAndDelete, CompareAndSwap, Contains, Delete, DeleteIf, InsertIfAbsent, Read, ReadWith,
    Replace, Rmw, Take, TryRead, Update, Upsert,
};
use crate::store::answers;

impl<K: Key + ?Sized, V: Value + ?Sized, P: Place> Session<K, V, P> {
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
    pub fn read<'a>(&'a mut self, key: &'a K::Item) -> Read<'a, K, V> {
        Read::new(self.access(), key)
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
    pub fn read_with<'a, F, R>(&'a mut self, key: &'a K::Item, look: F) -> ReadWith<'a, K, V, F, R>
    where
        F: FnOnce(V::View<'_>) -> R,
    {
        ReadWith::new(self.access(), key, look)
    }

    /// Returns whether `key` has a value.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    #[inline(always)]
    pub fn contains<'a>(&'a mut self, key: &'a K::Item) -> Contains<'a, K, V> {
        Contains::new(self.access(), key)
    }

    /// Reads without any I/O. Returns the answer if it is in memory, else the future that reads
    /// the device.
    #[inline(always)]
    pub fn try_read<'a>(&'a mut self, key: &'a K::Item) -> TryRead<'a, K, V> {
        Read::new(self.access(), key).try_now()
    }

    /// Sets the value of `key`, without a read of the old value.
    ///
    /// Returns [`Present` or `Absent`](crate::session::Previous), or `Unknown` if memory does not
    /// show whether there was a value. [`replace`](Self::replace) returns the old value.
    ///
    /// It waits only if the log has no room, until a page is written or compaction has made space
    /// within [`Config::disk`](crate::Config::disk).
    ///
    /// # Errors
    /// `InvalidArgument` for a key or value over the limits. `StorageFull` while there is no
    /// room in memory and on the device, or the live data fill
    /// [`Config::disk`](crate::Config::disk). `Poisoned` after a failed write, `Codec`, `Closed`.
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn upsert<'a>(&'a mut self, key: &'a K::Item, value: &'a V::Item) -> Upsert<'a, K, V> {
        Upsert::new(self.access(), key, value)
    }

    /// Replaces the value of `key` by the result of `update`, atomically per key, and returns the
    /// new value.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// # let mut session = store.session()?;
    /// let ticket = session.rmw("tickets", |last| last.unwrap_or(0) + 1).await?;
    /// assert_eq!(ticket, 1);
    /// # drop(session);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// [`update`](Self::update) returns another answer, and can keep or remove the value.
    ///
    /// `update` gets a copy of the value, or `None`. It runs optimistically, without a lock. It
    /// runs again if another operation changed the value meanwhile; only the last result
    /// counts. A long `update` may run many times beside writers of the same key. A panic of
    /// `update` passes through and leaves the value unchanged. `update` must not block, nor
    /// wait for the store: see [Code within
    /// operations](crate::FasterKv#code-within-operations).
    ///
    /// A new value that is longer than [the limit of a page](crate::Config::max_value) is written
    /// in pieces before it is linked. If another writer changes the key meanwhile, `update` runs
    /// again and the pieces are written again. So many tasks that modify one long value at once
    /// write it up to the square of their number of times. Beside a constant writer of the same key
    /// the operation may not end. Modify each such key by one task only, or use
    /// [`upsert`](Self::upsert).
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn rmw<'a, F>(&'a mut self, key: &'a K::Item, update: F) -> Rmw<'a, K, V, F>
    where
        F: FnMut(Option<V::Owned>) -> V::Owned,
    {
        Rmw::new(self.access(), key, update)
    }

    /// Removes `key`, without a read of its value.
    ///
    /// Returns [`Present` or `Absent`](crate::session::Previous), or `Unknown` if memory does not
    /// show whether there was a value. An absent key is no error. [`take`](Self::take) returns the
    /// value.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn delete<'a>(&'a mut self, key: &'a K::Item) -> Delete<'a, K, V> {
        Delete::new(self.access(), key)
    }

    /// Sets the value of `key` if it has none, and returns whether it did.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn insert_if_absent<'a>(
        &'a mut self,
        key: &'a K::Item,
        value: &'a V::Item,
    ) -> InsertIfAbsent<'a, K, V> {
        InsertIfAbsent::new(self.access(), key, value)
    }

    /// Replaces the value of `key` by `new` if it is `expected`, and returns whether it did.
    ///
    /// Values are compared in their encoded form. An absent key has no value that could be
    /// expected.
    ///
    /// A stored value of an older version of a [derived type](crate::Value) has the encoded form of
    /// that version. So it is not equal to itself read back, and a loop of `read` and
    /// `compare_and_swap` does not end for it. Use [`update`](Self::update), or write the value
    /// again first ([example](crate::guide::patterns#change-a-type)).
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn compare_and_swap<'a>(
        &'a mut self,
        key: &'a K::Item,
        expected: &'a V::Item,
        new: &'a V::Item,
    ) -> CompareAndSwap<'a, K, V> {
        CompareAndSwap::new(self.access(), key, expected, new)
    }

    /// Keeps, replaces or removes the value of `key`, as `decide` says, atomically per key.
    ///
    /// `decide` gets a copy of the value, or `None`. The answer in its last
    /// [`Update`](crate::session::Update) is returned. `decide` runs under the rules of the closure
    /// of [`rmw`](Self::rmw): it may run more than once, also if no other operation uses the key.
    /// Only the last decision counts. Long values have the limit that is described there, too.
    ///
    /// Removing a value of at most 8 bytes with a [width](Value::WIDTH) waits until all operations
    /// on the store that are within a poll at that moment have left it.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # use kvick::session::Update;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// let mut session = store.session()?;
    /// session.upsert("apples", &5).await?;
    /// // Takes some out, and returns how many were there to be taken.
    /// let take_out = |wanted: u64| {
    ///     move |stock: Option<u64>| match stock {
    ///         Some(stock) if stock > wanted => Update::Put(stock - wanted, wanted),
    ///         Some(stock) => Update::Remove(stock),
    ///         None => Update::Keep(0),
    ///     }
    /// };
    /// assert_eq!(session.update("apples", take_out(2)).await?, 2);
    /// assert_eq!(session.update("apples", take_out(9)).await?, 3);
    /// assert_eq!(session.update("apples", take_out(1)).await?, 0);
    /// assert!(!session.contains("apples").await?);
    /// # drop(session);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn update<'a, F, R>(&'a mut self, key: &'a K::Item, decide: F) -> Update<'a, K, V, F, R>
    where
        F: FnMut(Option<V::Owned>) -> answers::Update<V::Owned, R>,
    {
        Update::new(self.access(), key, decide)
    }

    /// Sets the value of `key`, and returns the old value.
    ///
    /// Unlike [`upsert`](Self::upsert) it reads: it awaits the device for a value that is there.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn replace<'a>(&'a mut self, key: &'a K::Item, value: &'a V::Item) -> Replace<'a, K, V> {
        Replace::new(self.access(), key, value)
    }

    /// Removes `key`, and returns its value. One of many tasks that take a key gets the value.
    ///
    /// Unlike [`delete`](Self::delete) it reads: it awaits the device for a value that is there.
    /// For values of one word, see [`update`](Self::update).
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, str> = FasterKv::open("unused", config).await?;
    /// # let mut session = store.session()?;
    /// assert_eq!(session.replace(&1, "first").await?, None);
    /// assert_eq!(session.replace(&1, "second").await?.as_deref(), Some("first"));
    /// assert_eq!(session.take(&1).await?.as_deref(), Some("second"));
    /// assert_eq!(session.take(&1).await?, None);
    /// # drop(session);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. So a dropped future has removed
    /// nothing, and no value is lost with it. With [durable writes](crate::Config::acknowledge) it
    /// may have removed the value: remove it in memory, and `sync` then.
    #[inline(always)]
    pub fn take<'a>(&'a mut self, key: &'a K::Item) -> Take<'a, K, V> {
        Take::new(self.access(), key)
    }

    /// Removes `key` if `is_over` holds for its value, and returns whether it did.
    ///
    /// `is_over` sees a view of the value. It runs under the rules of the closure of
    /// [`rmw`](Self::rmw): it may run more than once, and only the last result counts. It does not
    /// run for an absent key. For values of one word, see [`update`](Self::update).
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn delete_if<'a, F>(&'a mut self, key: &'a K::Item, is_over: F) -> DeleteIf<'a, K, V, F>
    where
        F: FnMut(V::View<'_>) -> bool,
    {
        DeleteIf::new(self.access(), key, is_over)
    }

    /// Removes `key` if its value is `expected`, and returns whether it did.
    ///
    /// Values are compared in their encoded form. A value of an older version of its type is not
    /// equal to itself read back: see [`compare_and_swap`](Self::compare_and_swap). For values of
    /// one word, see [`update`](Self::update).
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn compare_and_delete<'a>(
        &'a mut self,
        key: &'a K::Item,
        expected: &'a V::Item,
    ) -> CompareAndDelete<'a, K, V> {
        CompareAndDelete::new(self.access(), key, expected)
    }
}
