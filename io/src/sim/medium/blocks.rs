//! Blocks: the unit in which a simulated disk stores and loses bytes.

use std::sync::Arc;

/// The bytes of one block, shared between a disk and its images.
pub(in crate::sim) type Block = Arc<[u8]>;

/// The bytes of a range that lie in one block.
pub(in crate::sim) struct Part {
    pub(in crate::sim) index: u64,
    pub(in crate::sim) within: usize,
    pub(in crate::sim) len: usize,
}

/// Splits a range at the boundaries of blocks.
pub(in crate::sim) fn parts(block: usize, offset: u64, len: usize) -> impl Iterator<Item = Part> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let within = usize::try_from(at % block as u64).expect("less than a block");
        let left = usize::try_from(end - at).expect("at most the whole range");
        let part = Part { index: at / block as u64, within, len: left.min(block - within) };
        at += part.len as u64;
        (part.len > 0).then_some(part)
    })
}

/// Returns `block` with some of its bytes replaced.
pub(in crate::sim) fn patched(
    size: usize,
    block: Option<&Block>,
    within: usize,
    bytes: &[u8],
) -> Block {
    if bytes.len() == size {
        return Arc::from(bytes);
    }
    let mut copy = block.map_or_else(|| vec![0; size], |block| block.to_vec());
    copy[within..within + bytes.len()].copy_from_slice(bytes);
    Arc::from(copy)
}
