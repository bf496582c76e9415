//! A directory of real files.

use std::io::{self, Write};
use std::sync::Arc;

use crate::backend::Backend;
use crate::blocking::Reply;
use crate::completion::{Completion, CompletionSink, OpTable};
use crate::device::Device;
use crate::directory::{BoxFuture, DeviceOptions, Directory, Lock};
use crate::file::StorageFile;
use crate::limits;
use crate::lock::{Hold, Locks};
use crate::medium::Medium;
use crate::names;
use crate::operation::Operation;
use crate::os_device::OsDevice;
use crate::os_segments::OsSegments;
use crate::root::{Access, Creation, Root, naming};

/// The files of one store, in a directory of the operating system.
#[derive(Debug)]
pub(crate) struct OsDirectory {
    place: Arc<Place>,
}

/// What the directory and its devices share.
#[derive(Debug)]
pub(crate) struct Place {
    root: Arc<Root>,
    pub(crate) locks: Locks,
    pub(crate) medium: Medium,
    /// So many segments of a device stay open.
    pub(crate) max_open: usize,
    /// Shared with other directories too.
    pub(crate) backend: Backend,
}

impl OsDirectory {
    pub(crate) fn new(root: Root, medium: Medium, backend: Backend) -> Self {
        let root = Arc::new(root);
        let locks = Locks::new(Arc::clone(&root));
        let max_open = limits::open_segments();
        Self { place: Arc::new(Place { root, locks, medium, max_open, backend }) }
    }

    /// Checks the names, then runs `job` on a thread that may block.
    fn call<T: Send + 'static>(
        &self,
        names: &[&str],
        job: impl FnOnce(&Arc<Place>) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let checked = names.iter().try_for_each(|name| names::check(name));
        Box::pin(async move {
            checked?;
            self.place.call(job).await
        })
    }
}

impl Place {
    /// The directory itself, whose entries a sync of a device makes durable too.
    pub(crate) fn entries(&self) -> Option<&Arc<StorageFile>> {
        self.root.entries()
    }

    /// Runs `job` on a thread that may block. The directory stays locked until it has ended.
    pub(crate) fn call<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Arc<Self>) -> io::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let (place, hold) = (Arc::clone(self), self.locks.hold());
        self.backend.blocking.call(move || {
            let result = job(&place);
            drop(hold);
            result
        })
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.root.remove(name).map_err(naming(name))
    }

    /// Opens one segment file that is there.
    pub(crate) fn open_segment(&self, name: &str) -> io::Result<StorageFile> {
        let direct = self.medium.direct;
        let access = Access { direct, ..Access::write(Creation::Never) };
        let opened = match StorageFile::open(&self.root, name, access) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                StorageFile::open(&self.root, name, Access { direct, ..Access::READ })
            }
            opened => opened,
        };
        opened.map_err(naming(name))
    }

    /// Creates a segment file, for which the device has no place yet. What lies there was left by
    /// an operation that nothing waits for, of this device or of a process that died: it is none of
    /// the bytes of the device, and is cut to nothing.
    pub(crate) fn create_segment(&self, name: &str) -> io::Result<StorageFile> {
        let direct = self.medium.direct;
        let access = |create| Access { direct, ..Access::write(create) };
        let created = match StorageFile::open(&self.root, name, access(Creation::New)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let path = self.root.path().display();
                tracing::warn!(name, %path, "a segment that nothing knows of is cut");
                StorageFile::open(&self.root, name, access(Creation::Empty))
            }
            created => created,
        };
        let file = created.map_err(naming(name))?;
        if let Some(entries) = self.entries() {
            entries.note_written(0);
        }
        Ok(file)
    }

    fn open_device(
        self: &Arc<Self>,
        name: &str,
        options: DeviceOptions,
    ) -> io::Result<Arc<dyn Device>> {
        let segments = Arc::new(OsSegments::open(self, name, options)?);
        Ok(Arc::new(OsDevice::new(segments, Arc::clone(self))))
    }

    /// Closes a segment that was deleted where that holds up no transfer: here, or on a thread that
    /// may block once the last transfer lets go of it.
    pub(crate) fn close_deleted(&self, file: Arc<StorageFile>) {
        file.mark_deleted(&self.backend.blocking);
        if let Some(file) = Arc::into_inner(file) {
            file.close();
        }
    }

    /// Makes files durable, one after the other.
    pub(crate) fn start_sync(&self, files: Vec<Arc<StorageFile>>) -> Completion {
        let (completion, sink) = OpTable::begin(&self.backend.table);
        self.sync_into(files, self.locks.hold(), sink);
        completion
    }

    /// As [`start_sync`](Self::start_sync), of a sync that began before.
    pub(crate) fn sync_into(
        &self,
        files: Vec<Arc<StorageFile>>,
        hold: Arc<Hold>,
        sink: CompletionSink,
    ) {
        Operation::start_sync(files, &self.backend.engine, hold, sink);
    }

    pub(crate) fn list_segments(&self, device: &str) -> io::Result<Vec<(u64, String)>> {
        self.root.list_segments(device)
    }

    pub(crate) fn file_bytes(&self, name: &str) -> io::Result<u64> {
        self.root.file_bytes(name).map_err(naming(name))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.root.open_file(name, Access::write(Creation::IfAbsent))?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }
}

impl Directory for OsDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.open_device(&owned, options))
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        self.call(&[], |place| place.root.list())
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.root.read_file(&owned))
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.file_bytes(&owned))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        let (owned, bytes) = (name.to_owned(), bytes.to_vec());
        self.call(&[name], move |place| place.write_file(&owned, &bytes).map_err(naming(&owned)))
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        let (old, new) = (from.to_owned(), to.to_owned());
        self.call(&[from, to], move |place| place.root.rename(&old, &new).map_err(naming(&old)))
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.remove(&owned))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let entries = self.place.entries().into_iter().map(Arc::clone).collect();
            self.place.start_sync(entries).await.result
        })
    }

    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.locks.take(&owned, place.medium.direct))
    }

    fn describe(&self) -> String {
        self.place.root.path().display().to_string()
    }
}

#[cfg(all(test, not(loom), unix))]
mod tests {
    use super::*;
    use crate::blocking::Blocking;
    use crate::buf::AlignedBuf;
    use crate::threads::Threads;

    #[test]
    fn a_sync_covers_a_truncation_and_the_entries_of_what_it_removed() {
        let path = tempfile::tempdir().unwrap();
        let medium = Medium { direct: false, block: 512, physical_block: 512 };
        let threads = Arc::new(Threads::start(1, 1).unwrap());
        let backend = Backend::new(threads, Arc::new(Blocking::start().unwrap()));
        let directory = OsDirectory::new(Root::open(path.path()).unwrap(), medium, backend);
        let entries = directory.place.entries().expect("there are on unix");
        let options = DeviceOptions { segment_bytes: 4096, create: true };
        pollster::block_on(async {
            let device = directory.open_device("log", options).await.unwrap();
            device.write_at(0, AlignedBuf::zeroed(3 * 4096)).await.result.unwrap();
            device.sync().await.result.unwrap();
            device.truncate(4096 + 512).await.unwrap();
            assert!(entries.needs_sync(), "a file was removed");
            device.sync().await.result.unwrap();
            device.truncate(4096 + 512).await.unwrap();
            assert!(!entries.needs_sync(), "nothing changed");
        });
    }
}
