//! What a directory is: the place of one store, and every file operation that a store does.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use crate::contract::boxed::BoxFuture;
use crate::contract::device::Device;

/// A directory: the files of one store.
///
/// Names are made of `a-z`, `0-9`, `.`, `_` and `-`; others fail with `InvalidInput`. There are no
/// sub-directories. An operation begins at its first poll. One that is dropped after that may
/// still take effect.
///
/// # Errors
/// `NotFound` for a file that does not exist; `InvalidInput` for what is no regular file; others as
/// the operating system reports them. The message names the file.
pub trait Directory: Send + Sync + Debug + 'static {
    /// Opens a device whose segments are the files `name.000000`, `name.000001`, ...
    ///
    /// # Errors
    /// `NotFound` if there is no segment and `options.create` is false; `InvalidInput` if the
    /// size of segments is not a positive multiple of 4096.
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>>;

    /// Names of all files, sorted, segments of devices among them.
    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>>;

    /// The whole contents of a file.
    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>>;

    /// Bytes of a file: of a segment as they are stored.
    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let contents = self.read_file(name);
        Box::pin(async move { Ok(contents.await?.len() as u64) })
    }

    /// Creates a file or writes over the one that is there, which keeps the space that it needs on
    /// the medium; writes all of `bytes` and makes the contents durable. Its entry in the directory
    /// is durable after [`sync`](Self::sync).
    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>>;

    /// Renames a file, replacing `to` atomically if it exists.
    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>>;

    /// Deletes a file.
    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>>;

    /// Makes the entries durable: files created, renamed and removed before this call.
    fn sync(&self) -> BoxFuture<'_, io::Result<()>>;

    /// Takes an exclusive lock, held until the result is dropped and what was changing files then
    /// has ended; the file is created if absent. Of real files the directory itself is locked too,
    /// for this handle: another handle of the same directory has no lock meanwhile, whatever its
    /// name, and deleting the file changes nothing. Files are as they stay when it is taken, also
    /// after the death of a process with transfers under way.
    ///
    /// # Errors
    /// `WouldBlock` if it is held, in this process or in another.
    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>>;

    /// The path, or what stands for one, for messages.
    fn describe(&self) -> String;
}

/// An exclusive lock on a name in a [`Directory`], released when dropped.
pub trait Lock: Send + Sync + Debug {}

/// How to open a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Bytes per segment: a positive multiple of 4096. The same on every opening of a device.
    pub segment_bytes: u64,
    /// Whether to create the device if it does not exist.
    pub create: bool,
}

impl Default for DeviceOptions {
    /// Segments of 1 GiB, created if absent.
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
        let message = format!("segment size {bytes} is not a positive multiple of 4096");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}
