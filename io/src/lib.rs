//! Moves bytes between memory and storage for kvick: every file operation of a store passes here.
//!
//! It is not: a file system, a cache, an executor. It knows no record, log or epoch.
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
//! Real files are in a directory that [`open_directory`] opens, with threads of its own, or that a
//! [`SharedIo`] opens: one backend for any number of directories.
//!
//! A buffer belongs to this crate from the call until the kernel is done with it, whatever happens
//! to the future: dropping a [`Completion`] detaches from the operation and frees nothing early.

#![doc(test(attr(deny(warnings))))]

mod backend;
mod blocking;
mod buf;
mod closing;
mod completion;
mod config;
mod device;
mod directory;
#[cfg(target_os = "linux")]
mod doorbell;
mod durability;
mod engine;
mod error_class;
mod event_source;
mod file;
#[cfg(all(feature = "glommio", target_os = "linux"))]
mod glommio;
mod limits;
mod lock;
mod medium;
mod memory;
mod names;
mod null;
mod operation;
mod os_device;
mod os_directory;
mod os_segments;
mod physical_block;
mod pool;
mod process;
mod read_only;
mod root;
#[cfg(target_os = "linux")]
mod scratch;
mod segments;
mod shared_io;
pub mod sim;
mod spawn;
#[doc(hidden)]
pub mod sync;
mod threads;
#[cfg(target_os = "linux")]
mod uring;
mod workers;

pub use buf::AlignedBuf;
pub use completion::{Completion, Transfer};
pub use config::{BackendChoice, IoConfig};
pub use device::{Device, Geometry};
pub use directory::{BoxFuture, DeviceOptions, Directory, Lock};
pub use error_class::ErrorClass;
pub use event_source::EventSource;
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub use glommio::{GlommioAttachment, attach_glommio};
pub use memory::MemoryDirectory;
pub use null::NullDirectory;
pub use pool::BufPool;
#[doc(hidden)]
pub use process::Birthplace;
pub use read_only::ReadOnlyDirectory;
pub use shared_io::{SharedIo, open_directory};
#[doc(hidden)]
pub use spawn::spawn;
