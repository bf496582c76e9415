//! What every device and directory is: the traits, the buffers that they are lent, and the future
//! that gives them back.

pub(crate) mod boxed;
pub(crate) mod buf;
pub(crate) mod completion;
pub(crate) mod device;
pub(crate) mod directory;
pub(crate) mod event_source;
pub(crate) mod names;
pub(crate) mod pool;
#[cfg(feature = "contract")]
mod suite;

#[cfg(feature = "contract")]
pub use suite::{Check, Subject, checks};
