//! Operations whose cache misses overlap, for tasks that hold several futures at once.

use super::{
    CompareAndSwap, Contains, Delete, InsertIfAbsent, InsertWith, Read, ReadWith, Replace, Rmw,
    Take, Update, Upsert, UpsertWith,
};
use crate::codec::{Expires, Key, Value};
use crate::store::operation::attempt::early_lines::EarlyLines;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Future of an operation that overlaps its cache misses with those of others, for a task that
/// makes several futures and then polls them in turn: an array of futures, `join_all` of up to 30.
///
/// `interleaved()` asks the processor for the line of the index. The first poll asks for the line
/// of the record, wakes its task, and is pending once. So the memory answers while the task makes
/// and polls the other futures. A task that awaits one operation after the other gets slower by
/// it. For many keys of one kind of operation, the batches (`read_many` and others) take less
/// time, and no wake.
///
/// The effect, the errors and the cancel safety are those of the operation.
///
/// # Examples
/// ```
/// # use kvick::config::Backend;
/// # use kvick::{Config, FasterKv};
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// for key in 0..8 {
///     store.upsert(&key, &(key * 10)).await?;
/// }
/// let keys = [3, 1, 7, 5];
/// let reads = keys.iter().map(|key| store.read(key).interleaved());
/// let values = futures::future::try_join_all(reads).await?;
/// assert_eq!(values, [Some(30), Some(10), Some(70), Some(50)]);
/// # store.close().await
/// # }).unwrap();
/// ```
///
/// Source: Psaropoulos et al., *Interleaving with Coroutines*, PVLDB 11(2), 2017.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Interleaved<'a, F> {
    future: F,
    /// `Some` before the first poll, if the key can be looked up.
    lines: Option<EarlyLines<'a>>,
}

impl<F: Future + Unpin> Future for Interleaved<'_, F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if let Some(lines) = this.lines.take()
            && lines.ask_for_record()
        {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut this.future).poll(context)
    }
}

impl<F: fmt::Debug> fmt::Debug for Interleaved<'_, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Interleaved").field(&self.future).finish()
    }
}

/// Adds the form to futures. `$operation` leads to the future of the operation.
macro_rules! interleaved_forms {
    ($($name:ident<$($extra:ident),*> [$($bounds:tt)*] $(.$operation:tt)+;)+) => {$(
        impl<'a, K: Key + ?Sized, V: Value + ?Sized, $($extra),*> $name<'a, K, V, $($extra),*>
        where
            $($bounds)*
        {
            /// Overlaps the cache misses of this operation with those of others that the task
            /// holds: see [`Interleaved`]. This call asks the processor for the line of the index.
            #[inline(always)]
            pub fn interleaved(self) -> Interleaved<'a, Self> {
                let lines = self$(.$operation)+.early_lines::<K>();
                Interleaved { future: self, lines }
            }
        }
    )+};
}

interleaved_forms! {
    Read<> [] .0;
    ReadWith<F, R> [] .0;
    Contains<> [] .0;
    Upsert<> [] .0;
    UpsertWith<> [V: Expires] .0;
    Delete<> [] .0;
    InsertIfAbsent<> [] .0;
    InsertWith<> [V: Expires] .0;
    CompareAndSwap<> [] .0;
    Update<F, R> [] .0;
    Rmw<F> [] .0;
    Take<> [] .0.0;
    Replace<> [] .0.0;
}
