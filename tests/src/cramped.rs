//! A directory whose log has a device of its own that may be full, on a disk that is not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kvick::io::{AlignedBuf, BoxFuture, Completion, Device, DeviceOptions, Directory, Transfer};

use crate::wrapping::open_wrapped;

/// The space of a device.
#[derive(Clone, Debug)]
pub struct Space(Arc<AtomicU64>);

/// The space of a device that fails in place of being full.
const BROKEN: u64 = u64::MAX;

impl Space {
    /// Returns space for this number of bytes.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Changes the number of bytes.
    pub fn set(&self, bytes: u64) {
        // Relaxed: the simulation has one thread.
        self.0.store(bytes, Ordering::Relaxed);
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
        let (begin, space) = (&self.begin, self.space.0.load(Ordering::Relaxed));
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

    kvick::io::forward_directory!(
        list,
        read_file,
        write_file,
        rename,
        exchange,
        remove_file,
        lock,
        sync,
        describe
    );
}
