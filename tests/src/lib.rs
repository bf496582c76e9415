//! What the tests of the whole store share.
//!
//! * [`samples`]: keys and values of several types, drawn from a seed.
//! * [`model`]: random operations on a store and on a `BTreeMap`, which must agree.
//! * [`configs`]: the matrix of page sizes, memory, backends and runtimes.
//! * [`history`]: whether what several threads saw of a key can be explained.
//! * [`journal`]: what a session did, and so what any checkpoint of it must have.
//! * [`simulated`]: a store on the simulated executor and disk, and the command that replays.
//! * [`crash`]: power cuts at every I/O, and what must be found afterwards.
//! * [`log_files`]: the raw files of a log, to be damaged and opened again.
//! * [`log_frames`]: the frames of a log, read from its files without the code of the log.
//! * [`log_model`]: what was done to a log, and what a recovery must find of it.
//! * [`log_state`]: what changes about a log apart from its entries.
//! * [`allocations`]: an allocator that counts.
//! * [`deadline`]: a bound for real runtimes, where hanging is no deadlock of a simulation.
//! * [`files`]: the raw files of a store, to be damaged and opened again.
//! * [`fuzzing`]: the bodies of the fuzz targets.
//! * [`mortal`]: a runtime that ends at a poll of one's choosing.
//! * [`polling`]: futures that are watched, or stopped half way.

#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
pub mod allocations;
pub mod configs;
pub mod crash;
pub mod crowd;
pub mod deadline;
pub mod files;
pub mod fuzzing;
pub mod history;
pub mod journal;
pub mod log_files;
pub mod log_frames;
pub mod log_model;
pub mod log_state;
pub mod model;
pub mod mortal;
pub mod polling;
pub mod samples;
pub mod simulated;
