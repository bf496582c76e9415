//! The operations of the handle as futures that own their key and values, to be spawned.
//!
//! A borrowing operation allocates nothing; each of these clones the handle.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::answers::{Previous, Update};
use std::borrow::Borrow;

impl<K, V> FasterKv<K, V>
where
    K: Key<Item: Sync> + ?Sized,
    V: Value<Item: Sync> + ?Sized,
{
    /// Returns the newest value of `key`, like [`read`](Self::read), in a future that owns the key.
    ///
    /// Such a future can be spawned, since it borrows neither the key nor the handle:
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// # fn spawn<F: Future + Send + 'static>(future: F) -> F { future }
    /// store.upsert_owned("apples".to_owned(), 3).await?;
    /// let task = spawn(store.read_owned("apples".to_owned())); // tokio::spawn, for example
    /// assert_eq!(task.await?, Some(3));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`Session::read`](crate::Session::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub fn read_owned(
        &self,
        key: K::Owned,
    ) -> impl Future<Output = Result<Option<V::Owned>>> + Send + use<K, V> {
        let store = self.clone();
        async move { store.read(key.borrow()).await }
    }

    /// Sets a value like [`upsert`](Self::upsert), in a future that owns the key and the value.
    ///
    /// # Errors
    /// As for [`Session::upsert`](crate::Session::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn upsert_owned(
        &self,
        key: K::Owned,
        value: V::Owned,
    ) -> impl Future<Output = Result<Previous>> + Send + use<K, V>
    where
        V::Owned: Sync,
    {
        let store = self.clone();
        async move { store.upsert(key.borrow(), value.borrow()).await }
    }

    /// Modifies a value like [`rmw`](Self::rmw), in a future that owns the key.
    ///
    /// # Errors
    /// As for [`Session::rmw`](crate::Session::rmw).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn rmw_owned<F>(
        &self,
        key: K::Owned,
        update: F,
    ) -> impl Future<Output = Result<V::Owned>> + Send + use<K, V, F>
    where
        F: FnMut(Option<V::Owned>) -> V::Owned + Send,
    {
        let store = self.clone();
        async move { store.rmw(key.borrow(), update).await }
    }

    /// Decides about a value like [`update`](Self::update), in a future that owns the key.
    ///
    /// # Errors
    /// As for [`Session::update`](crate::Session::update).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn update_owned<F, R>(
        &self,
        key: K::Owned,
        decide: F,
    ) -> impl Future<Output = Result<R>> + Send + use<K, V, F, R>
    where
        F: FnMut(Option<V::Owned>) -> Update<V::Owned, R> + Send,
        R: Send,
    {
        let store = self.clone();
        async move { store.update(key.borrow(), decide).await }
    }

    /// Removes a key like [`delete`](Self::delete), in a future that owns the key.
    ///
    /// # Errors
    /// As for [`Session::delete`](crate::Session::delete).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn delete_owned(
        &self,
        key: K::Owned,
    ) -> impl Future<Output = Result<Previous>> + Send + use<K, V> {
        let store = self.clone();
        async move { store.delete(key.borrow()).await }
    }

    /// Takes a value like [`take`](Self::take), in a future that owns the key.
    ///
    /// # Errors
    /// As for [`Session::take`](crate::Session::take).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn take_owned(
        &self,
        key: K::Owned,
    ) -> impl Future<Output = Result<Option<V::Owned>>> + Send + use<K, V> {
        let store = self.clone();
        async move { store.take(key.borrow()).await }
    }
}
