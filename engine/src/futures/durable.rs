//! Writes that survive a crash when they are ready.

use super::{
    CompareAndDelete, CompareAndSwap, Delete, DeleteIf, InsertIfAbsent, InsertWith, Replace, Rmw,
    SetExpiry, Take, Update, Upsert, UpsertWith,
};
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::StoreInner;
use crate::store::sessions::state::SessionState;
use futures::future::BoxFuture;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Future of a write that is durable when it is ready, made by
/// [`Upsert::durable`](crate::futures::Upsert::durable) and others.
///
/// It makes the write, and then waits for a commit of the write-ahead log that has it. Writes of
/// many tasks share a commit. If the write changes nothing, it waits for what it has seen.
///
/// # Errors
/// The errors of the write. `InvalidArgument` if the store has no write-ahead log: nothing was
/// written. `StorageFull` and `Poisoned` of the commit: the write has taken effect, and it is
/// unknown whether it survives a crash.
///
/// # Cancel safety
/// A dropped future may have made the write, or not. It takes nothing back.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Durable<'a, F: Future> {
    write: F,
    store: &'a StoreInner,
    ledger: Option<Arc<SessionState>>,
    /// The answer of the write, and the commit that it waits for.
    commit: Option<(F::Output, BoxFuture<'a, Result<()>>)>,
}

// The answer is not pinned: nothing polls it.
impl<F: Future + Unpin> Unpin for Durable<'_, F> {}

impl<T, F> Future for Durable<'_, F>
where
    F: Future<Output = Result<T>> + Unpin,
{
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.get_mut();
        if this.commit.is_none() {
            this.store.wal()?;
            let written = ready!(Pin::new(&mut this.write).poll(context))?;
            let (store, ledger) = (this.store, this.ledger.take());
            let commit = Box::pin(async move { store.sync(ledger.as_deref()).await });
            this.commit = Some((Ok(written), commit));
        }
        let (_, commit) = this.commit.as_mut().expect("the write is done");
        let committed = ready!(commit.as_mut().poll(context));
        let (written, _) = this.commit.take().expect("it was there just now");
        Poll::Ready(committed.and(written))
    }
}

/// Adds the durable form to futures of writes. `$operation` leads to the future of the operation.
macro_rules! durable_forms {
    ($($name:ident<$($extra:ident),*> $(.$operation:tt)+;)+) => {$(
        impl<'a, K: Key + ?Sized, V: Value + ?Sized, $($extra),*> $name<'a, K, V, $($extra),*>
        where
            Self: Future,
        {
            /// Makes the write, and is ready when it survives a crash: see [`Durable`].
            pub fn durable(self) -> Durable<'a, Self> {
                let (store, ledger) = self$(.$operation)+.surroundings();
                Durable { write: self, store, ledger, commit: None }
            }
        }
    )+};
}

durable_forms! {
    Upsert<> .0;
    UpsertWith<> .0;
    Delete<> .0;
    InsertIfAbsent<> .0;
    InsertWith<> .0;
    CompareAndSwap<> .0;
    CompareAndDelete<> .0;
    Update<F, R> .0;
    DeleteIf<F> .0;
    SetExpiry<> .0;
    Rmw<F> .0;
    Take<> .0.0;
    Replace<> .0.0;
}

impl<F: Future + fmt::Debug> fmt::Debug for Durable<'_, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Durable")
            .field("write", &self.write)
            .field("is_written", &self.commit.is_some())
            .finish_non_exhaustive()
    }
}
