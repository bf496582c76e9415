//! Directories that wrap other directories, as examples of [`Device`](crate::Device) and
//! [`Directory`](crate::Directory) implementations of other crates.
//!
//! A wrapper implements its own methods and forwards the others with
//! [`forward_device`](crate::forward_device) and [`forward_directory`](crate::forward_directory).
//! [`Completion::map`](crate::Completion::map) is enough to inspect or to change a transfer
//! ([`Traced`]). A wrapper that starts an operation later than its call creates its own completion
//! with [`Completions`](crate::Completions) ([`Throttled`]).

mod read_only;
mod throttled;
mod traced;

pub use read_only::ReadOnly;
pub use throttled::Throttled;
pub use traced::{Trace, TraceKind, Traced};

use std::fmt::Debug;
use std::time::Duration;

use crate::contract::boxed::BoxFuture;

/// The clock and the tasks of a wrapper. `kvick_runtime::Handle` implements it.
pub trait Timing: Debug + Send + Sync + 'static {
    /// Returns the time since some fixed origin. It never decreases.
    fn now(&self) -> Duration;

    /// Resolves `duration` after this call.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a future to its end.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);
}
