//! Real threads: no update is lost, nothing is torn, every answer can be explained.

mod answers;
mod checkpoints;
mod updates;
