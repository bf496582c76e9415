//! Iterators with a name, and the positions that the log keeps for them.

pub(crate) mod named;
pub(crate) mod positions;
