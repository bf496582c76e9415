//! A directory that refuses every change.

use std::io;
use std::sync::Arc;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, Transfer};
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory, Lock};
use crate::contract::read_only::{not_created, refusal, refuse, refuse_changes};

/// A directory that only reads another one, which may have a writer. It creates no device and takes
/// no lock.
///
/// # Errors
/// `ReadOnlyFilesystem` for an operation that would change a file, and for a lock. A sync succeeds,
/// because it has nothing to do. `NotFound` for a device without a segment, even with `create`.
#[derive(Debug)]
pub struct ReadOnly {
    inner: Arc<dyn Directory>,
}

impl ReadOnly {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Directory>) -> Self {
        Self { inner }
    }
}

impl Directory for ReadOnly {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let opening = self.inner.open_device(name, DeviceOptions { create: false, ..options });
        let missing = not_created(name);
        Box::pin(async move {
            let inner = opening.await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => missing,
                _ => error,
            })?;
            Ok(Arc::new(ReadOnlyDevice { inner }) as Arc<dyn Device>)
        })
    }

    refuse_changes!();

    crate::forward_directory!(list, read_file, file_bytes, describe);
}

#[derive(Debug)]
struct ReadOnlyDevice {
    inner: Arc<dyn Device>,
}

impl ReadOnlyDevice {
    fn place_of(&self, offset: u64) -> String {
        let (file, within) = self.inner.locate(offset);
        format!("{file} at offset {within}")
    }
}

impl Device for ReadOnlyDevice {
    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        Completion::refused(refusal("writing", &self.place_of(offset)), Some(buf))
    }

    fn sync(&self) -> Completion {
        Completion::ready(Transfer { result: Ok(()), buf: None })
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse("discarding below", &self.place_of(offset))
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse("truncating", &self.place_of(end))
    }

    crate::forward_device!(read_at, read_many, forget_below, geometry, locate, bytes_stored);
}
