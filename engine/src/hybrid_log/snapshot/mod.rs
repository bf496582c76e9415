//! The ends of versions, their capture beside the log, and their return.

pub(super) mod capture;
pub(super) mod restore;
pub(super) mod versions;
