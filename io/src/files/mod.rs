//! Files of the operating system, and operations on them.

pub(crate) mod closing;
pub(crate) mod durability;
pub(crate) mod file;
pub(crate) mod hold;
pub(crate) mod limits;
pub(crate) mod medium;
pub(crate) mod operation;
pub(crate) mod root;
pub(crate) mod segments;
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) mod sweep;
pub(crate) mod unsynced;
