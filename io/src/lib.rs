//! Moves bytes between memory and storage for kvick: every file operation of a store uses this
//! crate.
//!
//! It is not a file system, a cache or an executor. It has no records, logs or epochs.
//!
//! ```
//! use kvick_io::{AlignedBuf, DeviceOptions, Directory, MemoryDirectory};
//!
//! # pollster::block_on(async {
//! let directory = MemoryDirectory::new();
//! let device = directory.open_device("log", DeviceOptions::default()).await?;
//!
//! let mut page = AlignedBuf::zeroed(4096);
//! page[..5].copy_from_slice(b"hello");
//! device.write_at(0, page).await.result?;
//!
//! let transfer = device.read_at(0, AlignedBuf::zeroed(512)).await;
//! transfer.result?;
//! assert_eq!(&transfer.buf.expect("a read gives its buffer back")[..5], b"hello");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! ```text
//!  caller:  device.read_at(offset, buf) ----> Completion (a Send future) ----> Transfer
//!                 | moves the buffer                 ^ wakes, gives the buffer back
//!                 v                                  |
//!  engine:  queue, admission, driver thread ----> kernel
//! ```
//!
//! [`open_directory`] opens a directory of real files with threads of its own. [`SharedIo`] opens
//! any number of directories on one backend.
//!
//! This crate owns a buffer from the call until the kernel is done with it, whatever happens to the
//! future. Dropping a [`Completion`] detaches from the operation and frees nothing early.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]

mod backends;
#[cfg(feature = "contract")]
pub mod contract;
#[cfg(not(feature = "contract"))]
mod contract;
mod error;
mod files;
mod memory;
mod null;
mod os;
pub mod sim;
#[doc(hidden)]
pub mod sync;
mod threads;
pub mod wrap;

pub use backends::config::{BackendChoice, IoConfig};
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub use backends::glommio::{GlommioAttachment, attach_glommio};
pub use contract::boxed::BoxFuture;
pub use contract::buf::AlignedBuf;
pub use contract::completion::{Completion, CompletionSink, Completions, Transfer};
pub use contract::device::{Device, Geometry};
pub use contract::directory::{DeviceOptions, Directory, Lock};
pub use contract::event_source::EventSource;
pub use contract::pool::BufPool;
pub use error::ErrorClass;
pub use memory::MemoryDirectory;
pub use null::NullDirectory;
pub use os::read_only::ReadOnlyDirectory;
pub use os::shared::{SharedIo, open_directory};
#[doc(hidden)]
pub use threads::process::Birthplace;
#[doc(hidden)]
pub use threads::spawn::spawn;
