//! A directory whose log has a device of its own that may be full, on a disk that is not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kvick::io::{AlignedBuf, BoxFuture, Completion, Device, DeviceOptions, Directory, Transfer};

use crate::wrapping::open_wrapped;

/// The space of a device.
#[derive(Clone, Debug)]
pub struct Space {
    bytes: Arc<AtomicU64>,
    /// Whether there is none for a file that does not exist.
    refuses_files: Arc<AtomicBool>,
}

/// The space of a device that fails in place of being full.
const BROKEN: u64 = u64::MAX;

impl Space {
    /// Returns space for this number of bytes.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        Self { bytes: Arc::new(AtomicU64::new(bytes)), refuses_files: Arc::default() }
    }

    /// Refuses new files from now on. Files that exist may be written over.
    pub fn refuse_files(&self) {
        // Relaxed: the simulation has one thread.
        self.refuses_files.store(true, Ordering::Relaxed);
    }

    /// Changes the number of bytes.
    pub fn set(&self, bytes: u64) {
        // Relaxed: the simulation has one thread.
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Lets each write fail from now on.
    pub fn transition_to_broken(&self) {
        self.set(BROKEN);
    }

    /// Returns the directory with this space for each of its devices.
    #[must_use]
    pub fn within(&self, inner: Arc<dyn Directory>) -> Arc<dyn Directory> {
        Arc::new(CrampedDirectory { inner, space: self.clone() })
    }
}

#[derive(Debug)]
struct CrampedDirectory {
    inner: Arc<dyn Directory>,
    space: Space,
}

#[derive(Debug)]
struct CrampedDevice {
    inner: Arc<dyn Device>,
    space: Space,
    /// The bytes below were discarded.
    begin: AtomicU64,
}

impl Device for CrampedDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let end = offset + buf.len() as u64;
        // Relaxed: as above.
        let (begin, space) = (&self.begin, self.space.bytes.load(Ordering::Relaxed));
        let refusal = match begin.load(Ordering::Relaxed).checked_add(space) {
            _ if space == BROKEN => io::Error::other("the device is broken"),
            Some(most) if end > most => io::ErrorKind::StorageFull.into(),
            _ => return self.inner.write_at(offset, buf),
        };
        Completion::ready(Transfer { result: Err(refusal), buf: Some(buf) })
    }

    fn sync(&self) -> Completion {
        self.inner.sync()
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        let segment = self.inner.geometry().segment_bytes;
        self.begin.fetch_max(offset / segment * segment, Ordering::Relaxed);
        self.inner.discard_below(offset)
    }

    kvick::io::forward_device!(truncate, geometry, locate, bytes_stored);
}

impl Directory for CrampedDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        open_wrapped(&*self.inner, name, options, |inner| {
            let (space, begin) = (self.space.clone(), AtomicU64::new(0));
            CrampedDevice { inner, space, begin }
        })
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        Box::pin(async move {
            // Relaxed: as above.
            if self.space.refuses_files.load(Ordering::Relaxed)
                && !self.inner.list().await?.contains(&name)
            {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.inner.write_file(&name, &bytes).await
        })
    }

    kvick::io::forward_directory!(
        list,
        read_file,
        rename,
        exchange,
        remove_file,
        lock,
        sync,
        describe
    );
}
