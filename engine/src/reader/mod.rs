//! Readers of a store that another process or task writes.
//!
//! A reader shows a checkpoint of the store, all of its tables as of one moment. It takes no lock,
//! writes nothing in the directory, and delays no writer. [`refresh`](StoreReader::refresh) moves
//! it to the newest checkpoint.
//!
//! # What a reader shows
//! It shows what a recovery of that checkpoint would: each session up to its [commit
//! point](StoreReader::sessions), and nothing that came later, also not what the writer has flushed
//! since. Keys that have expired by the clock of the reader show no value.
//!
//! # What a refresh costs
//! A reader restores a checkpoint as an opening does. It reads the image of the index, the files
//! beside the log, and the log after the image
//! ([`replayed_bytes`](crate::checkpoint::Info::replayed_bytes)). Until that is complete, it shows
//! the checkpoint before, and has the memory of both. A refresh without a newer checkpoint reads
//! the manifest alone.
//!
//! # When the writer removes files
//! The writer does not know its readers. It removes the files of old checkpoints, and of the log
//! that compaction has freed ([`keep_checkpoints`](crate::Config::keep_checkpoints)). A reader of
//! such a checkpoint goes on as far as its memory and its open files reach. A read that misses
//! bytes, or finds others in their place, fails with `Truncated`. Its error names the checkpoint
//! and the way out: refresh. Every unit of the log has a checksum over its address and the opening
//! that wrote it, so other bytes never pass. A reader that must not be disturbed needs a
//! [backup](crate::FasterKv::backup).
//!
//! A reader opens a file of the log when it reads the file first, once for all tables and
//! checkpoints. It keeps as many open as a quarter of the descriptors that the process may have,
//! from 8 to 1,024. While it has a removed file open, the medium keeps the space of that file,
//! beyond the [budget](crate::Config::disk) of the writer. So refresh now and then: the files are
//! closed with the checkpoint that was shown before, after its last read.
//!
//! # A checkpoint of a store in this process
//! [`FasterKv::at`](crate::FasterKv::at) shows a kept checkpoint of the store itself, for example
//! to scan it. The store knows this reader: the files of what it shows stay, and a refresh shows
//! the newest checkpoint in the same way. It keeps no more in memory than it must.
//!
//! Changes that only a [write-ahead log](crate::guide::durability#the-write-ahead-log) has are in
//! no checkpoint, so a reader does not show them.
//!
//! # Memory and threads
//! [`Config::memory`](crate::Config::memory) of a reader bounds its pages and its index together,
//! for each checkpoint that it has: two during a refresh. All of the index and the records that the
//! checkpoint keeps beside the log must fit, as they do in the memory of a writer that keeps to its
//! own. The rest has the newest pages of the log. With less memory an opening or a refresh fails
//! and names the number. A path is read through the page cache, by
//! [`io_threads`](crate::Config::io_threads) threads of the reader; files as a whole, as manifests,
//! are read on the polling thread.

// # Invariants
// 1. A reader changes nothing: its directory refuses each change (`kvick_io::wrap::ReadOnly`), its
//    log is read-only, and no driver of it flushes, evicts, compacts or takes checkpoints.
// 2. Records that the log itself lacks are in memory from the start and stay there. So the device
//    is read only below the `flushed` of the checkpoint, where units were written once.
// 3. Units count under the life that the manifest names, not under a later one: a writer that went
//    back to an older checkpoint writes others at their addresses.
// 4. A view is complete before it replaces another. All files that it reads at once have been read
//    then. The rest is checked when it is read.
// 5. A view of a store in this process pins its checkpoint before anything is read. So its reads
//    miss nothing until the store is closed, and their errors are not explained by a removal.
// 6. An error of a view that the manifest on the medium no longer has says so. The writer removes
//    files only after the manifest that no longer needs them.
//
// # Access
// `store_reader` and `database_reader` are for users, and `kept` leads to them from a store. `view`
// is one shown checkpoint. `source` opens views and replaces them.

mod database_reader;
mod kept;
mod source;
mod store_reader;
mod view;

pub use database_reader::DatabaseReader;
pub use store_reader::StoreReader;
