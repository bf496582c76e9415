//! Devices that discard every write, for measuring the engine without a disk.

use std::io;
use std::sync::Arc;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, Transfer};
use crate::contract::device::{Device, Geometry};
use crate::contract::directory::{DeviceOptions, Directory};
use crate::contract::names;
use crate::memory::MemoryDirectory;

/// A [`Directory`] whose devices accept every write and discard it. Clones share the files.
///
/// Reads of a device fail with `Unsupported`. Plain files stay in memory, so that a store can be
/// opened on the directory.
#[derive(Clone, Debug, Default)]
pub struct NullDirectory {
    inner: MemoryDirectory,
}

impl NullDirectory {
    /// Creates an empty directory.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Directory for NullDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name = name.to_owned();
        Box::pin(async move {
            // Checks the arguments, and makes the device appear in `list`.
            self.inner.open_device(&name, options).await?;
            let segment_bytes = options.segment_bytes;
            Ok(Arc::new(NullDevice { name, segment_bytes }) as Arc<dyn Device>)
        })
    }

    crate::forward_directory!(
        list,
        read_file,
        file_bytes,
        write_file,
        rename,
        exchange,
        remove_file,
        sync,
        lock,
    );

    fn describe(&self) -> String {
        "null".to_owned()
    }
}

#[derive(Debug)]
struct NullDevice {
    name: String,
    segment_bytes: u64,
}

impl Device for NullDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let checked = self.geometry().check(offset, buf.len());
        let error = checked.err().unwrap_or_else(|| {
            let message = format!("{} discards writes and cannot be read; use another", self.name);
            io::Error::new(io::ErrorKind::Unsupported, message)
        });
        Completion::refused(error, Some(buf))
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let result = self.geometry().check(offset, buf.len()).map(drop);
        Completion::ready(Transfer { result, buf: Some(buf) })
    }

    fn sync(&self) -> Completion {
        Completion::ready(Transfer { result: Ok(()), buf: None })
    }

    fn discard_below(&self, _offset: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move { self.geometry().check(end, 0).map(drop) })
    }

    fn geometry(&self) -> Geometry {
        let segment_bytes = self.segment_bytes;
        let backend = "null";
        Geometry { block: 512, physical_block: 512, direct: false, backend, segment_bytes }
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        (names::segment(&self.name, offset / self.segment_bytes), offset % self.segment_bytes)
    }

    fn bytes_stored(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_accepted_and_reads_refused() {
        pollster::block_on(async {
            let directory = NullDirectory::new();
            let device = directory.open_device("log", DeviceOptions::default()).await.unwrap();
            let transfer = device.write_at(4096, AlignedBuf::zeroed(4096)).await;
            assert!(transfer.result.is_ok() && transfer.buf.is_some());
            let transfer = device.read_at(4096, AlignedBuf::zeroed(4096)).await;
            assert_eq!(transfer.result.unwrap_err().kind(), io::ErrorKind::Unsupported);
            assert!(transfer.buf.is_some());
            let refused = device.write_at(1, AlignedBuf::zeroed(512)).await.result.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            assert!(device.sync().await.result.is_ok());
            device.truncate(512).await.unwrap();
            let refused = device.truncate(1).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(directory.list().await.unwrap(), ["log.000000"]);
        });
    }
}
