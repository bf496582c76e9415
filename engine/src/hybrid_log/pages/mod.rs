//! Pages: in memory, as ranges of addresses, and as checksummed units on a device.

pub(super) mod file;
pub(super) mod frames;
pub(super) mod life;
pub(super) mod limit;
pub(super) mod memory;
pub(super) mod records;
pub(super) mod region;
pub(super) mod unit;
pub(super) mod unit_file;
