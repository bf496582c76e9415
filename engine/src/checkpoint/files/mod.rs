//! The files of a store: their names and lives, and what is in those beside the log.

pub(crate) mod checkpoint_files;
pub(crate) mod delta;
pub(crate) mod index_image;
pub(crate) mod manifest;
pub(crate) mod needs;
pub(crate) mod points;
pub(super) mod space;
pub(crate) mod stream;
