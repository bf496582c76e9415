//! The code that the tests of the whole store share.
//!
//! * [`samples`]: keys and values of several types, drawn from a seed.
//! * [`model`]: random operations on a store and on a `BTreeMap`, which must agree.
//! * [`configs`]: the matrix of page sizes, memory, backends and runtimes.
//! * [`batches`]: batches of changes that are recovered whole.
//! * [`budgets`]: changes of the memory of an open store, within its bounds.
//! * [`history`]: a check that the results which several threads saw of a key can be explained.
//! * [`interrupted`]: a directory whose writer works just before an operation of a reader.
//! * [`journal`]: the operations of a session, and so the contents of any checkpoint of it.
//! * [`sharing`]: keys whose records share chains.
//! * [`simulated`]: a store on the simulated executor and disk, and the command that replays a run.
//! * [`stepped`]: a runtime whose tasks run when the test says so.
//! * [`crash`]: power cuts at every I/O, and a check of the recovered store.
//! * [`cramped`]: a log on a device of its own, which may be full.
//! * [`replica`]: a copy of a store that follows its durable changes.
//! * [`log_files`]: the raw files of a log, for tests that damage them and open the log again.
//! * [`log_frames`]: the frames of a log, read from its files without the code of the log.
//! * [`log_model`]: the operations on a log, and a check of the recovered log.
//! * [`log_state`]: the state of a log apart from its entries.
//! * [`allocations`]: an allocator that counts.
//! * [`anew`]: a directory that opens a file again for each read.
//! * [`deadline`]: a time limit on real runtimes, where a simulation cannot find a deadlock.
//! * [`files`]: the raw files of a store, for tests that damage them and open the store again.
//! * [`fuzzing`]: the bodies of the fuzz targets.
//! * [`gauge`]: the most bytes that the files of a run have at any I/O.
//! * [`mortal`]: a runtime that ends at a chosen poll.
//! * [`numbers`]: small numbers as values of several encodings.
//! * [`polling`]: futures that count polls, and futures that are dropped half way.
//! * [`wrapping`]: directories that wrap the devices of another directory.

#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
pub mod allocations;
pub mod anew;
pub mod batches;
pub mod budgets;
pub mod configs;
pub mod cramped;
pub mod crash;
pub mod crowd;
pub mod deadline;
pub mod files;
pub mod fuzzing;
pub mod gauge;
pub mod history;
pub mod interrupted;
pub mod journal;
pub mod log_files;
pub mod log_frames;
pub mod log_model;
pub mod log_state;
pub mod model;
pub mod mortal;
pub mod numbers;
pub mod polling;
pub mod replica;
pub mod samples;
pub mod sharing;
pub mod simulated;
pub mod stepped;
pub mod wrapping;
