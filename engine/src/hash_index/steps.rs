//! The state of the task that makes steps.

/// The state of the task that makes a step.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The number of steps so far, which is the version of the buckets of the next.
    pub(super) made: u64,
    /// Lines that were taken out of their buckets.
    pub(super) retired: Vec<u64>,
    /// The next bucket that is tidied.
    pub(super) tidied: u64,
    /// The number of images that are being copied. An image goes up from bucket to bucket, so no
    /// entry may move down.
    pub(super) images: usize,
}
