//! Comparisons of kvick with its rivals, in one process, in turns of a fraction of a second.
//!
//! The figures of a small shared machine drift by half over minutes. So every contestant is loaded
//! first, and then all of them run short slices in turn, for several rounds. The tables have
//! medians of slices, and ratios of medians that were measured side by side. `memory` compares
//! maps, `disk` compares stores whose data is four times their memory, and `log` compares logs. All
//! contestants verify values with the same code, and follow the same key streams. Of the logs only
//! kvick is read again.
//!
//! "dev reads/s" counts the reads of the whole machine. If it is far above "op/s" at one read at a
//! time, another process used the device, and the table is worthless.

pub mod slices;
pub mod table;
pub mod words;
