//! Checking and repairing a log as a whole.

pub(crate) mod damage;
pub(crate) mod examine;
pub(crate) mod full_scan;
