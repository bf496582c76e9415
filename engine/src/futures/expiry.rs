//! The futures of operations on the expiry of keys.

use crate::base::error::Result;
use crate::codec::{Expires, Key, Value};
use crate::store::answers::{self, Previous};
use crate::store::expiry;
use crate::store::operation::changes;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::modify::Modify;
use crate::store::operation::read::{KeyExpiry, Read};
use crate::store::operation::set_expiry::SetExpiry as SetExpiryOperation;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::UpsertWith as UpsertWithOperation;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

operation_future! {
    /// Future of [`Session::upsert_with`](crate::Session::upsert_with).
    UpsertWith<> [V: Expires] (UpsertWithOperation<'a, K, V>) -> Previous
}

impl<'a, K: Key + ?Sized, V: Expires + ?Sized> UpsertWith<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(
        access: StoreRef<'a>,
        key: &'a K::Item,
        value: &'a V::Item,
        expiry: expiry::Expiry,
    ) -> Self {
        Self(OperationFuture::of_write(access, UpsertWithOperation::new(key, value, expiry)))
    }
}

operation_future! {
    /// Future of [`Session::insert_with`](crate::Session::insert_with).
    InsertWith<> [V: Expires] (Modify<'a, K, V, changes::InsertWith<'a, V>>) -> bool
}

impl<'a, K: Key + ?Sized, V: Expires + ?Sized> InsertWith<'a, K, V> {
    pub(crate) fn new(
        access: StoreRef<'a>,
        key: &'a K::Item,
        value: &'a V::Item,
        expiry: expiry::Expiry,
    ) -> Self {
        let change = changes::InsertWith::new(value, expiry);
        Self(OperationFuture::of_write(access, Modify::new(key, change)))
    }
}

operation_future! {
    /// Future of [`Session::update_with`](crate::Session::update_with).
    UpdateWith<F, R> [
        V: Expires,
        F: FnMut(
            Option<(V::Owned, expiry::Expiry)>,
        ) -> answers::Update<(V::Owned, expiry::Expiry), R>
    ] (Modify<'a, K, V, changes::DecideExpiry<F, R>>) -> R
}

impl<'a, K: Key + ?Sized, V: Expires + ?Sized, F, R> UpdateWith<'a, K, V, F, R> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, decide: F) -> Self {
        let change = changes::DecideExpiry::new(decide);
        Self(OperationFuture::of_write(access, Modify::new(key, change)))
    }
}

operation_future! {
    /// Future of [`Session::expiry`](crate::Session::expiry).
    Expiry<> [V: Expires] (Read<'a, K, V, KeyExpiry>) -> Option<expiry::Expiry>
}

impl<'a, K: Key + ?Sized, V: Expires + ?Sized> Expiry<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item) -> Self {
        Self(OperationFuture::of_read(access, Read::new(key, KeyExpiry)))
    }
}

operation_future! {
    /// Future of [`Session::set_expiry`](crate::Session::set_expiry) and
    /// [`Session::persist`](crate::Session::persist).
    SetExpiry<> [V: Expires] (SetExpiryOperation<'a, K, V>) -> bool
}

impl<'a, K: Key + ?Sized, V: Expires + ?Sized> SetExpiry<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, expiry: expiry::Expiry) -> Self {
        Self(OperationFuture::of_write(access, SetExpiryOperation::new(key, expiry)))
    }
}
