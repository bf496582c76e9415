//! The operations of the handle on the items of an iterator.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::answers::Previous;
use crate::store::operation::batch;
use std::borrow::Borrow;

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// See [`Session::read_each`](crate::Session::read_each).
    pub async fn read_each<Q>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Option<V::Owned>>>
    where
        Q: Borrow<K::Item>,
    {
        batch::read_each::<K, V, Q>(self.access(), keys).await
    }

    /// See [`Session::upsert_each`](crate::Session::upsert_each).
    pub async fn upsert_each<Q, W>(&self, pairs: impl IntoIterator<Item = (Q, W)>) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_each::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// See [`Session::rmw_each`](crate::Session::rmw_each).
    pub async fn rmw_each<Q, F>(&self, keys: impl IntoIterator<Item = Q>, update: F) -> Result<()>
    where
        Q: Borrow<K::Item>,
        F: FnMut(usize, Option<V::Owned>) -> V::Owned,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::rmw_each::<K, V, Q, F>(access, keys, update).await
        })
        .await
    }

    /// See [`Session::insert_each`](crate::Session::insert_each).
    pub async fn insert_each<Q, W>(
        &self,
        pairs: impl IntoIterator<Item = (Q, W)>,
    ) -> Result<Vec<bool>>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::insert_each::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// See [`Session::delete_each`](crate::Session::delete_each).
    pub async fn delete_each<Q>(&self, keys: impl IntoIterator<Item = Q>) -> Result<Vec<Previous>>
    where
        Q: Borrow<K::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::delete_each::<K, V, Q>(access, keys).await
        })
        .await
    }
}
