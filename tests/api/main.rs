//! One module for each feature, on real runtimes and devices.

mod basics;
mod batches;
mod checkpoints;
mod closures;
mod codecs;
mod conditional;
mod ended_runtimes;
mod error_texts;
mod fairness;
mod golden;
mod golden_logs;
mod inspect;
mod larger_than_memory;
mod logs;
mod long_values;
mod model;
mod panics;
mod places;
mod refusals;
mod removals;
mod runtimes;
mod sendable;
mod sessions;
mod statistics;
mod types;
mod widths;
