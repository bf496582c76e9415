//! The operations of a session on the expiry of keys.

use super::Session;
use super::place::Place;
use crate::base::error::Result;
use crate::codec::{Expires, Key};
use crate::futures;
use crate::store::answers::Update;
use crate::store::expiry::Expiry;
use crate::store::operation::batch;
use std::borrow::Borrow;

impl<K: Key + ?Sized, V: Expires + ?Sized, P: Place> Session<K, V, P> {
    /// Sets the value of `key` like [`upsert`](Self::upsert), and when it expires.
    ///
    /// Value and expiry change as one. A plain `upsert` sets a value that never expires; `rmw`,
    /// `update`, `replace` and `compare_and_swap` keep the expiry of the value.
    /// [`update_with`](Self::update_with) decides about both.
    ///
    /// A value of at most 8 bytes of a fixed width changes in place only if its expiry stays the
    /// same; otherwise a new record is appended.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    #[inline(always)]
    pub fn upsert_with<'a>(
        &'a mut self,
        key: &'a K::Item,
        value: &'a V::Item,
        expiry: Expiry,
    ) -> futures::UpsertWith<'a, K, V> {
        futures::UpsertWith::new(self.access(), key, value, expiry)
    }

    /// Sets many values like [`upsert_many`](Self::upsert_many), and when each of them expires.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert); the values before the failing one are set.
    ///
    /// # Cancel safety
    /// Some values from the start are set, and no later ones.
    pub async fn upsert_many_with<Q, W>(&mut self, items: &[(Q, W, Expiry)]) -> Result<()>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        batch::acknowledged(self.access(), async |access| {
            batch::upsert_many_with::<K, V, Q, W>(access, items).await
        })
        .await
    }

    /// Sets the values of an iterator like [`upsert_each`](Self::upsert_each), and when each of
    /// them expires.
    ///
    /// ```
    /// # use kvick::codec::Expiring;
    /// # use kvick::config::Backend;
    /// # use kvick::session::Expiry;
    /// # use kvick::{Config, FasterKv};
    /// # use std::time::Duration;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let tokens: FasterKv<u64, Expiring<str>> = FasterKv::open("unused", config).await?;
    /// let hour = Expiry::after(Duration::from_secs(3600));
    /// tokens.upsert_each_with((0..1000).map(|n| (n, format!("token {n}"), hour))).await?;
    /// assert_eq!(tokens.read(&7).await?.as_deref(), Some("token 7"));
    /// assert!(tokens.expiry(&7).await?.is_some_and(|expiry| expiry.time().is_some()));
    /// # tokens.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert); the values before the failing one are set.
    ///
    /// # Cancel safety
    /// Some values from the start are set, and no later ones.
    pub async fn upsert_each_with<Q, W>(
        &mut self,
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

    /// Sets the value of `key` if it has none, and when it expires. Returns whether it did.
    ///
    /// A key that has expired has no value. So of many callers one gets a lease that has run out:
    ///
    /// ```
    /// # use kvick::codec::Expiring;
    /// # use kvick::config::Backend;
    /// # use kvick::session::Expiry;
    /// # use kvick::{Config, FasterKv};
    /// # use std::time::Duration;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let leases: FasterKv<str, Expiring<u64>> = FasterKv::open("unused", config).await?;
    /// let term = Expiry::after(Duration::from_secs(30));
    /// assert!(leases.insert_with("report", &1, term).await?, "worker 1 has the lease");
    /// assert!(!leases.insert_with("report", &2, term).await?, "worker 2 has not");
    /// # leases.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn insert_with<'a>(
        &'a mut self,
        key: &'a K::Item,
        value: &'a V::Item,
        expiry: Expiry,
    ) -> futures::InsertWith<'a, K, V> {
        futures::InsertWith::new(self.access(), key, value, expiry)
    }

    /// Keeps, replaces or removes the value of `key` and its expiry, as `decide` says, atomically
    /// per key.
    ///
    /// It is [`update`](Self::update) of the pair of both: `decide` gets a copy of the value and
    /// the time at which it expires, or `None`. A new value has the new expiry, and one that is
    /// kept keeps its own. Here each use of a login extends it, up to a number of uses:
    ///
    /// ```
    /// # use kvick::codec::Expiring;
    /// # use kvick::config::Backend;
    /// # use kvick::session::{Expiry, Update};
    /// # use kvick::{Config, FasterKv};
    /// # use std::time::Duration;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let logins: FasterKv<str, Expiring<u32>> = FasterKv::open("unused", config).await?;
    /// let hour = Duration::from_secs(3600);
    /// logins.upsert_with("a1b2", &0, Expiry::after(hour)).await?;
    /// let used = |login: Option<(u32, Expiry)>| match login {
    ///     Some((uses, _)) if uses < 100 => Update::Put((uses + 1, Expiry::after(hour)), true),
    ///     Some((uses, last)) => Update::Put((uses + 1, last), true), // not extended any more
    ///     None => Update::Keep(false),
    /// };
    /// assert!(logins.update_with("a1b2", used).await?);
    /// assert!(!logins.update_with("c3d4", used).await?, "it is not logged in");
    /// # logins.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// A value in memory changes in place, unless it has at most 8 bytes of a fixed width and gets
    /// another expiry. Such a value is copied, and the operation waits for the operations in
    /// progress first. [`set_expiry`](Self::set_expiry) changes the expiry of a value that stays,
    /// without a copy of a long one.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn update_with<'a, F, R>(
        &'a mut self,
        key: &'a K::Item,
        decide: F,
    ) -> futures::UpdateWith<'a, K, V, F, R>
    where
        F: FnMut(Option<(V::Owned, Expiry)>) -> Update<(V::Owned, Expiry), R>,
    {
        futures::UpdateWith::new(self.access(), key, decide)
    }

    /// Returns when `key` expires, or `None` if it has no value.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub fn expiry<'a>(&'a mut self, key: &'a K::Item) -> futures::Expiry<'a, K, V> {
        futures::Expiry::new(self.access(), key)
    }

    /// Sets when `key` expires, and keeps its value. Returns whether it has a value.
    ///
    /// A key that has expired has no value, so its expiry cannot be set any more. A key whose new
    /// time has passed is absent at once.
    ///
    /// A value in memory changes in place, unless it has at most 8 bytes of a fixed width. Such a
    /// value is copied, and the operation waits for the operations in progress first. A value on
    /// the device is read, and copied to memory.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) and [`upsert`](Self::upsert).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn set_expiry<'a>(
        &'a mut self,
        key: &'a K::Item,
        expiry: Expiry,
    ) -> futures::SetExpiry<'a, K, V> {
        futures::SetExpiry::new(self.access(), key, expiry)
    }

    /// Lets `key` never expire, and keeps its value. Returns whether it has a value.
    ///
    /// It is [`set_expiry`](Self::set_expiry) with [`Expiry::never`].
    ///
    /// # Errors
    /// As for [`set_expiry`](Self::set_expiry).
    ///
    /// # Cancel safety
    /// Takes effect in the poll that makes it ready, or not at all. One that waits until it is
    /// [durable](crate::Config::acknowledge) may have taken effect.
    pub fn persist<'a>(&'a mut self, key: &'a K::Item) -> futures::SetExpiry<'a, K, V> {
        self.set_expiry(key, Expiry::never())
    }
}
