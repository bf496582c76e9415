//! The contract of devices and directories: the traits, the buffers that they borrow, and the
//! future that returns a buffer.

pub(crate) mod boxed;
pub(crate) mod buf;
pub(crate) mod completion;
pub(crate) mod device;
pub(crate) mod directory;
pub(crate) mod event_source;
mod forward;
pub(crate) mod names;
pub(crate) mod pool;
pub(crate) mod read_only;
#[cfg(feature = "contract")]
mod suite;

#[cfg(feature = "contract")]
pub use suite::{Check, Subject, checks};
