//! The operations of a session on the items of an iterator.

use super::Session;
use super::place::Place;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::answers::Previous;
use crate::store::operation::batch;
use std::borrow::Borrow;

impl<K: Key + ?Sized, V: Value + ?Sized, P: Place> Session<K, V, P> {
    /// Reads the keys of an iterator like [`read_many`](Self::read_many).
    ///
    /// The `*_each` operations take the items of any iterator. They hold at most 32 pairs at a
    /// time, or as many keys as can wait for the device beside each other. These are lost with the
    /// future when it fails or is dropped, also if the iterator is used further (`by_ref`).
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, str> = FasterKv::open("unused", config).await?;
    /// # let mut session = store.session()?;
    /// session.upsert_each((0..1000).map(|n| (n, format!("number {n}")))).await?;
    /// let values = session.read_each((0..1000).step_by(500)).await?;
    /// assert_eq!(values, [Some("number 0".to_owned()), Some("number 500".to_owned())]);
    /// # drop(session);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`read`](Self::read), for the first key that fails.
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn read_each<Q>(
        &mut self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Option<V::Owned>>>
    where
        Q: Borrow<K::Item>,
    {
        batch::read_each::<K, V, Q>(self.access(), keys).await
    }

    /// Sets the pairs of an iterator like [`upsert_many`](Self::upsert_many), in their order.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert); the pairs before the failing one are set.
    ///
    /// # Cancel safety
    /// Some pairs from the start are set, and no later ones.
    pub async fn upsert_each<Q, W>(&mut self, pairs: impl IntoIterator<Item = (Q, W)>) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_each::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// Modifies the values of the keys of an iterator like [`rmw_many`](Self::rmw_many).
    ///
    /// `update` also gets the number of the key, from 0 on.
    ///
    /// # Errors
    /// As for [`rmw`](Self::rmw), for the first key that fails; others may be modified.
    ///
    /// # Cancel safety
    /// As for [`rmw_many`](Self::rmw_many).
    pub async fn rmw_each<Q, F>(
        &mut self,
        keys: impl IntoIterator<Item = Q>,
        update: F,
    ) -> Result<()>
    where
        Q: Borrow<K::Item>,
        F: FnMut(usize, Option<V::Owned>) -> V::Owned,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::rmw_each::<K, V, Q, F>(access, keys, update).await
        })
        .await
    }

    /// Sets the values of the pairs of an iterator whose keys have none, like
    /// [`insert_many`](Self::insert_many).
    ///
    /// # Errors
    /// As for [`insert_if_absent`](Self::insert_if_absent), for the first pair that fails; others
    /// may be set.
    ///
    /// # Cancel safety
    /// As for [`insert_many`](Self::insert_many).
    pub async fn insert_each<Q, W>(
        &mut self,
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

    /// Removes the keys of an iterator like [`delete_many`](Self::delete_many), in their order.
    ///
    /// # Errors
    /// As for [`delete`](Self::delete); the keys before the failing one are removed.
    ///
    /// # Cancel safety
    /// Some keys from the start are removed, and no later ones.
    pub async fn delete_each<Q>(
        &mut self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Previous>>
    where
        Q: Borrow<K::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::delete_each::<K, V, Q>(access, keys).await
        })
        .await
    }
}
