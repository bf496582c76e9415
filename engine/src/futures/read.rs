//! The futures of reads.

use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::encoding::is_large;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::read::{DecodeValue, KeyExists, Read as ReadOperation, ViewValue};
use crate::store::operation::store_ref::StoreRef;
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

/// Future of [`Session::read`](crate::Session::read).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Read<'a, K: Key + ?Sized, V: Value + ?Sized>(
    pub(super) OperationFuture<'a, ReadOperation<'a, K, V, DecodeValue>, Option<V::Owned>>,
);

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Read<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item) -> Self {
        Self(OperationFuture::of_read(access, ReadOperation::new(key, DecodeValue)))
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
        let (attempts, read) = self.0.parts();
        attempts.try_now(&mut read.boxed())
    }

    #[inline(never)]
    fn poll_boxed(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Box<V::Owned>>>> {
        let (attempts, read) = self.0.parts();
        attempts.poll_now(&mut read.boxed(), context)
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
    (ReadOperation<'a, K, V, ViewValue<F, R>>) -> Option<R>
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized, F, R> ReadWith<'a, K, V, F, R> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, look: F) -> Self {
        Self(OperationFuture::of_read(access, ReadOperation::new(key, ViewValue::new(look))))
    }
}

operation_future! {
    /// Future of [`Session::contains`](crate::Session::contains).
    Contains<> [] (ReadOperation<'a, K, V, KeyExists>) -> Option<()> => bool,
    |answer| answer.is_some()
}

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Contains<'a, K, V> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item) -> Self {
        Self(OperationFuture::of_read(access, ReadOperation::new(key, KeyExists)))
    }
}
