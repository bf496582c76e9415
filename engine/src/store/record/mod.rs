//! Records of the store: how a key finds its newest record, and how a record gets into the log.

pub(crate) mod append;
pub(crate) mod encoding;
pub(in crate::store) mod entry;
pub(crate) mod find;
pub(crate) mod hit;
pub(crate) mod overflow;
pub(crate) mod overwrite;
pub(in crate::store) mod pieces;
