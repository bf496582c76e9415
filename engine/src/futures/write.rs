//! The futures of writes.

use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::WriteWhole as WriteWholeOperation;
use crate::store::answers::{self, Previous};
use crate::store::operation::changes::{Decide, Insert, RemoveIf, Swap};
use crate::store::operation::delete::Delete as DeleteOperation;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::modify::Modify;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::Upsert as UpsertOperation;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

operation_future! {
    /// Future of [`Session::upsert`](crate::Session::upsert).
    Upsert<> [] (UpsertOperation<'a, K, V>) -> Previous
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Upsert<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, value: &'a V::Item) -> Self {
        Self(OperationFuture::of_write(access, UpsertOperation::new(key, value)))
    }
}

operation_future! {
    /// Future of [`Session::delete`](crate::Session::delete).
    Delete<> [] (DeleteOperation<'a, K, V>) -> Previous
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Delete<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item) -> Self {
        Self(OperationFuture::of_write(access, DeleteOperation::new(key)))
    }
}

operation_future! {
    /// Future of [`Session::insert_if_absent`](crate::Session::insert_if_absent).
    InsertIfAbsent<> [] (Modify<'a, K, V, Insert<'a, V>>) -> bool
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> InsertIfAbsent<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, value: &'a V::Item) -> Self {
        Self(OperationFuture::of_write(access, Modify::new(key, Insert(value))))
    }
}

operation_future! {
    /// Future of [`Session::compare_and_swap`](crate::Session::compare_and_swap).
    CompareAndSwap<> [] (Modify<'a, K, V, Swap<'a, V>>) -> bool
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> CompareAndSwap<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(
        access: StoreRef<'a>,
        key: &'a K::Item,
        expected: &'a V::Item,
        new: &'a V::Item,
    ) -> Self {
        Self(OperationFuture::of_write(access, Modify::new(key, Swap { expected, new: Some(new) })))
    }
}

operation_future! {
    /// Future of [`Session::update`](crate::Session::update).
    Update<F, R> [F: FnMut(Option<V::Owned>) -> answers::Update<V::Owned, R>]
    (Modify<'a, K, V, Decide<F, R>>) -> R
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized, F, R> Update<'a, K, V, F, R> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, decide: F) -> Self {
        Self(OperationFuture::of_write(access, Modify::new(key, Decide::new(decide))))
    }
}

operation_future! {
    /// Future of [`Session::delete_if`](crate::Session::delete_if).
    DeleteIf<F> [F: FnMut(V::View<'_>) -> bool]
    (Modify<'a, K, V, RemoveIf<F>>) -> bool
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized, F> DeleteIf<'a, K, V, F> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, is_over: F) -> Self {
        Self(OperationFuture::of_write(access, Modify::new(key, RemoveIf(is_over))))
    }
}

operation_future! {
    /// Future of [`Session::compare_and_delete`](crate::Session::compare_and_delete).
    CompareAndDelete<> [] (Modify<'a, K, V, Swap<'a, V>>) -> bool
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> CompareAndDelete<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, expected: &'a V::Item) -> Self {
        Self(OperationFuture::of_write(access, Modify::new(key, Swap { expected, new: None })))
    }
}

operation_future! {
    /// Future of [`Session::write_batch`](crate::Session::write_batch).
    WriteWhole<> [] (WriteWholeOperation<'a, K, V>) -> ()
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> WriteWhole<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, changes: &'a [u8], offset: &'a [u8]) -> Self {
        let operation = WriteWholeOperation::new(access.core(), changes, offset);
        Self(OperationFuture::of_write(access, operation))
    }
}
