//! The operations of a session on one key.

use super::Session;
use crate::codec::{Key, Value};
use crate::futures::{
    CompareAndSwap, Contains, Delete, InsertIfAbsent, Read, ReadWith, Rmw, TryRead, Upsert,
};

impl<K: Key + ?Sized, V: Value + ?Sized> Session<K, V> {
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
    /// It waits only if the log has no room, until a page is written.
    ///
    /// # Errors
    /// `InvalidArgument` for a key or value over the limits. `StorageFull` while there is no
    /// room in memory and on the device, `Poisoned` after a failed write, `Codec`, `Closed`.
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all.
    #[inline(always)]
    pub fn upsert<'a>(&'a mut self, key: &'a K::Item, value: &'a V::Item) -> Upsert<'a, K, V> {
        Upsert::new(self.access(), key, value)
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
    pub fn rmw<'a, F>(&'a mut self, key: &'a K::Item, update: F) -> Rmw<'a, K, V, F>
    where
        F: FnMut(Option<V::Owned>) -> V::Owned,
    {
        Rmw::new(self.access(), key, update)
    }

    /// Removes `key`, without a read. An absent key is no error.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all.
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
    /// Takes effect in the poll that makes it ready, or not at all.
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
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all.
    #[inline(always)]
    pub fn compare_and_swap<'a>(
        &'a mut self,
        key: &'a K::Item,
        expected: &'a V::Item,
        new: &'a V::Item,
    ) -> CompareAndSwap<'a, K, V> {
        CompareAndSwap::new(self.access(), key, expected, new)
    }
}
