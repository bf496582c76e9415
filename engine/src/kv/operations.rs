//! The operations of the handle. Each takes its seat from the pool.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::futures::{
    CompareAndDelete, CompareAndSwap, Contains, Delete, DeleteIf, InsertIfAbsent, Read, ReadWith,
    Replace, Rmw, Take, TryRead, Update, Upsert,
};
use crate::store::answers::{self, Previous};
use crate::store::operation::batch;
use std::borrow::Borrow;

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// See [`Session::read`](crate::Session::read).
    #[inline(always)]
    pub fn read<'a>(&'a self, key: &'a K::Item) -> Read<'a, K, V> {
        Read::new(self.access(), key)
    }

    /// See [`Session::read_with`](crate::Session::read_with).
    #[inline(always)]
    pub fn read_with<'a, F, R>(&'a self, key: &'a K::Item, look: F) -> ReadWith<'a, K, V, F, R>
    where
        F: FnOnce(V::View<'_>) -> R,
    {
        ReadWith::new(self.access(), key, look)
    }

    /// See [`Session::contains`](crate::Session::contains).
    #[inline(always)]
    pub fn contains<'a>(&'a self, key: &'a K::Item) -> Contains<'a, K, V> {
        Contains::new(self.access(), key)
    }

    /// See [`Session::try_read`](crate::Session::try_read).
    #[inline(always)]
    pub fn try_read<'a>(&'a self, key: &'a K::Item) -> TryRead<'a, K, V> {
        Read::new(self.access(), key).try_now()
    }

    /// See [`Session::upsert`](crate::Session::upsert).
    #[inline(always)]
    pub fn upsert<'a>(&'a self, key: &'a K::Item, value: &'a V::Item) -> Upsert<'a, K, V> {
        Upsert::new(self.access(), key, value)
    }

    /// See [`Session::rmw`](crate::Session::rmw).
    #[inline(always)]
    pub fn rmw<'a, F>(&'a self, key: &'a K::Item, update: F) -> Rmw<'a, K, V, F>
    where
        F: FnMut(Option<V::Owned>) -> V::Owned,
    {
        Rmw::new(self.access(), key, update)
    }

    /// See [`Session::delete`](crate::Session::delete).
    #[inline(always)]
    pub fn delete<'a>(&'a self, key: &'a K::Item) -> Delete<'a, K, V> {
        Delete::new(self.access(), key)
    }

    /// See [`Session::insert_if_absent`](crate::Session::insert_if_absent).
    #[inline(always)]
    pub fn insert_if_absent<'a>(
        &'a self,
        key: &'a K::Item,
        value: &'a V::Item,
    ) -> InsertIfAbsent<'a, K, V> {
        InsertIfAbsent::new(self.access(), key, value)
    }

    /// See [`Session::compare_and_swap`](crate::Session::compare_and_swap).
    #[inline(always)]
    pub fn compare_and_swap<'a>(
        &'a self,
        key: &'a K::Item,
        expected: &'a V::Item,
        new: &'a V::Item,
    ) -> CompareAndSwap<'a, K, V> {
        CompareAndSwap::new(self.access(), key, expected, new)
    }

    /// See [`Session::update`](crate::Session::update).
    #[inline(always)]
    pub fn update<'a, F, R>(&'a self, key: &'a K::Item, decide: F) -> Update<'a, K, V, F, R>
    where
        F: FnMut(Option<V::Owned>) -> answers::Update<V::Owned, R>,
    {
        Update::new(self.access(), key, decide)
    }

    /// See [`Session::replace`](crate::Session::replace).
    #[inline(always)]
    pub fn replace<'a>(&'a self, key: &'a K::Item, value: &'a V::Item) -> Replace<'a, K, V> {
        Replace::new(self.access(), key, value)
    }

    /// See [`Session::take`](crate::Session::take).
    #[inline(always)]
    pub fn take<'a>(&'a self, key: &'a K::Item) -> Take<'a, K, V> {
        Take::new(self.access(), key)
    }

    /// See [`Session::delete_if`](crate::Session::delete_if).
    #[inline(always)]
    pub fn delete_if<'a, F>(&'a self, key: &'a K::Item, is_over: F) -> DeleteIf<'a, K, V, F>
    where
        F: FnMut(V::View<'_>) -> bool,
    {
        DeleteIf::new(self.access(), key, is_over)
    }

    /// See [`Session::compare_and_delete`](crate::Session::compare_and_delete).
    #[inline(always)]
    pub fn compare_and_delete<'a>(
        &'a self,
        key: &'a K::Item,
        expected: &'a V::Item,
    ) -> CompareAndDelete<'a, K, V> {
        CompareAndDelete::new(self.access(), key, expected)
    }

    /// See [`Session::read_many`](crate::Session::read_many).
    pub async fn read_many<Q>(&self, keys: &[Q]) -> Result<Vec<Option<V::Owned>>>
    where
        Q: Borrow<K::Item>,
    {
        batch::read_many::<K, V, Q>(self.access(), keys).await
    }

    /// See [`Session::upsert_many`](crate::Session::upsert_many).
    pub async fn upsert_many<Q, W>(&self, pairs: &[(Q, W)]) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_many::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// See [`Session::rmw_many`](crate::Session::rmw_many).
    pub async fn rmw_many<Q, F>(&self, keys: &[Q], update: F) -> Result<()>
    where
        Q: Borrow<K::Item>,
        F: FnMut(usize, Option<V::Owned>) -> V::Owned,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::rmw_many::<K, V, Q, F>(access, keys, update).await
        })
        .await
    }

    /// See [`Session::insert_many`](crate::Session::insert_many).
    pub async fn insert_many<Q, W>(&self, pairs: &[(Q, W)]) -> Result<Vec<bool>>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::insert_many::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// See [`Session::delete_many`](crate::Session::delete_many).
    pub async fn delete_many<Q>(&self, keys: &[Q]) -> Result<Vec<Previous>>
    where
        Q: Borrow<K::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::delete_many::<K, V, Q>(access, keys).await
        })
        .await
    }
}
