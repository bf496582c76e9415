//! Explains how to run a store or a log: runtimes, monitoring, full disks, limits, shutdown.
//!
//! # Runtimes
//! Operations run on the executor that polls them, whichever it is. Only *maintenance* (flushing,
//! eviction, checkpoints, commits) needs a runtime:
//!
//! | runtime | given by | note |
//! |---|---|---|
//! | a thread of the store | default | lasts as long as the store |
//! | tokio | `Handle::tokio` (feature `tokio`) | needs the time driver; close the store first |
//! | glommio | `Handle::glommio` (feature `glommio`) | Linux; close the store first |
//! | your own | [`Handle::custom`](crate::runtime::Handle::custom) | |
//! | simulation | [`Simulation`](crate::runtime::Simulation) | seeded tests |
//!
//! Pass it to [`Builder::runtime`](crate::Builder::runtime) or
//! [`log::Builder::runtime`](crate::log::Builder::runtime). A tokio program does not need
//! `Handle::tokio`. It saves a thread, but the store can do no maintenance after that runtime has
//! ended; so the default is safer.
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # fn main() -> kvick::Result<()> {
//! use kvick::runtime::Handle;
//! use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//!
//! let tokio = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("threads");
//! tokio.block_on(async {
//! #   let config = Config::default().with_backend(Backend::Memory);
//! #   #[cfg(any())]
//!     let config = Config::default();
//!     let store = FasterKv::<u64, u64>::builder(config)
//!         .runtime(Handle::tokio(tokio::runtime::Handle::current()))
//!         .open("data")
//!         .await?;
//!     store.upsert(&1, &10).await?;
//!     store.close().await // before the runtime ends
//! })
//! # }
//! # #[cfg(not(feature = "tokio"))]
//! # fn main() {}
//! ```
//!
//! If a runtime ends before its store, waiting tasks get `Poisoned` and the cause. Reads still
//! work. Closures of `rmw` and codecs run within polls: they must not block, and must not wait for
//! the store ([why](crate::FasterKv#code-within-operations)).
//!
//! # Several stores
//! Each store or log that opens a path has its own I/O threads. Share one backend among them with
//! [`SharedIo`](crate::io::SharedIo), and one runtime with a cloned handle:
//!
//! ```
//! use kvick::io::{IoConfig, SharedIo};
//! use kvick::runtime::Handle;
//! use kvick::{Config, FasterKv};
//! use kvick::config::ByteSize;
//!
//! # kvick::runtime::block_on(async {
//! # let place = tempfile::tempdir().unwrap();
//! # let path = place.path();
//! # #[cfg(any())]
//! let path = std::path::Path::new("data");
//! let io = SharedIo::new(IoConfig::default()).expect("the settings are sound");
//! let runtime = Handle::background().expect("a thread");
//! let mut stores = Vec::new();
//! for name in ["links", "clicks"] {
//!     let directory = io.open_directory(&path.join(name)).expect("a directory");
//!     let store = FasterKv::<u64, u64>::builder(Config::default().with_memory(ByteSize::mib(8)))
//!         .directory(directory)
//!         .runtime(runtime.clone())
//!         .open_in_directory()
//!         .await?;
//!     stores.push(store);
//! }
//! for store in &stores {
//!     store.close().await?;
//! }
//! # Ok::<(), kvick::Error>(())
//! # }).unwrap();
//! ```
//!
//! The environment variable `KVICK_IO` (`auto`, `uring`, `threads`, `glommio`) overrides the
//! backend of real files, for tests of a deployment. Many logs: [`log::Group`](crate::log::Group).
//!
//! # Monitoring
//! | watch | why |
//! |---|---|
//! | [`health`](crate::FasterKv::health)`().condition` | full, poisoned, closed |
//! | `health().checkpoint` | the last checkpoint failed: no checkpoint has the changes since then |
//! | `stats().checkpoints.last` | its age, without an `error`: a crash loses what is newer |
//! | `stats().wal`: `uncommitted_bytes` | with that log, a crash loses only these |
//! | `stats().wal`: `replay_bytes` | repeated by an opening; above `wal_size` no checkpoint ends |
//! | `stats().device.bytes_stored` | the log grows; see [`sizing`](super::sizing#growth-on-disk) |
//! | `stats().space` | the budget of the device: [writers that wait](#a-full-budget), and why |
//! | `stats().hits.on_device` against the sum of all `hits` | the share of cold operations |
//! | `table_stats().operations` of each table | the table that is used most |
//! | `stats().device.reads` | the reads of the device |
//! | `stats().memory.index` | it grows with the keys, and pages leave memory for it |
//! | `stats().device.read_latency_p99` | the device |
//!
//! The text of `stats()` is a table, and the text of `health()` has a line for each problem. With
//! the feature `serde` both can be serialized, like the reports of recoveries and inspections.
//!
//! Events go to `tracing`, with the targets `kvick::open`, `kvick::checkpoint`, `kvick::commit`,
//! `kvick::flush` and `kvick::epoch`. A program with a logger of the crate `log` gets them by
//! `tracing = { version = "0.1", features = ["log"] }` in its `Cargo.toml`.
//!
//! ```
//! use kvick::{Config, FasterKv};
//! use kvick::stats::Condition;
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//! store.upsert(&1, &10).await?;
//! store.checkpoint().await?;
//!
//! let health = store.health();
//! assert!(health.is_sound() && health.condition == Condition::Sound);
//! let stats = store.stats();
//! assert_eq!((stats.operations.upserts, stats.checkpoints.taken), (1, 1));
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Metrics
//! With the feature `metrics`, statistics and health are published through the facade of the crate
//! `metrics`, version 0.24. A recorder for another version gets nothing, without an error. Install
//! a recorder, such as an exporter for Prometheus. Then call `record_metrics` on
//! each scrape, or in an interval; there is no work between the calls.
//!
//! ```
//! # #[cfg(feature = "metrics")]
//! # fn main() -> kvick::Result<()> {
//! use kvick::{FasterKv, FasterLog};
//! # use kvick::Config;
//! # use kvick::config::Backend;
//!
//! fn on_scrape(store: &FasterKv<u64, u64>, log: &FasterLog) {
//!     let labels = [("store", "links")];
//!     store.stats().record_metrics(&labels);
//!     store.health().record_metrics(&labels);
//!     let labels = [("log", "clicks")];
//!     log.stats().record_metrics(&labels);
//!     log.health().record_metrics(&labels);
//! }
//! # kvick::runtime::block_on(async {
//! #     let config = Config::default().with_backend(Backend::Memory);
//! #     let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
//! #     let config = kvick::log::Config::default().with_backend(Backend::Memory);
//! #     let log = FasterLog::open("unused", config).await?;
//! #     on_scrape(&store, &log);
//! #     log.close().await?;
//! #     store.close().await
//! # })
//! # }
//! # #[cfg(not(feature = "metrics"))]
//! # fn main() {}
//! ```
//!
//! A name that ends with `_total` is a counter, which begins at 0 with each opening. All others are
//! gauges. Names with `_bytes` and `_seconds` have these units. The two metrics of the last
//! checkpoint exist once a checkpoint has ended. A log has no `index`,
//! `read-cache`, `sessions` and `waits`.
//!
//! | metric | label | of | meaning |
//! |---|---|---|---|
//! | `kvick_operations_total` | `kind` | store | finished operations |
//! | `kvick_hits_total` | `place` | store | place of the newest record, per operation |
//! | `kvick_read_cache_hits_total` | | store | records on the device that the read cache had |
//! | `kvick_suspensions_total` | | store | waits of operations |
//! | `kvick_appends_total` | | store | records appended to the log |
//! | `kvick_expired_total` | | store | reads that found an expired record |
//! | `kvick_misses_total` | | store | reads that found no value |
//! | `kvick_promotions_total` | | store | records that reads of a cache moved to the front |
//! | `kvick_index_entries` | | store | about how many entries the hash index has |
//! | `kvick_index_prefixes` | | store | limit of the entries of the hash index |
//! | `kvick_index_buckets` | | store | buckets of the hash index |
//! | `kvick_log_bytes` | `region` | store | log of a store by region |
//! | `kvick_scans` | | store | scans in progress |
//! | `kvick_log_readers` | | store | readers of the log |
//! | `kvick_scans_needed_bytes` | | store | end of the log that a scan or reader may still read |
//! | `kvick_space_budget_bytes` | | store | budget of the device, if there is one |
//! | `kvick_space_bytes` | `of` | store | space on the device |
//! | `kvick_space_debt_bytes` | | store | bytes that compaction has yet to free |
//! | `kvick_space_waiting` | | store | writers that wait for space within the budget |
//! | `kvick_space_waits_total` | | store | waits for space within the budget |
//! | `kvick_space_refused_total` | | store | such waits that ended with an error |
//! | `kvick_space_pinned_bytes` | | store | log before its begin that checkpoints need |
//! | `kvick_compacted_bytes_total` | | store | log that was compacted |
//! | `kvick_compaction_copied_bytes_total` | | store | records that compaction copied |
//! | `kvick_evicted_bytes_total` | | store | log that a cache has dropped |
//! | `kvick_seats` | | store | existing sessions and pooled seats |
//! | `kvick_checkpoints_total` | `outcome` | store | ended checkpoints |
//! | `kvick_last_checkpoint_age_seconds` | | store | time since the last one ended or failed |
//! | `kvick_last_checkpoint_duration_seconds` | | store | duration of the last checkpoint |
//! | `kvick_device_reads_total` | | store | completed reads of the device |
//! | `kvick_device_read_bytes_total` | | store | bytes read from the device |
//! | `kvick_device_read_latency_seconds` | `quantile` | store | latency of reads, an upper bound |
//! | `kvick_device_writes_total` | | both | completed writes of the device |
//! | `kvick_device_write_bytes_total` | | both | bytes written to the device |
//! | `kvick_device_write_latency_seconds` | `quantile` | both | latency of writes, an upper bound |
//! | `kvick_device_stored_bytes` | | both | bytes that the log holds on the medium |
//! | `kvick_memory_bytes` | `use` | both | memory by its use |
//! | `kvick_memory_budget_bytes` | | store | limit of the memory |
//! | `kvick_memory_floor_bytes` | | store | smallest possible limit |
//! | `kvick_memory_waited_total` | | store | reads that waited for buffers |
//! | `kvick_wal_bytes` | `part` | store | entries of the write-ahead log |
//! | `kvick_wal_commits` | | store | commits since the write-ahead log was created |
//! | `kvick_wal_written_bytes_total` | | store | bytes written to its device |
//! | `kvick_wal_write_latency_seconds` | `quantile` | store | latency of its writes |
//! | `kvick_wal_stored_bytes` | | store | bytes that it holds on the medium |
//! | `kvick_condition` | `condition` | both | 1 for the present condition, else 0 |
//! | `kvick_checkpoint_failed` | | both | 1 if the last checkpoint failed, else 0 |
//! | `kvick_log_address_bytes` | `mark` | log | addresses of a log |
//! | `kvick_log_commit_number` | | log | number of the newest durable commit |
//!
//! | label | values |
//! |---|---|
//! | `kind` | `read`, `upsert`, `modify`, `delete` |
//! | `place` | `mutable`, `read-only`, `on-device`, `absent` |
//! | `region` | `mutable`, `read-only`, `on-device` |
//! | `outcome` | `taken`, `failed` |
//! | `quantile` | `0.5`, `0.99` |
//! | `of` | `files`, `live-records`, `dead-records` |
//! | `use` | `index`, `frames`, `buffers`, `read-cache`, `sessions`, `waits`, `wal` |
//! | `condition` | `sound`, `full`, `unavailable`, `read-only`, `poisoned`, `closed` |
//! | `mark` | `begin`, `head`, `committed`, `end` |
//! | `part` | `kept`, `to-replay`, `uncommitted` |
//!
//! # A full disk
//! Nothing breaks, and nothing that was durable is lost. Reads and changes in place go on. An
//! operation that needs room gets [`StorageFull`](crate::ErrorKind::StorageFull) once memory is
//! full, and works again when there is space. A checkpoint or commit fails with `StorageFull`; take
//! it again. [`prune_checkpoints`](crate::FasterKv::prune_checkpoints) and
//! [`truncate_until`](crate::FasterLog::truncate_until) work on a full disk too. The file system
//! may free the space a moment later.
//!
//! If only the device of the [write-ahead log](crate::Config::durability) is full, the store takes
//! a checkpoint by itself, which removes whole files of the log. Writers that were refused try
//! again; [`sync`](crate::FasterKv::sync) and durable writes that have taken effect wait for that
//! checkpoint, which makes them durable. [`wal_keep`](crate::Config::wal_keep) holds, so it must be
//! less than the device. A log within its first file (an eighth of
//! [`wal_size`](crate::Config::wal_size)) gets its space back by the next opening only.
//!
//! A refused page is written again after pauses of up to half a second. So the first calls after
//! space was freed may still fail, with the earlier cause. Repeat a checkpoint or commit with
//! pauses until it succeeds, *before* `close`. A store is closed even if its last checkpoint
//! failed, and then all changes since the checkpoint before are lost.
//!
//! [`compact`](crate::FasterKv::compact) fails with `StorageFull`, too: its copies, and the
//! checkpoint after which files go, take space first. A [budget](#a-full-budget) below the size of
//! the disk keeps that space free.
//!
//! A limit of file size (`ulimit -f`) and a quota act like a full disk. The signal `SIGXFSZ` must
//! be ignored, or it ends the process.
//!
//! # A full budget
//! The files of a store with [`disk`](crate::Config::disk) never take more. A write-ahead log is
//! outside of it: see [`wal_size`](crate::Config::wal_size). Writers wait while compaction makes
//! space. `stats().space` shows the writers that wait, what is live and dead by
//! estimate, what kept checkpoints pin, and the debt: the bytes that compaction has yet to free.
//!
//! A writer gets [`StorageFull`](crate::ErrorKind::StorageFull) if all of the log has been
//! compacted since it began to wait, and there is still no space: the live data fill the budget.
//! Reads and deletions go on, and deletions make space for other writers. A change in place goes on
//! while its record is mutable. The last checkpoints that compaction takes before it refuses a
//! writer may be fold-overs, and then the next change of each record needs space, too. The budget
//! of a store is that of its opening: open it again with a larger one.
//!
//! A [scan](crate::FasterKv::scan) in progress holds compaction up, so writers wait for it. New
//! scans wait meanwhile, so that those in progress come to an end. A scan that was not used for 5
//! seconds may wait for one of the writers. Then the writers get `StorageFull`, the text names the
//! scan, and new scans begin. So a task may write while it scans, but must expect this error. It
//! may begin a scan while it scans, too. [`retain`](crate::FasterKv::retain) and
//! [`clear`](crate::FasterKv::clear) end their scans while they wait for space. Writers also get
//! the error after 30 to 60 seconds of scans that are used. A [reader of the log](crate::feed) that
//! has not read its oldest page holds compaction up, too. If it has not moved for 5 seconds, or
//! such readers were there for 30 seconds, writers get the error.
//!
//! After damage, writers get the error of the page that could not be compacted.
//!
//! A [cache](crate::Config::cache) drops where other stores compact, so live data do not fill its
//! budget. While a backup needs its files, or no checkpoint can be taken after which files go, it
//! drops no more, and writers get the error.
//!
//! A device that is full before the budget is, acts as a full disk does.
//!
//! # A read-only file system
//! A store or log that was closed opens for reading. Writes get
//! [`ReadOnly`](crate::ErrorKind::ReadOnly). After a crash it cannot be opened there, because
//! recovery must write. Then [`inspect`](crate::inspect()), [`log::check`](crate::log::check) and
//! [`log::Follower`](crate::log::Follower) read it.
//!
//! # Files and rights
//! Directories are created with mode 0700 and files with mode 0600, less the `umask`; existing
//! directories keep their mode. Links are not followed below the directory. One process at a time
//! has a directory open: `InUse` for the second. The lock ends with the process. The kernel may
//! still complete transfers of a killed process; the lock ends after them. So a program that starts
//! after a kill opens again until `InUse` ends.
//!
//! # Forks
//! A child that is forked without an exec has the memory of the store, but none of its threads. An
//! operation that needs a file, room or maintenance fails there and says so. Fork before there are
//! threads, or exec; see [`FasterKv`](crate::FasterKv#forked-processes).
//!
//! # Limits
//! | of | limit |
//! |---|---|
//! | memory of a store | 64 KiB to 16 TiB, see [sizing](super::sizing#less-and-more-memory) |
//! | `memory_max` | `memory` to 16 TiB |
//! | `index_min`, `index_max` | 128 B to 16 TiB |
//! | tables of a database | 127 over its life, dropped tables too |
//! | name of a table | 1 to 255 bytes of UTF-8 without control characters |
//! | memory of a log | 24 KiB to 1 TiB |
//! | value | [`max_value`](crate::Config::max_value): 64 MiB by default, at most 1 GiB |
//! | key | a quarter of a page up to 64 KiB; else an eighth of a page, at most 128 KiB |
//! | log of a store | 2^48 bytes over its life |
//! | log | 2^36 pages over its life: 2^48 bytes with pages of 4 KiB |
//! | entry of a log | almost half of its memory |
//! | kept checkpoints | 1024 |
//! | cookie of a commit or a checkpoint | 512 bytes |
//! | name of a session; its offset | 128 bytes; 256 bytes |
//! | name of an iterator | 128 bytes |
//! | segments of a device that stay open | a quarter of the descriptor limit, 8 to 1024 |
//!
//! # Shutdown
//! 1. Stop the tasks that write, and let them finish or drop them.
//! 2. If the disk may be full: take a checkpoint (or commit) until it succeeds.
//! 3. Await `close()`. It takes a last checkpoint or commit, ends every handle and session, and
//!    releases the directory. Several stores can close at the same time.
//! 4. End the runtime.
//!
//! A store that is only dropped ends in the background, like a crash. Its directory is `InUse`
//! until then.
