//! The wishes of callers, and what they get.

use super::Compacted;
use crate::base::error::Result;
use crate::store::Filter;
use std::any::Any;

/// The range and the filter of a compaction.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The bytes of the log, from its begin on.
    pub(super) bytes: u64,
    pub(super) filter: Option<Filter>,
}

impl Wish {
    /// The whole log, and every key stays.
    pub(crate) const ALL: Self = Self { bytes: u64::MAX, filter: None };
}

/// The end of a compaction.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(super) compacted: Result<Compacted>,
    /// The panic of the filter.
    pub(super) panic: Option<Box<dyn Any + Send>>,
}
