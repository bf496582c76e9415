//! The drivers that shift the marks: each makes pages immutable, writes them, frees their frames,
//! or makes them durable.

pub(super) mod begin;
pub(super) mod evict;
pub(super) mod flush;
pub(super) mod flushing;
mod prepared;
pub(super) mod read_only;
pub(super) mod requests;
pub(super) mod sync;
