//! Entry frames: their bytes, their places in pages, and the walk along them on the device.

pub(crate) mod format;
pub(crate) mod layout;
pub(crate) mod scanner;
pub(crate) mod stored_files;
