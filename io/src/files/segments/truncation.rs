//! The changes to files that make a device shorter.

use std::sync::Arc;

use super::extent::Extent;

/// The changes that delete every byte from some offset on.
#[derive(Debug)]
pub(crate) struct Truncation<F> {
    /// Whole segments to delete, the highest first, so that a failure leaves no gap.
    pub(crate) removed: Vec<(u64, Arc<F>)>,
    /// The highest segment that stays, and its largest allowed length.
    pub(crate) cut: Option<(Arc<F>, u64)>,
    /// Whole segments to delete that are not open, the highest first.
    pub(crate) removed_closed: Vec<u64>,
    /// A segment to shorten that is not open. The caller opens it and asks again.
    pub(crate) closed_cut: Option<u64>,
}

impl<F> Truncation<F> {
    /// Returns whether the truncation deletes some of this extent.
    pub(crate) fn reaches(&self, extent: &Extent<F>) -> bool {
        let same = |file: &Arc<F>| Arc::ptr_eq(file, &extent.file);
        let end = extent.offset + extent.len as u64;
        let cut = self.cut.as_ref();
        cut.is_some_and(|(file, length)| same(file) && end > *length)
            || self.removed.iter().any(|(_, file)| same(file))
    }
}
