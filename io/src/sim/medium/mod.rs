//! The simulated medium: names, files and blocks, what is in flight, and what survives a power cut.

pub(super) mod blocks;
pub(super) mod file;
pub(super) mod history;
pub(super) mod image;
pub(super) mod namespace;
pub(super) mod work;
pub(super) mod world;
