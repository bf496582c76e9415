//! The futures of operations, by name.
//!
//! All are lazy, and `Send` if keys, values and closures are. They have at most 64 bytes, plus the
//! closure or the expiry, and allocate nothing while the record is in memory.
//!
//! # Cancel safety
//! A dropped future has had its whole effect or none. An operation takes effect within one poll,
//! which makes it ready. A future that is dropped while it waits for the device leaves only a read
//! whose bytes are discarded.

/// Declares a named future over one operation, and how it presents the output if not as it is.
macro_rules! operation_future {
    (
        $(#[$doc:meta])*
        $name:ident<$($extra:ident),*> [$($bounds:tt)*] ($operation:ty) -> $output:ty
    ) => {
        operation_future! {
            $(#[$doc])*
            $name<$($extra),*> [$($bounds)*] ($operation) -> $output => $output, |output| output
        }
    };
    (
        $(#[$doc:meta])*
        $name:ident<$($extra:ident),*> [$($bounds:tt)*] ($operation:ty) -> $held:ty => $output:ty,
        $present:expr
    ) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless you `.await` or poll them"]
        pub struct $name<'a, K: Key + ?Sized, V: Value + ?Sized, $($extra),*>(
            pub(super) OperationFuture<'a, $operation, $held>,
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

mod durable;
mod expiry;
mod interleaved;
mod owning;
mod read;
mod write;

pub use expiry::{Expiry, InsertWith, SetExpiry, UpdateWith, UpsertWith};
pub use interleaved::Interleaved;
pub use owning::{Replace, Rmw, Take};
pub use read::{Contains, Read, ReadWith, TryRead};
pub use write::{
    CompareAndDelete, CompareAndSwap, Delete, DeleteIf, InsertIfAbsent, Update, Upsert, WriteWhole,
};
