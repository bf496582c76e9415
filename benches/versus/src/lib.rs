//! kvick beside its rivals, in one process, in turns of a fraction of a second.
//!
//! Figures of a small shared machine drift by half over minutes, so every contestant is loaded
//! first and then all of them run short slices in turn, several rounds; the tables hold medians of
//! slices, and ratios of medians that were measured side by side. `memory` compares maps, `disk`
//! compares stores whose data is four times their memory, `log` compares logs. Values are verified
//! by all contestants with the same code, and key streams are the same words for all of them; of
//! the logs only kvick is read again.
//!
//! "dev reads/s" are those of the whole machine: far above "op/s" at one read at a time, another
//! process was using the device, and the table is worth nothing.

pub mod slices;
pub mod table;
pub mod words;
