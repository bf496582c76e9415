//! Reading entries in order, from memory and from the device.

pub(crate) mod followed_device;
pub(crate) mod last;
pub(crate) mod read_ahead;
pub(crate) mod reader;
pub(crate) mod scan;
pub(crate) mod skipped;
pub(crate) mod start;
