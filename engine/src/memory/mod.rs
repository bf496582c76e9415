//! One budget of memory for all parts of a store.

mod governor;

pub(crate) use governor::{Gathered, MemoryGovernor, MemoryParts};
