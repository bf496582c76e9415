//! Tests with real threads: no update is lost, no value is torn, and every result can be explained.

mod answers;
mod batches;
mod checkpoints;
mod updates;
