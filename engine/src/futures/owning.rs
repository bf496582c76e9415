//! The futures of writes that return the old value.
//!
//! A large old value stays on the heap until the future returns it. So each poll makes its
//! operation anew, in one of two forms; the futures keep only what the operation is made of.

use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::Types;
use crate::store::encoding::is_large;
use crate::store::operation::changes::{Replace as ReplaceChange, Take as TakeChange};
use crate::store::operation::future::OperationFuture;
use crate::store::operation::modify::Modify;
use crate::store::operation::read::{Boxed, DecodeValue, Reader};
use crate::store::operation::store_ref::StoreRef;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Future of [`Session::take`](crate::Session::take).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Take<'a, K: Key + ?Sized, V: Value + ?Sized>(
    OperationFuture<'a, (&'a K::Item, Types<K, V>)>,
);

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Take<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item) -> Self {
        Self(OperationFuture::new(access, (key, PhantomData)))
    }

    #[inline(never)]
    fn poll_with<R: Reader<V>>(
        &mut self,
        reader: R,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<R::Output>>> {
        let (course, (key, _)) = self.0.parts();
        let change = TakeChange::<V, R>::new(reader);
        course.poll_now(&mut Modify::<K, V, _>::new(key, change), context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Future for Take<'_, K, V> {
    type Output = Result<Option<V::Owned>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if const { is_large::<V>() } {
            return unboxed::<V>(this.poll_with(Boxed, context));
        }
        this.poll_with(DecodeValue, context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Take<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Take").field(&self.0).finish()
    }
}

/// Future of [`Session::replace`](crate::Session::replace).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Replace<'a, K: Key + ?Sized, V: Value + ?Sized>(
    OperationFuture<'a, (&'a K::Item, &'a V::Item)>,
);

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Replace<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, value: &'a V::Item) -> Self {
        Self(OperationFuture::new(access, (key, value)))
    }

    #[inline(never)]
    fn poll_with<R: Reader<V>>(
        &mut self,
        reader: R,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<R::Output>>> {
        let (course, (key, value)) = self.0.parts();
        let change = ReplaceChange::<V, R>::new(value, reader);
        course.poll_now(&mut Modify::<K, V, _>::new(key, change), context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Future for Replace<'_, K, V> {
    type Output = Result<Option<V::Owned>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if const { is_large::<V>() } {
            return unboxed::<V>(this.poll_with(Boxed, context));
        }
        this.poll_with(DecodeValue, context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Replace<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Replace").field(&self.0).finish()
    }
}

/// Moves a large value out of its box.
fn unboxed<V: Value + ?Sized>(
    polled: Poll<Result<Option<Box<V::Owned>>>>,
) -> Poll<Result<Option<V::Owned>>> {
    match polled {
        Poll::Ready(Ok(Some(value))) => Poll::Ready(Ok(Some(*value))),
        Poll::Ready(Ok(None)) => Poll::Ready(Ok(None)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}
