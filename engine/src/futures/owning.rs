//! The futures of writes that return a value.
//!
//! A large value stays on the heap until the future returns it. So each poll makes its
//! operation anew, in one of two forms; the futures keep only what the operation is made of.

use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::encoding::is_large;
use crate::store::operation::changes::{self, Form};
use crate::store::operation::future::OperationFuture;
use crate::store::operation::modify::Modify;
use crate::store::operation::pending::acknowledgement::Held;
use crate::store::operation::read::{Boxed, DecodeValue, Reader};
use crate::store::operation::store_ref::StoreRef;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Future of [`Session::rmw`](crate::Session::rmw).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Rmw<'a, K: Key + ?Sized, V: Value + ?Sized, F>(
    pub(super) OperationFuture<'a, (&'a K::Item, F), V::Owned>,
);

impl<'a, K: Key + ?Sized, V: Value + ?Sized, F> Rmw<'a, K, V, F> {
    #[inline(always)]
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, update: F) -> Self {
        Self(OperationFuture::of_write(access, (key, update)))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, F> Rmw<'_, K, V, F>
where
    F: FnMut(Option<V::Owned>) -> V::Owned,
{
    #[inline(always)]
    fn poll_with<R: Form<V, Output: Held<V::Owned>>>(
        &mut self,
        form: R,
        context: &mut Context<'_>,
    ) -> Poll<Result<R::Output>> {
        let (attempts, (key, update)) = self.0.parts();
        let change = changes::Compute::<V, _, R>::new(update, form);
        attempts.poll_now(&mut Modify::<K, V, _>::new(key, change), context)
    }

    #[inline(never)]
    fn poll_boxed(&mut self, context: &mut Context<'_>) -> Poll<Result<Box<V::Owned>>> {
        self.poll_with(Boxed, context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, F> Future for Rmw<'_, K, V, F>
where
    F: FnMut(Option<V::Owned>) -> V::Owned,
{
    type Output = Result<V::Owned>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if const { is_large::<V>() } {
            return match this.poll_boxed(context) {
                Poll::Ready(Ok(value)) => Poll::Ready(Ok(*value)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            };
        }
        this.poll_with(DecodeValue, context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, F> fmt::Debug for Rmw<'_, K, V, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Rmw").field(&self.0).finish()
    }
}

/// Future of [`Session::take`](crate::Session::take).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Take<'a, K: Key + ?Sized, V: Value + ?Sized>(pub(super) Exchange<'a, K, V, false>);

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Take<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item) -> Self {
        Self(Exchange(OperationFuture::of_write(access, (key, None))))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Future for Take<'_, K, V> {
    type Output = Result<Option<V::Owned>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll_now(context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Take<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Take").field(&self.0.0).finish()
    }
}

/// Future of [`Session::replace`](crate::Session::replace).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Replace<'a, K: Key + ?Sized, V: Value + ?Sized>(pub(super) Exchange<'a, K, V, true>);

impl<'a, K: Key + ?Sized, V: Value + ?Sized> Replace<'a, K, V> {
    pub(crate) fn new(access: StoreRef<'a>, key: &'a K::Item, value: &'a V::Item) -> Self {
        Self(Exchange(OperationFuture::of_write(access, (key, Some(value)))))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Future for Replace<'_, K, V> {
    type Output = Result<Option<V::Owned>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll_now(context)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Replace<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Replace").field(&self.0.0).finish()
    }
}

/// The future of an operation on a key, and its new value if there is one, that returns the old
/// one.
type OnPair<'a, K, V, T> = OperationFuture<'a, (&'a K, Option<&'a V>), Option<T>>;

/// Exchanges the value of a key for a new value (`PUTS`), or for none.
pub(super) struct Exchange<'a, K: Key + ?Sized, V: Value + ?Sized, const PUTS: bool>(
    pub(super) OnPair<'a, K::Item, V::Item, V::Owned>,
);

impl<K: Key + ?Sized, V: Value + ?Sized, const PUTS: bool> Exchange<'_, K, V, PUTS> {
    fn poll_now(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<V::Owned>>> {
        if const { is_large::<V>() } {
            return unboxed::<V>(self.poll_with(Boxed, context));
        }
        self.poll_with(DecodeValue, context)
    }

    #[inline(never)]
    fn poll_with<R: Reader<V>>(
        &mut self,
        reader: R,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<R::Output>>>
    where
        Option<R::Output>: Held<Option<V::Owned>>,
    {
        let (attempts, (key, new)) = self.0.parts();
        let change = changes::Exchange::<V, R, PUTS>::new(*new, reader);
        attempts.poll_now(&mut Modify::<K, V, _>::new(key, change), context)
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
