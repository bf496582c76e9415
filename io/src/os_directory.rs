//! A directory of real files.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backend::Backend;
use crate::completion::{Completion, OpTable};
use crate::device::Device;
use crate::directory::{BoxFuture, DeviceOptions, Directory, Lock};
use crate::file::{self, OpenMode, StorageFile};
use crate::medium::Medium;
use crate::names;
use crate::operation::{Operation, with_context};
use crate::os_device::OsDevice;
use crate::segments::Segments;

/// The files of one store, in a directory of the operating system.
#[derive(Debug)]
pub(crate) struct OsDirectory {
    place: Arc<Place>,
}

/// What the directory and its devices share.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    pub(crate) medium: Medium,
    /// Shared with other directories too.
    pub(crate) backend: Backend,
    /// The directory itself, whose entries a sync of a device makes durable too.
    pub(crate) entries: Option<Arc<StorageFile>>,
}

impl OsDirectory {
    pub(crate) fn new(path: &Path, medium: Medium, backend: Backend) -> io::Result<Self> {
        let entries =
            if cfg!(unix) { Some(Arc::new(StorageFile::open_directory(path)?)) } else { None };
        let path = path.to_owned();
        Ok(Self { place: Arc::new(Place { path, medium, backend, entries }) })
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
            let place = Arc::clone(&self.place);
            self.place.backend.blocking.call(move || job(&place)).await
        })
    }
}

impl Place {
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens one segment file.
    pub(crate) fn open_segment(&self, name: &str, create: bool) -> io::Result<StorageFile> {
        let mode = OpenMode { create, direct: self.medium.direct };
        let file = StorageFile::open(&self.path, name, mode).map_err(naming(name))?;
        if let (true, Some(entries)) = (create, &self.entries) {
            entries.note_written(0);
        }
        Ok(file)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name)).map_err(naming(name))
    }

    /// Closes a segment that was deleted where that holds up no transfer: here, or on a thread that
    /// may block once the last transfer lets go of it.
    pub(crate) fn close_deleted(&self, file: Arc<StorageFile>) {
        file.mark_deleted(&self.backend.blocking);
        if let Some(file) = Arc::into_inner(file) {
            file.close();
        }
    }

    fn open_device(
        self: &Arc<Self>,
        name: &str,
        options: DeviceOptions,
    ) -> io::Result<Arc<dyn Device>> {
        options.check()?;
        let mut files = BTreeMap::new();
        for (index, file) in list_segments(&self.path, name)? {
            files.insert(index, Arc::new(self.open_segment(&file, false)?));
        }
        if files.is_empty() {
            let first = names::segment(name, 0);
            files.insert(0, Arc::new(self.open_segment(&first, options.create)?));
        }
        let segments = Arc::new(Segments::new(name, options.segment_bytes, files));
        Ok(Arc::new(OsDevice::new(segments, Arc::clone(self))))
    }

    /// Makes files durable, one after the other.
    pub(crate) fn start_sync(&self, files: Vec<Arc<StorageFile>>) -> Completion {
        let (completion, sink) = OpTable::begin(&self.backend.table);
        Operation::start_sync(files, &self.backend.engine, sink);
        completion
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut options = file::plain_options();
        options.write(true).create(true).truncate(true);
        let mut file = options.open(self.path_of(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let mut options = file::plain_options();
        options.write(true).create(true).truncate(false);
        let file = options.open(self.path_of(name)).map_err(naming(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(OsLock { _file: file })),
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is locked", self.path_of(name).display());
                Err(io::Error::new(io::ErrorKind::WouldBlock, message))
            }
            Err(TryLockError::Error(error)) => Err(naming(name)(error)),
        }
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
        self.call(&[], |place| list(&place.path))
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| read_file(&place.path, &owned))
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| file_bytes(&place.path, &owned))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        let (owned, bytes) = (name.to_owned(), bytes.to_vec());
        self.call(&[name], move |place| place.write_file(&owned, &bytes).map_err(naming(&owned)))
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        let (old, new) = (from.to_owned(), to.to_owned());
        self.call(&[from, to], move |place| {
            fs::rename(place.path_of(&old), place.path_of(&new)).map_err(naming(&old))
        })
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.remove(&owned))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let entries = self.place.entries.iter().map(Arc::clone).collect();
            self.place.start_sync(entries).await.result
        })
    }

    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.lock(&owned))
    }

    fn describe(&self) -> String {
        self.place.path.display().to_string()
    }
}

/// Held through its descriptor: the operating system releases it when that is closed, also when
/// the process dies.
#[derive(Debug)]
struct OsLock {
    _file: File,
}

impl Lock for OsLock {}

/// The names in a directory that follow the grammar, sorted.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // What has no valid name was not made here, and cannot be asked for; nor can directories.
        if let Ok(name) = entry.file_name().into_string()
            && names::check(&name).is_ok()
            && !entry.file_type()?.is_dir()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Index and file name of every segment of `device` in a directory.
pub(crate) fn list_segments(directory: &Path, device: &str) -> io::Result<Vec<(u64, String)>> {
    let files = list(directory)?.into_iter();
    Ok(files.filter_map(|file| Some((names::segment_index(device, &file)?, file))).collect())
}

/// The whole contents of a file, which is not a link.
pub(crate) fn read_file(directory: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = file::plain_options().read(true).open(directory.join(name));
    opened.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(naming(name))?;
    Ok(bytes)
}

pub(crate) fn file_bytes(directory: &Path, name: &str) -> io::Result<u64> {
    let found = fs::symlink_metadata(directory.join(name)).map_err(naming(name))?;
    Ok(found.len())
}

/// Puts the name of the file in front of an error.
pub(crate) fn naming(name: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| with_context(error, name.to_owned())
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
        let directory = OsDirectory::new(path.path(), medium, backend).unwrap();
        let entries = directory.place.entries.as_ref().expect("there are on unix");
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
