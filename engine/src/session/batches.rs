//! The operations of a session on many keys.

use super::Session;
use super::place::Place;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::answers::Previous;
use crate::store::operation::batch;
use std::borrow::Borrow;

impl<K: Key + ?Sized, V: Value + ?Sized, P: Place> Session<K, V, P> {
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
    pub async fn read_many<Q>(&mut self, keys: &[Q]) -> Result<Vec<Option<V::Owned>>>
    where
        Q: Borrow<K::Item>,
    {
        batch::read_many::<K, V, Q>(self.access(), keys).await
    }

    /// Sets many values, in their order. It is not one atomic step.
    ///
    /// Unlike [`upsert`](Self::upsert) it says nothing of the old values, so it collects no
    /// answers.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert); the pairs before the failing one are set.
    ///
    /// # Cancel safety
    /// Some pairs from the start are set, and no later ones.
    pub async fn upsert_many<Q, W>(&mut self, pairs: &[(Q, W)]) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_many::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// Modifies many keys like [`rmw`](Self::rmw), each atomically by itself. It returns no values.
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
    pub async fn rmw_many<Q, F>(&mut self, keys: &[Q], update: F) -> Result<()>
    where
        Q: Borrow<K::Item>,
        F: FnMut(usize, Option<V::Owned>) -> V::Owned,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::rmw_many::<K, V, Q, F>(access, keys, update).await
        })
        .await
    }

    /// Sets the values of many keys that have none, like
    /// [`insert_if_absent`](Self::insert_if_absent), each atomically by itself.
    ///
    /// It returns, in the order of `pairs`, whether it set the value of each. Of several pairs with
    /// one key at most one is set, and it need not be the first.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, str> = FasterKv::open("unused", config).await?;
    /// # let mut session = store.session()?;
    /// session.upsert(&2, "old").await?;
    /// let inserted = session.insert_many(&[(1, "new"), (2, "new")]).await?;
    /// assert_eq!(inserted, [true, false]);
    /// assert_eq!(session.read(&2).await?.as_deref(), Some("old"));
    /// # drop(session);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`insert_if_absent`](Self::insert_if_absent), for the first pair that fails; others
    /// may be set.
    ///
    /// # Cancel safety
    /// Some of the pairs are set, each whole or not at all. The next operations of a session take
    /// the numbers of the undone pairs.
    pub async fn insert_many<Q, W>(&mut self, pairs: &[(Q, W)]) -> Result<Vec<bool>>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::insert_many::<K, V, Q, W>(access, pairs).await
        })
        .await
    }

    /// Removes many keys, in their order and without reads. It is not one atomic step.
    ///
    /// It returns, in the order of `keys`, whether each had a value, if memory shows it.
    ///
    /// # Errors
    /// As for [`delete`](Self::delete); the keys before the failing one are removed.
    ///
    /// # Cancel safety
    /// Some keys from the start are removed, and no later ones.
    pub async fn delete_many<Q>(&mut self, keys: &[Q]) -> Result<Vec<Previous>>
    where
        Q: Borrow<K::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::delete_many::<K, V, Q>(access, keys).await
        })
        .await
    }
}
