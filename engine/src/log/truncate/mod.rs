//! Removing the oldest or the newest entries.

pub(crate) mod holes;
pub(crate) mod truncation;
