//! When a write is ready: when it survives a crash, or when it has taken effect in memory.

use super::{
    CompareAndDelete, CompareAndSwap, Delete, DeleteIf, InsertIfAbsent, InsertWith, Replace, Rmw,
    SetExpiry, Take, Update, UpdateWith, Upsert, UpsertWith, WriteWhole,
};
use crate::codec::{Key, Value};

/// Adds both forms to futures of writes. `$operation` leads to the future of the operation.
macro_rules! acknowledged_forms {
    ($($name:ident<$($extra:ident),*> $(.$operation:tt)+;)+) => {$(
        impl<K: Key + ?Sized, V: Value + ?Sized, $($extra),*> $name<'_, K, V, $($extra),*> {
            /// Makes the future ready when the write survives a crash.
            ///
            /// It makes the write, and then waits for a commit of the write-ahead log that has it.
            /// Writes of many tasks share a commit. If the write changes nothing, it waits for what
            /// it has seen.
            ///
            /// # Errors
            /// The errors of the write. `InvalidArgument` if the store has no write-ahead log:
            /// nothing was written. `StorageFull` and `Poisoned` of the commit: the write has taken
            /// effect, and it is unknown whether it survives a crash.
            ///
            /// # Cancel safety
            /// A dropped future may have made the write, or not. It takes nothing back.
            pub fn durable(mut self) -> Self {
                self$(.$operation)+.set_durable(true);
                self
            }

            /// Makes the future ready when the write has taken effect in memory, also if the store
            /// [acknowledges](crate::Config::acknowledge) only durable writes.
            pub fn in_memory(mut self) -> Self {
                self$(.$operation)+.set_durable(false);
                self
            }
        }
    )+};
}

acknowledged_forms! {
    Upsert<> .0;
    UpsertWith<> .0;
    Delete<> .0;
    WriteWhole<> .0;
    InsertIfAbsent<> .0;
    InsertWith<> .0;
    CompareAndSwap<> .0;
    CompareAndDelete<> .0;
    Update<F, R> .0;
    UpdateWith<F, R> .0;
    DeleteIf<F> .0;
    SetExpiry<> .0;
    Rmw<F> .0;
    Take<> .0.0;
    Replace<> .0.0;
}
