//! The contract of a directory: the place of one store and all of its file operations.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use crate::contract::boxed::BoxFuture;
use crate::contract::device::Device;

/// A directory: the files of one store.
///
/// Names consist of `a-z`, `0-9`, `.`, `_` and `-`; other names fail with `InvalidInput`. There are
/// no sub-directories. An operation starts at its first poll. An operation that is dropped after
/// that may still take effect.
///
/// # Errors
/// `NotFound` for a file that does not exist; `InvalidInput` for an entry that is not a regular
/// file. Others as the operating system reports them. The message names the file.
pub trait Directory: Send + Sync + Debug + 'static {
    /// Opens a device whose segments are the files `name.000000`, `name.000001`, ...
    ///
    /// # Errors
    /// `NotFound` if there is no segment and `options.create` is false; `InvalidInput` if the size
    /// of segments is not a positive multiple of 4096.
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>>;

    /// Returns the sorted names of all files, including segments of devices.
    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>>;

    /// Returns the whole contents of a file.
    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>>;

    /// Returns the number of bytes of a file. For a segment, it is the length on the medium.
    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let contents = self.read_file(name);
        Box::pin(async move { Ok(contents.await?.len() as u64) })
    }

    /// Creates or overwrites a file, writes all of `bytes` and makes the contents durable. An
    /// overwritten file keeps the space that it needs on the medium. The entry in the directory is
    /// durable after [`sync`](Self::sync).
    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>>;

    /// Renames a file. An existing file `to` is replaced atomically.
    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>>;

    /// Exchanges the names of two files in one atomic step. Each file keeps its space.
    ///
    /// # Errors
    /// `Unsupported` if the system or the medium cannot do this; nothing has changed then.
    fn exchange(&self, one: &str, other: &str) -> BoxFuture<'_, io::Result<()>> {
        let message = format!("{one} and {other} cannot exchange names here; rename them instead");
        Box::pin(async { Err(io::Error::new(io::ErrorKind::Unsupported, message)) })
    }

    /// Deletes a file.
    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>>;

    /// Makes the entries durable: files created, renamed and removed before this call.
    fn sync(&self) -> BoxFuture<'_, io::Result<()>>;

    /// Takes an exclusive lock and creates the file `name` if absent. The lock is held until the
    /// result is dropped and every operation that changes files has ended.
    ///
    /// On a file system the lock also covers the directory itself, for this handle. Another handle
    /// of the same directory gets no lock under any name. Deleting the file does not release the
    /// lock. No earlier process changes files any more once the lock is taken, even if that process
    /// died with transfers in flight.
    ///
    /// # Errors
    /// `WouldBlock` if this process or another holds the lock.
    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>>;

    /// Returns whether the medium refuses every change at the moment.
    ///
    /// A `false` promises nothing: a change may still fail.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Returns the path, or a replacement for it, for messages.
    fn describe(&self) -> String;
}

/// An exclusive lock on a name in a [`Directory`], released when dropped.
pub trait Lock: Send + Sync + Debug {}

/// Options for opening a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Bytes per segment: a positive multiple of 4096, and the same at every opening of the device.
    pub segment_bytes: u64,
    /// Whether to create the device if it does not exist.
    pub create: bool,
}

impl Default for DeviceOptions {
    /// Returns segments of 1 GiB, created if absent.
    fn default() -> Self {
        Self { segment_bytes: 1 << 30, create: true }
    }
}

impl DeviceOptions {
    pub(crate) fn check(&self) -> io::Result<()> {
        let bytes = self.segment_bytes;
        if bytes > 0 && bytes.is_multiple_of(4096) && i64::try_from(bytes).is_ok() {
            return Ok(());
        }
        let message =
            format!("segment size {bytes} is not a positive multiple of 4096; choose another");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}
