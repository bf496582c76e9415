//! Room at the tail: how writers take it and wait for it, and where it ends.

pub(super) mod allocator;
pub(super) mod end;
pub(super) mod limits;
pub(super) mod quota;
pub(super) mod tail;
