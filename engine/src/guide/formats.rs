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
//!
//! # A log
//! `manifest`, `manifest.copy`, `lock` and `log.000000`, ... with the same meaning.
//!
//! The directory belongs to the store alone. Hidden files and subdirectories do not matter. Other
//! files are refused when a store is created. Never delete or edit one of these files.
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
//! *A closed directory*: copy all its files. `lock` may be missing in the copy. This is the only
//! way to copy the files of a log. To copy a running log, read it with a
//! [`log::Follower`](crate::log::Follower) and append the entries to another log.
//!
//! *A checkpoint of a running store*: take a checkpoint, copy `manifest` **first**, then all other
//! files. Take and remove no checkpoint during the copy. Everything that the manifest names is
//! immutable until then. Bytes of the log after the checkpoint may be copied too; the next opening
//! removes them. At last check the copy with [`inspect`](crate::inspect()).
//!
//! ```
//! use kvick::io::ReadOnlyDirectory;
//! use kvick::{Config, FasterKv};
//! use std::path::Path;
//! use std::sync::Arc;
//! use std::{fs, io};
//!
//! /// Copies the files of a store, the manifest first.
//! fn copy(from: &Path, to: &Path) -> io::Result<()> {
//!     fs::create_dir_all(to)?;
//!     fs::copy(from.join("manifest"), to.join("manifest"))?;
//!     for entry in fs::read_dir(from)? {
//!         let name = entry?.file_name();
//!         // `manifest` is copied already; the other two mean nothing in a copy.
//!         let is_left_out = ["manifest", "manifest.new", "lock"].iter().any(|left| name == *left);
//!         if !is_left_out {
//!             fs::copy(from.join(&name), to.join(&name))?;
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # kvick::runtime::block_on(async {
//! # let place = tempfile::tempdir().unwrap();
//! # let (data, backup) = (place.path().join("data"), place.path().join("backup"));
//! # #[cfg(any())]
//! let (data, backup) = (Path::new("data"), Path::new("backup"));
//! let store: FasterKv<u64, u64> = FasterKv::open(&data, Config::default()).await?;
//! store.upsert(&1, &10).await?;
//! let checkpoint = store.checkpoint().await?;
//! store.upsert(&1, &11).await?; // the store goes on
//! copy(&data, &backup).expect("the copy has space");
//!
//! let directory = ReadOnlyDirectory::open(&backup).expect("it is there");
//! let inspection = kvick::inspect(Arc::new(directory)).await?;
//! assert!(inspection.problems.is_empty(), "{inspection}");
//!
//! let restored: FasterKv<u64, u64> = FasterKv::open(&backup, Config::default()).await?;
//! assert_eq!(restored.recovery().and_then(|report| report.chosen), Some(checkpoint.token));
//! assert_eq!(restored.read(&1).await?, Some(10));
//! # restored.close().await?;
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! A copy is a store like any other. Two copies that both go on are two stores; do not mix their
//! files.
//!
//! # Checks
//! [`inspect`](crate::inspect()) verifies every byte that the checkpoints of a store need, running
//! or not; the example `inspect` is a command for it. [`log::check`](crate::log::check) does so for
//! a log. Neither locks or writes anything.
