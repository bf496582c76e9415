//! The operations of the handle on the expiry of keys.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Expires, Key};
use crate::futures;
use crate::store::answers::Update;
use crate::store::expiry::Expiry;
use crate::store::operation::batch;
use std::borrow::Borrow;

impl<K: Key + ?Sized, V: Expires + ?Sized> FasterKv<K, V> {
    /// See [`Session::upsert_with`](crate::Session::upsert_with).
    #[inline(always)]
    pub fn upsert_with<'a>(
        &'a self,
        key: &'a K::Item,
        value: &'a V::Item,
        expiry: Expiry,
    ) -> futures::UpsertWith<'a, K, V> {
        futures::UpsertWith::new(self.access(), key, value, expiry)
    }

    /// See [`Session::upsert_many_with`](crate::Session::upsert_many_with).
    pub async fn upsert_many_with<Q, W>(&self, items: &[(Q, W, Expiry)]) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_many_with::<K, V, Q, W>(access, items).await
        })
        .await
    }

    /// See [`Session::upsert_each_with`](crate::Session::upsert_each_with).
    pub async fn upsert_each_with<Q, W>(
        &self,
        items: impl IntoIterator<Item = (Q, W, Expiry)>,
    ) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_each_with::<K, V, Q, W>(access, items).await
        })
        .await
    }

    /// See [`Session::insert_with`](crate::Session::insert_with).
    pub fn insert_with<'a>(
        &'a self,
        key: &'a K::Item,
        value: &'a V::Item,
        expiry: Expiry,
    ) -> futures::InsertWith<'a, K, V> {
        futures::InsertWith::new(self.access(), key, value, expiry)
    }

    /// See [`Session::update_with`](crate::Session::update_with).
    pub fn update_with<'a, F, R>(
        &'a self,
        key: &'a K::Item,
        decide: F,
    ) -> futures::UpdateWith<'a, K, V, F, R>
    where
        F: FnMut(Option<(V::Owned, Expiry)>) -> Update<(V::Owned, Expiry), R>,
    {
        futures::UpdateWith::new(self.access(), key, decide)
    }

    /// See [`Session::expiry`](crate::Session::expiry).
    pub fn expiry<'a>(&'a self, key: &'a K::Item) -> futures::Expiry<'a, K, V> {
        futures::Expiry::new(self.access(), key)
    }

    /// See [`Session::set_expiry`](crate::Session::set_expiry).
    pub fn set_expiry<'a>(
        &'a self,
        key: &'a K::Item,
        expiry: Expiry,
    ) -> futures::SetExpiry<'a, K, V> {
        futures::SetExpiry::new(self.access(), key, expiry)
    }

    /// See [`Session::persist`](crate::Session::persist).
    pub fn persist<'a>(&'a self, key: &'a K::Item) -> futures::SetExpiry<'a, K, V> {
        self.set_expiry(key, Expiry::never())
    }
}
