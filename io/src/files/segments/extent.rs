//! Ranges of bytes within files.

use std::sync::Arc;

/// A range of bytes within one file.
#[derive(Debug)]
pub(crate) struct Extent<F> {
    pub(crate) file: Arc<F>,
    pub(crate) offset: u64,
    pub(crate) len: usize,
}

/// A range of bytes in order. It nearly always has one extent, which needs no allocation.
#[derive(Debug)]
pub(crate) struct Extents<F> {
    pub(crate) first: Extent<F>,
    pub(crate) rest: Vec<Extent<F>>,
}
