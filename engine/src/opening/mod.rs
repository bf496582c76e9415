//! What both products need to open a directory, and to end.

pub(crate) mod directory;
pub(crate) mod ending;
pub(crate) mod lock;
