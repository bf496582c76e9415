//! Following a log that another task or process writes.

pub(crate) mod device;
pub(crate) mod follower;
