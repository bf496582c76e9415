//! Threads of this crate: how they start, their process, and sets of worker threads.

pub(crate) mod blocking;
pub(crate) mod process;
pub(crate) mod spawn;
pub(crate) mod workers;
