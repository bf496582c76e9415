//! The futures of operations, by name.
//!
//! All are lazy, and `Send` if keys, values and closures are. They have at most 64 bytes plus the
//! closure, and allocate nothing while the record is in memory.
//!
//! # Cancel safety
//! A dropped future has had its whole effect or none. An operation takes effect within one poll,
//! which makes it ready. A future that is dropped while it waits for the device leaves only a read
//! whose bytes are discarded.

use crate::codec::{Key, Value};
use crate::error::Result;
use crate::store::encoding::is_large;
use crate::store::operation::access::Access;
use crate::store::operation::changes::{Insert, Swap, Update};
use crate::store::operation::delete::Delete as DeleteOperation;
use crate::store::operation::future::Running;
use crate::store::operation::modify::Modify;
use crate::store::operation::read::{Exists, Owned, Read as ReadOperation, Viewed};
use crate::store::operation::upsert::Upsert as UpsertOperation;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The result of `try_read` without any I/O: the answer, or the future that will find it.
#[derive(Debug)]
#[must_use]
pub enum TryRead<'a, K: Key + ?Sized, V: Value + ?Sized> {
    /// The answer was in memory.
    Ready(Result<Option<V::Owned>>),
    /// The answer is on the device, or a writer is changing the value at this instant.
    Pending(Read<'a, K, V>),
}

/// Declares a named future over one operation, with the presentation of its output.
macro_rules! operation_future {
    (
        $(#[$doc:meta])*
        $name:ident<$($extra:ident),*> [$($bounds:tt)*] ($operation:ty) -> $output:ty,
        $present:expr
    ) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless you `.await` or poll them"]
        pub struct $name<'a, K: Key + ?Sized, V: Value + ?Sized, $($extra),*>(
            Running<'a, $operation>,
        );

        impl<K: Key + ?Sized, V: Value + ?Sized, $($extra),*> Future
            for $name<'_, K, V, $($extra),*>
        where
            $($bounds)*
        {
            type Output = Result<$output>;

            #[inline(always)]
            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                self.get_mut().0.poll_now(context).map(|result| result.map($present))
            }
        }

        impl<K: Key + ?Sized, V: Value + ?Sized, $($extra),*> fmt::Debug
            for $name<'_, K, V, $($extra),*>
        {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }
    };
}

/// Future of [`Session::read`](crate::Session::read).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Read<'a, K: Key + ?Sized, V: Value + ?Sized>(
    Running<'a, ReadOperation<'a, K, V, Owned>>,
);

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Read<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item) -> Self {
        Self(Running::new(access, ReadOperation::new(key, Owned)))
    }

    /// Returns the answer if it is in memory.
    #[inline(always)]
    pub(crate) fn try_now(mut self) -> TryRead<'a, K, V> {
        if const { is_large::<V>() } {
            return match self.try_boxed() {
                Some(Ok(Some(value))) => TryRead::Ready(Ok(Some(*value))),
                Some(Ok(None)) => TryRead::Ready(Ok(None)),
                Some(Err(error)) => TryRead::Ready(Err(error)),
                None => TryRead::Pending(self),
            };
        }
        match self.0.try_now() {
            Ok(answer) => TryRead::Ready(answer),
            Err(running) => TryRead::Pending(Self(running)),
        }
    }

    #[inline(never)]
    fn try_boxed(&mut self) -> Option<Result<Option<Box<V::Owned>>>> {
        let (course, read) = self.0.parts();
        course.try_now(&mut read.boxed())
    }

    #[inline(never)]
    fn poll_boxed(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Box<V::Owned>>>> {
        let (course, read) = self.0.parts();
        course.poll_now(&mut read.boxed(), context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Future for Read<'_, K, V> {
    type Output = Result<Option<V::Owned>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if const { is_large::<V>() } {
            return match this.poll_boxed(context) {
                Poll::Ready(Ok(Some(value))) => Poll::Ready(Ok(Some(*value))),
                Poll::Ready(Ok(None)) => Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            };
        }
        this.0.poll_now(context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Read<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Read").field(&self.0).finish()
    }
}

operation_future! {
    /// Future of [`Session::read_with`](crate::Session::read_with).
    ReadWith<F, R> [F: FnOnce(V::View<'_>) -> R]
    (ReadOperation<'a, K, V, Viewed<F, R>>) -> Option<R>, |answer| answer
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized, F, R> ReadWith<'a, K, V, F, R> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item, look: F) -> Self {
        Self(Running::new(access, ReadOperation::new(key, Viewed::new(look))))
    }
}

operation_future! {
    /// Future of [`Session::contains`](crate::Session::contains).
    Contains<> [] (ReadOperation<'a, K, V, Exists>) -> bool, |answer| answer.is_some()
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Contains<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item) -> Self {
        Self(Running::new(access, ReadOperation::new(key, Exists)))
    }
}

operation_future! {
    /// Future of [`Session::upsert`](crate::Session::upsert).
    Upsert<> [] (UpsertOperation<'a, K, V>) -> (), |()| ()
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Upsert<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item, value: &'a V::Item) -> Self {
        Self(Running::new(access, UpsertOperation::new(key, value)))
    }
}

operation_future! {
    /// Future of [`Session::rmw`](crate::Session::rmw).
    Rmw<F> [F: FnMut(Option<V::Owned>) -> V::Owned]
    (Modify<'a, K, V, Update<F>>) -> (), |_written| ()
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized, F> Rmw<'a, K, V, F> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item, update: F) -> Self {
        Self(Running::new(access, Modify::new(key, Update(update))))
    }
}

operation_future! {
    /// Future of [`Session::delete`](crate::Session::delete).
    Delete<> [] (DeleteOperation<'a, K, V>) -> (), |()| ()
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Delete<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item) -> Self {
        Self(Running::new(access, DeleteOperation::new(key)))
    }
}

operation_future! {
    /// Future of [`Session::insert_if_absent`](crate::Session::insert_if_absent).
    InsertIfAbsent<> [] (Modify<'a, K, V, Insert<'a, V>>) -> bool, |inserted| inserted
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> InsertIfAbsent<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: Access<'a>, key: &'a K::Item, value: &'a V::Item) -> Self {
        Self(Running::new(access, Modify::new(key, Insert(value))))
    }
}

operation_future! {
    /// Future of [`Session::compare_and_swap`](crate::Session::compare_and_swap).
    CompareAndSwap<> [] (Modify<'a, K, V, Swap<'a, V>>) -> bool, |swapped| swapped
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> CompareAndSwap<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(
        access: Access<'a>,
        key: &'a K::Item,
        expected: &'a V::Item,
        new: &'a V::Item,
    ) -> Self {
        Self(Running::new(access, Modify::new(key, Swap { expected, new })))
    }
}
