//! Values that are computed if they are absent: one of many callers computes.

use super::FasterKv;
use crate::base::error::{Error, Result};
use crate::codec::{Expires, Key, Value};
use crate::store::expiry::Expiry;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::read::{Read, SecondLook};
use crate::store::{ComputationTurn, TableInner};
use std::borrow::Borrow;

/// The value of a key, or the turn to compute it.
enum Looked<'t, T> {
    Present(T),
    Absent(ComputationTurn<'t>),
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Returns the value of `key`. If there is none, sets the value that `compute` returns.
    ///
    /// Of many callers that find no value at once, one computes and the others wait for it. So a
    /// slow source is asked once:
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// let pages: FasterKv<str, str> = FasterKv::open("unused", config).await?;
    /// let fetch = async || "<html>".to_owned(); // a request to a server, for example
    /// assert_eq!(pages.get_or_insert_with("/index", fetch).await?, "<html>");
    /// let is_there = async || unreachable!("the page is in the store");
    /// assert_eq!(pages.get_or_insert_with("/index", is_there).await?, "<html>");
    /// # pages.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// A value that another operation sets during the computation stays, and is returned. A
    /// deletion during the computation does not stop it: the computed value is set afterwards.
    ///
    /// `compute` must not ask for the same key: it would wait for itself. A future that is neither
    /// polled nor dropped lets the other callers of its key wait. They see that the store is
    /// closed. The statistics count one read per call.
    ///
    /// # Errors
    /// The errors of [`read`](crate::Session::read) and [`upsert`](crate::Session::upsert).
    ///
    /// # Cancel safety
    /// A dropped future has set the value, or has no effect. If the computing caller is dropped or
    /// panics, another caller computes.
    pub async fn get_or_insert_with<F, C>(&self, key: &K::Item, compute: F) -> Result<V::Owned>
    where
        F: FnOnce() -> C,
        C: Future<Output = V::Owned>,
    {
        match self.look(key).await? {
            Looked::Present(value) => Ok(value),
            Looked::Absent(_turn) => self.insert_or_read(key, compute().await).await,
        }
    }

    /// Returns the value of `key`. If there is none, sets the value that `compute` returns, unless
    /// it fails.
    ///
    /// It is [`get_or_insert_with`](Self::get_or_insert_with) for a source that may fail. After a
    /// failure the key stays absent, and one of the other callers computes.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let sizes: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// type Failure = Box<dyn std::error::Error + Send + Sync>;
    /// let ask = |text: &'static str| async move || Ok::<u64, Failure>(text.parse()?);
    /// assert!(sizes.try_get_or_insert_with("disk", ask("none")).await.is_err());
    /// assert_eq!(sizes.try_get_or_insert_with("disk", ask("7")).await.ok(), Some(7));
    /// # sizes.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The error of `compute`; the errors of [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Cancel safety
    /// As for [`get_or_insert_with`](Self::get_or_insert_with).
    pub async fn try_get_or_insert_with<F, C, E>(
        &self,
        key: &K::Item,
        compute: F,
    ) -> std::result::Result<V::Owned, E>
    where
        F: FnOnce() -> C,
        C: Future<Output = std::result::Result<V::Owned, E>>,
        E: From<Error>,
    {
        match self.look(key).await? {
            Looked::Present(value) => Ok(value),
            Looked::Absent(_turn) => Ok(self.insert_or_read(key, compute().await?).await?),
        }
    }

    /// Looks for the value of `key`, and takes the turn to compute it if it is absent.
    async fn look(&self, key: &K::Item) -> Result<Looked<'_, V::Owned>> {
        if let Some(value) = self.read(key).await? {
            return Ok(Looked::Present(value));
        }
        let table: &TableInner = &self.core;
        loop {
            let turn = table.turn_to_compute::<K>(key).await?;
            if let Some(value) = self.read_again(key).await? {
                return Ok(Looked::Present(value));
            }
            if let Some(turn) = turn {
                return Ok(Looked::Absent(turn));
            }
        }
    }

    /// Reads like `read`, but the statistics do not count it.
    async fn read_again(&self, key: &K::Item) -> Result<Option<V::Owned>> {
        let look: Read<'_, K, V, SecondLook> = Read::new(key, SecondLook);
        let value = OperationFuture::of_part(self.access(), look).await?;
        Ok(value.map(|value| *value))
    }

    /// Sets a computed value, unless there is one by now. Returns the value that is there.
    async fn insert_or_read(&self, key: &K::Item, computed: V::Owned) -> Result<V::Owned> {
        let value = computed.borrow();
        let present = self.read_unless(key, move || self.insert_if_absent(key, value)).await?;
        Ok(present.unwrap_or(computed))
    }

    /// Inserts a value by `insert`. Returns the value that is there already, if there is one.
    async fn read_unless<I>(
        &self,
        key: &K::Item,
        insert: impl Fn() -> I,
    ) -> Result<Option<V::Owned>>
    where
        I: Future<Output = Result<bool>>,
    {
        loop {
            if insert().await? {
                return Ok(None);
            }
            let present = self.read_again(key).await?;
            if present.is_some() {
                return Ok(present);
            }
        }
    }
}

impl<K: Key + ?Sized, V: Expires + ?Sized> FasterKv<K, V> {
    /// Returns the value of `key`. If there is none, sets the value and the expiry that `compute`
    /// returns.
    ///
    /// It is [`try_get_or_insert_with`](Self::try_get_or_insert_with) for a source that knows how
    /// long its answers are valid. A key that has expired has no value.
    ///
    /// ```
    /// # use kvick::codec::Expiring;
    /// # use kvick::config::Backend;
    /// # use kvick::session::Expiry;
    /// # use kvick::{Config, Error, FasterKv};
    /// # use std::time::Duration;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// let names: FasterKv<str, Expiring<str>> = FasterKv::open("unused", config).await?;
    /// let ask = async || {
    ///     let (address, valid_for) = ("192.0.2.1".to_owned(), Duration::from_secs(300));
    ///     Ok::<_, Error>((address, Expiry::after(valid_for)))
    /// };
    /// assert_eq!(names.try_get_or_insert_expiring("example.org", ask).await?, "192.0.2.1");
    /// # names.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`try_get_or_insert_with`](Self::try_get_or_insert_with).
    ///
    /// # Cancel safety
    /// As for [`get_or_insert_with`](Self::get_or_insert_with).
    pub async fn try_get_or_insert_expiring<F, C, E>(
        &self,
        key: &K::Item,
        compute: F,
    ) -> std::result::Result<V::Owned, E>
    where
        F: FnOnce() -> C,
        C: Future<Output = std::result::Result<(V::Owned, Expiry), E>>,
        E: From<Error>,
    {
        let _turn = match self.look(key).await? {
            Looked::Present(value) => return Ok(value),
            Looked::Absent(turn) => turn,
        };
        let (computed, expiry) = compute().await?;
        let value = computed.borrow();
        let present = self.read_unless(key, move || self.insert_with(key, value, expiry)).await?;
        Ok(present.unwrap_or(computed))
    }
}
