//! Explains what a directory holds, and how to upgrade it, copy it and check it.
//!
//! # A store
//! | file | contents |
//! |---|---|
//! | `manifest` | fixed settings, the checkpoints and their files; TOML with a checksum |
//! | `manifest.copy` | the same, for when `manifest` is damaged |
//! | `manifest.new` | the next manifest, before its rename |
//! | `lock` | empty; locked while the store is open |
//! | `log.000000`, `log.000001`, ... | the log, a file for each segment |
//! | `index-7.000000` | the image of the index of checkpoint 7 |
//! | `part-7.000000` | the log in memory at checkpoint 7 (snapshot, incremental) |
//! | `delta-7.000000` | changed records (incremental) |
//! | `sessions-7.000000` | commit points of sessions |
//! | `wal/` | the write-ahead log, if the store has one, and has no `wal_directory` for it |
//!
//! # A log
//! `manifest`, `manifest.copy`, `lock` and `log.000000`, ... with the same meaning.
//!
//! The directory belongs to the store alone. Hidden files and other subdirectories do not matter.
//! Other files are refused when a store is created. Never delete or edit one of these files.
//!
//! The page `docs/FORMAT.md` of the repository describes every byte.
//!
//! Every byte has a checksum (CRC32C) that is bound to its place. Numbers are little endian, so a
//! directory can move between machines.
//!
//! # Upgrades
//! The manifest records the version of the format. A build opens the formats that it knows, and
//! refuses another with `Unsupported`; no file changes then. Before 1.0 a new minor version may
//! have a new format: see the changelog.
//!
//! The *types* of keys and values are recorded too. A store of other types is refused. A derived
//! value type with a `version` may [change](super::patterns#change-a-type), and so may
//! `Serde<T, MessagePack>`. [`Builder::accept_type_change`](crate::Builder::accept_type_change)
//! admits a type that was only renamed. For any other change, write the values into a new store:
//! [`scan`](crate::FasterKv::scan) returns all of them.
//!
//! # Backup
//! *A closed directory*: copy all its files, and those of the write-ahead log, in `wal` or
//! in [`wal_directory`](crate::Config::wal_directory). `lock` may be missing in the copy. This is
//! the only way to copy the files of a log. To copy a running log, read it with a
//! [`log::Follower`](crate::log::Follower) and append the entries to another log.
//!
//! *A running store*: [`backup`](crate::FasterKv::backup) takes a checkpoint, copies its files, and
//! checks the bytes on their way. Operations continue. The check finds damage of the source. That
//! the medium of the copy keeps what it has synced is only checked with
//! [`read_back`](crate::backup::Request::read_back).
//!
//! ```
//! use kvick::{Config, FasterKv};
//!
//! # kvick::runtime::block_on(async {
//! # let place = tempfile::tempdir().unwrap();
//! # let (data, monday) = (place.path().join("data"), place.path().join("monday"));
//! # #[cfg(any())]
//! let (data, monday) = ("data", "monday");
//! let store: FasterKv<u64, u64> = FasterKv::open(&data, Config::default()).await?;
//! store.upsert(&1, &10).await?;
//! let backup = store.backup(&monday).await?;
//! store.upsert(&1, &11).await?; // the store goes on
//!
//! let restored: FasterKv<u64, u64> = FasterKv::open(&monday, Config::default()).await?;
//! assert_eq!(restored.recovery().and_then(|report| report.chosen), Some(backup.token));
//! assert_eq!(restored.read(&1).await?, Some(10));
//! # restored.close().await?;
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! To *restore*, close the store, move its directory away, and open a copy of the backup in its
//! place. A backup has no write-ahead log: open it with `durability = "wal"` to give it one. To
//! *move* a store to another machine, back it up, move the directory, and open it there. The
//! machines may have other devices and memories, as long as a block of the device is no larger than
//! a unit of the store (512 bytes or 4 KiB). If its *physical* blocks are larger than those of the
//! first device, a power cut during a write may damage durable bytes beside it: copy the records
//! into a new store there ([`scan`](crate::FasterKv::scan)) instead.
//!
//! A backup may also *replace* the contents of a store that exists, in one atomic step:
//! [`replace_contents`](crate::Database::replace_contents). A replicated state machine installs a
//! snapshot in this way. The cookie of a checkpoint has its index and term, and the store that got
//! the snapshot reports them ([`recovery::Report`](crate::recovery::Report)).
//!
//! *Incremental copies* by other programs: [`files_of`](crate::FasterKv::files_of) names the files
//! of a checkpoint. Copy `manifest` first and then those of the files that the last copy lacks;
//! files of the log other than the last stay as they are. Keep the checkpoint meanwhile
//! ([`keep_checkpoints`](crate::Config::keep_checkpoints)), open the copy with its token
//! ([`recover`](crate::FasterKv::recover)), and check it with [`inspect`](crate::inspect()).
//!
//! A copy is a store like any other. Two copies that both go on are two stores; do not mix their
//! files.
//!
//! # Checks
//! [`inspect`](crate::inspect()) verifies every byte that the checkpoints of a store need, running
//! or not, and [`inspect::with_wal`](crate::inspect::with_wal) also its write-ahead log. The
//! example `inspect` is a command for both. [`log::check`](crate::log::check) does so for a log.
//! None of them locks or writes anything.
