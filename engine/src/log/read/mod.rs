//! Reading entries in order, from memory and from the device.

pub(crate) mod claim;
pub(crate) mod cursor;
pub(crate) mod entry;
pub(crate) mod last;
pub(crate) mod lookup;
pub(crate) mod options;
pub(crate) mod range;
pub(crate) mod reader;
pub(crate) mod scan;
pub(crate) mod start;
