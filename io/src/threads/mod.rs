//! Threads of this crate: how they start, which process they are in, and sets of them that do work.

pub(crate) mod blocking;
pub(crate) mod process;
pub(crate) mod spawn;
pub(crate) mod workers;
