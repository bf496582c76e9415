//! Many different keys, of which few are there at once: whether the index and the time of an
//! operation are bounded by the keys that are there, and not by the keys that ever were.

pub mod report;
pub mod run;
