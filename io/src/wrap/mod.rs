//! Directories around other directories: examples of what [`Device`](crate::Device) and
//! [`Directory`](crate::Directory) let a crate build.
//!
//! A wrapper does what it is for and passes on the rest, with
//! [`forward_device`](crate::forward_device) and [`forward_directory`](crate::forward_directory).
//! To look at a transfer, or to change it, [`Completion::map`](crate::Completion::map) is enough
//! ([`Traced`]). A wrapper that begins an operation later than it was asked makes a completion of
//! its own with [`Completions`](crate::Completions) ([`Throttled`]).

mod forward;
mod throttled;
mod traced;

pub use throttled::Throttled;
pub use traced::{Trace, TraceKind, Traced};

use std::fmt::Debug;
use std::time::Duration;

use crate::contract::boxed::BoxFuture;

/// The clock and the tasks that a wrapper uses. `kvick_runtime::Handle` is one.
pub trait Timing: Debug + Send + Sync + 'static {
    /// Time since some fixed origin; never goes back.
    fn now(&self) -> Duration;

    /// Resolves `duration` after this call.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a future to its end.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);
}
