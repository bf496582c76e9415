//! The bodies of the fuzz targets. A fuzzer and the corpus test both call them.
//!
//! A target takes any bytes. It panics if the engine panics, serves a wrong value, or serves less
//! than it reported as durable. An error of the engine is no failure: a directory with foreign
//! bytes may be refused.
//!
//! | target | the bytes are |
//! |---|---|
//! | [`manifests`] | the text of a manifest |
//! | [`block_files`] | contents of the files of a checkpoint, under checksums that are right |
//! | [`log_frames`] | segments of a log, raw or as frames under checksums that are right |
//! | [`store_edits`] | edits of the files of a store |
//! | [`log_edits`] | edits of the files of a log |
//! | [`store_operations`] | operations on a store, with checkpoints, closes and power cuts |
//! | [`log_operations`] | operations on a log, with commits, closes and power cuts |

mod block_files;
mod checksums;
mod edits;
mod log_edits;
mod log_frames;
mod log_operations;
mod manifests;
mod store_edits;
mod store_files;
mod store_operations;
mod story;

pub use block_files::block_files;
pub use log_edits::log_edits;
pub use log_frames::log_frames;
pub use log_operations::log_operations;
pub use manifests::manifests;
pub use store_edits::store_edits;
pub use store_operations::store_operations;

/// The body of a target.
pub type Target = fn(&[u8]);

/// The targets by name. Each has a folder of inputs in `tests/fuzz/corpus`.
pub const TARGETS: [(&str, Target); 7] = [
    ("manifests", manifests),
    ("block_files", block_files),
    ("log_frames", log_frames),
    ("store_edits", store_edits),
    ("log_edits", log_edits),
    ("store_operations", store_operations),
    ("log_operations", log_operations),
];
