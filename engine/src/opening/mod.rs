//! The steps by which both products open a directory, and end.

pub(crate) mod directory;
pub(crate) mod ending;
pub(crate) mod lock;
