//! Explains how much memory and disk the data needs.
//!
//! # Memory of a store
//! [`Config::memory`](crate::Config::memory) is a budget for everything that the store allocates:
//!
//! ```text
//! memory     = index + sessions + I/O buffers + read cache + pages
//! index      = 12 to 13 bytes for each key, at most 13/16 of the memory at the creation
//! buffers    = 1/16 of the memory, at most 32 MiB
//! read cache = what it has kept, at most 1/8 of the memory
//! pages      = the rest, and at least 1/8 of the memory
//! ```
//!
//! * The index grows and shrinks with the keys, by itself. Pages leave memory for it, down to an
//!   eighth of the budget. [`expected_keys`](crate::Config::expected_keys) sets the size with which
//!   it begins.
//! * Sessions take memory from the pages. When the index has its 13/16 and the pages are down to an
//!   eighth, sessions may exceed the budget.
//! * What the store has freed, the allocator of the program may keep for later: after a compaction
//!   or a smaller `set_memory` the process may have more memory than the statistics show. An
//!   allocator that gives memory back, or glibc's `malloc_trim`, makes the two equal.
//! * Compaction borrows memory from the pages, an eighth of the budget and 32 MiB at most, to look
//!   up many old records at once. The more it has, the less it reads.
//! * A new store gets one prefix of hashes for 16 to 32 bytes of memory: the largest power of two
//!   that fits in 13/16 of the memory, at 13 bytes each. Keys of one prefix share an entry of the
//!   index, so its memory is bounded. With as many keys as prefixes, a read passes half a record of
//!   another key on average; with ten times as many, five. Records in memory cost little then, and
//!   each record on the device costs a read. [`Stats::index`](crate::stats::Stats::index) has both
//!   numbers.
//! * The pages are a cache of the newest records. Reads of older records go to the device, and
//!   second reads of the same key fill the [read cache](crate::Config::read_cache). A record takes
//!   100 bytes more there than in a page. Give the read cache more where some keys are read much
//!   more often than others, and nothing where all keys are read alike.
//! * A long value is stored in pieces: a value of more than a quarter of a page or 256 KiB, or more
//!   than half of a page of at most 64 KiB. It takes memory beyond the budget while an operation
//!   handles it. That is its length for `upsert` and `read_with`, twice that for `read`, and up to
//!   three times for `rmw`.
//! * The operating system hands out memory when the store first writes to it. So a new store takes
//!   less than `memory`. [`Stats::memory`](crate::stats::Stats::memory) has the account.
//!
//! # Less and more memory
//! [`set_memory`](crate::FasterKv::set_memory) changes the budget of an open store, up to
//! [`memory_max`](crate::Config::memory_max). More memory is used as the log grows. Less memory
//! takes as long as the device needs to write the pages that leave memory.
//!
//! ```
//! # use kvick::{Config, FasterKv};
//! # use kvick::config::{Backend, ByteSize};
//! # kvick::runtime::block_on(async {
//! let config = Config::default().with_memory(ByteSize::mib(64)).with_memory_max(ByteSize::gib(1));
//! # let config = config.with_backend(Backend::Memory);
//! let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
//! store.set_memory(ByteSize::gib(1)).await?; // the neighbours are asleep
//! store.set_memory(ByteSize::mib(32)).await?; // they are back
//! let memory = store.stats().memory;
//! // Beside these, a sixteenth of the budget is for buffers and for operations that wait.
//! let cached = memory.read_cache;
//! assert!(memory.index + memory.frames + memory.sessions + cached <= memory.budget);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! A store that is opened again may have another `memory`. Its page size and its prefixes stay, as
//! with `set_memory`. So think of both at the creation:
//!
//! * A store that will get *more* memory: set [`index_max`](crate::Config::index_max) to 13/16 of
//!   that memory. Otherwise it has few prefixes, and the chains of many keys become long.
//! * A store that will get much *less* memory: set [`page_size`](crate::Config::page_size). Two
//!   pages, the buffers and the minimum of the index must fit, or the opening is refused. By
//!   default two pages are up to a sixteenth of the memory at the creation, at most 8 MiB. Set
//!   `index_max` to 13/16 of that memory, too. Otherwise the index grows with the keys up to its
//!   prefixes, and may leave pages and buffers no room in the budget.
//!
//! An opening with less memory than the [floor](crate::stats::MemoryBytes::floor) is accepted, and
//! the store takes more than its budget then. So it does when the floor rises above the budget with
//! the keys; it logs a warning. `set_memory` refuses less than the floor;
//! [patterns](super::patterns#return-memory) has a function that goes down as far as possible.
//!
//! # Cost of a record
//! Keys and values are rounded up to 8 bytes. The [width](crate::Value::WIDTH) is that of the type.
//!
//! | key | value | bytes beside key and value |
//! |---|---|---|
//! | fixed width | fixed, at most 8 bytes | 8 |
//! | fixed width | fixed, 9 to 1024 bytes | 16 |
//! | variable | fixed, at most 8 bytes | 16 |
//! | otherwise | | 24 |
//!
//! A page on disk has 504 bytes of records in each 512 bytes. A `u64` with a `u64` takes 24 bytes
//! of log; a key of 20 bytes with a value of 100 bytes takes 24 + 24 + 104 = 152 bytes.
//!
//! ```
//! # use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<[u8], [u8]> = FasterKv::open("unused", config).await?;
//! let before = store.stats().log.mutable;
//! for key in 0..1000_u32 {
//!     let key = format!("key of 20 bytes {key:04}");
//!     store.upsert(key.as_bytes(), &[7; 100]).await?;
//! }
//! assert_eq!(store.stats().log.mutable - before, 152_000);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Growth on disk
//! The log grows until it is [compacted](crate::compaction). It grows by
//!
//! * each new key;
//! * each change of a record that can no longer be changed in place. Records in the newest 90 % of
//!   the pages ([`mutable_fraction`](crate::Config::mutable_fraction)) are changed in place;
//! * each hot record once after every fold-over checkpoint, since that makes the log immutable;
//! * each delete of a record that can no longer be changed in place;
//! * each attempt of an `rmw` or `update` to write a long value.
//!
//! An `rmw` or `update` writes the pieces of a long value before it links them, and again after
//! another writer was faster. So many tasks that modify one long value at once write it up to the
//! square of their number of times. Beside a constant writer of the key an `rmw` may not end.
//! Modify such a key by one task only, or use `upsert`.
//!
//! So a small store whose keys change all the time grows by its whole hot set at each fold-over
//! checkpoint. By [default](crate::checkpoint::Kind::Auto) such a store takes none: its checkpoints
//! write beside the log, and the log stays mutable. A kept checkpoint has at most about as many
//! bytes beside the log as the log has in memory, and as many again for changes since. Files that
//! no kept checkpoint needs are removed.
//!
//! A checkpoint adds an image of the index (9 bytes for each key) when the log has
//! grown by as much. [`keep_checkpoints`](crate::Config::keep_checkpoints) (2) are kept.
//!
//! [`Stats::device`](crate::stats::Stats::device) has `bytes_stored`, the bytes of the log on the
//! medium. If they are much more than your keys and values need, call `compact`. It writes what is
//! live once more, so the log is longer by that meanwhile. The files of the older part go with the
//! checkpoint that `compact` takes. They go later if an older kept checkpoint needs them.
//!
//! With [`space_ratio`](crate::Config::space_ratio) a store does this by itself, a part of the log
//! at a time, whenever the log has more than so many times what is live. Writers do not wait for
//! it.
//!
//! With [`disk`](crate::Config::disk) a store compacts by itself, and its files never take more,
//! apart from a write-ahead log. Writers that are faster than compaction
//! [wait](super::running#a-full-budget). Set it to at least twice what the live keys and values
//! need. With less, more of what is copied is live, and each byte that you write costs several.
//!
//! ```text
//! disk = files beside the log | values | deletions | spare pages for copies
//!        checkpoints, and what          1/32        the copies of one file
//!        the next one needs
//! ```
//!
//! Checkpoints pin what they need. With [`keep_checkpoints`](crate::Config::keep_checkpoints) of 2,
//! the space of a round of compaction comes back with the second checkpoint after it. A store that
//! is short of space takes checkpoints for that by itself. An image of the index, or a snapshot,
//! takes at most an eighth of the budget. A checkpoint without room for it has no image, or folds
//! over.
//!
//! # A cache
//! A store with [`cache`](crate::Config::cache) drops its oldest records instead. It keeps about as
//! many records as fit in `memory` beside the index, or in `disk`, without the older copies of
//! records that were changed or read again. Up to a quarter of `disk` is free, for writes while a
//! part is dropped. With checkpoints some more is not for records: a part that was dropped stays
//! until the next one, and files beside the log count.
//! [`Stats::hit_ratio`](crate::stats::Stats::hit_ratio) tells whether more memory would help. With
//! half of the memory for changes in place ([`mutable_fraction`](crate::Config::mutable_fraction))
//! the hit ratio of most loads is highest.
//!
//! # Pages and segments
//! | setting | default | effect |
//! |---|---|---|
//! | `page_size` | 1/32 of the memory for pages, 4 KiB to 4 MiB | the size of a write |
//! | `segment_size` | 1 GiB | the size of a file of the log |
//!
//! Both are fixed when a store is created. Another `page_size` is refused later, and another
//! `segment_size` is ignored. The longest key is a quarter of a page in pages of at most 64 KiB.
//! In larger pages it is an eighth of a page, at most 128 KiB. Set `page_size` for a store with
//! little memory only if its keys are long.
//!
//! # Memory and disk of a log
//! [`log::Config::memory`](crate::log::Config::memory) holds entries that are not yet written, and
//! the newest written ones for readers. An entry may take almost half of it, and so may a batch
//! of `append_many`. Each entry takes 8 bytes beside its payload, in multiples of 8 bytes. Each
//! commit takes a record, and the next entry begins in a new block of the device. So commits of
//! single small entries take a block each: 512 or 4,096 bytes, as the device says. After them a
//! log prepares blocks, up to 256 KiB: as many as it has, or 16 KiB.
//!
//! [`truncate_until`](crate::FasterLog::truncate_until) and a commit free whole segments. Choose a
//! `segment_size` (256 MiB) that is small against the space to free.
//!
//! # Logs by the thousand
//! One log has a maintenance thread and threads for I/O. [`log::Group`](crate::log::Group) shares
//! them among any number of logs. With [`log::Config::small`](crate::log::Config::small) an idle
//! log takes some 20 KiB of memory, three file descriptors and no processor time. So 1,000 logs
//! need a limit of descriptors (`ulimit -n`) above the usual 1,024.
//!
//! ```
//! use kvick::log;
//!
//! # kvick::runtime::block_on(async {
//! # let place = tempfile::tempdir().unwrap();
//! # let path = place.path();
//! # #[cfg(any())]
//! let path = std::path::Path::new("logs");
//! let group = log::Group::new(log::Config::small())?;
//! let mut logs = Vec::new();
//! for tenant in ["ann", "bob", "cy"] {
//!     logs.push(group.open(path.join(tenant)).await?);
//! }
//! futures::future::try_join_all(logs.iter().map(|log| log.append_durable(b"hello"))).await?;
//! futures::future::try_join_all(logs.iter().map(|log| log.close())).await?;
//! # Ok::<(), kvick::Error>(())
//! # }).unwrap();
//! ```
