//! Reading entries in order, from memory and from the device.

pub(crate) mod cursor;
pub(crate) mod device_reader;
pub(crate) mod entry;
pub(crate) mod last;
pub(crate) mod lookup;
pub(crate) mod range;
pub(crate) mod read_ahead;
pub(crate) mod reader;
pub(crate) mod scan;
pub(crate) mod skipped;
pub(crate) mod start;
