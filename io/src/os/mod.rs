//! Directories of the operating system, and the devices in them.

pub(crate) mod device;
pub(crate) mod directory;
pub(crate) mod lock;
pub(crate) mod open_segments;
pub(crate) mod place;
pub(crate) mod read_only;
pub(crate) mod shared;
pub(crate) mod shared_files;
