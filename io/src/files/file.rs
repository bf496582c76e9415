//! One file of the operating system: how it is opened, and which of its writes are not yet durable.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::closing::ClosingFile;
use crate::files::durability::Durability;
use crate::files::unsynced::Unsynced;
use crate::threads::blocking::Blocking;

/// A segment, or a directory whose entries a sync makes durable.
#[derive(Debug)]
pub(crate) struct StorageFile {
    // Fixed after open.
    file: ClosingFile,
    name: String,
    is_directory: bool,
    /// The list that records a write to this file, and the number of this file in it.
    listed: Option<(Arc<Unsynced>, u64)>,
    // Any thread, atomic.
    length: AtomicU64,
    used: AtomicU64,
    // Under a lock of its own.
    durability: Durability,
}

impl StorageFile {
    /// Wraps a file that was opened under this name.
    pub(crate) fn opened(file: File, name: &str) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::new(file, name, length, false))
    }

    /// Wraps a directory, to sync its entries.
    #[cfg(unix)]
    pub(crate) fn directory(directory: File, path: &std::path::Path) -> Self {
        Self::new(directory, &path.display().to_string(), 0, true)
    }

    /// Returns the file, for calls that are not transfers.
    #[cfg(unix)]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Wraps a file without a name in the directory.
    #[cfg(target_os = "linux")]
    pub(crate) fn unnamed(file: File) -> Self {
        Self::new(file, "a scratch file", 0, false)
    }

    fn new(file: File, name: &str, length: u64, is_directory: bool) -> Self {
        Self {
            file: ClosingFile::new(file),
            name: name.to_owned(),
            is_directory,
            listed: None,
            length: AtomicU64::new(length),
            used: AtomicU64::new(0),
            durability: Durability::unknown(),
        }
    }

    /// Calls `probe` with the file in page-cache mode. Nothing else may use the file meanwhile.
    #[cfg(target_os = "linux")]
    pub(crate) fn buffered<T>(&self, probe: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let flags = rustix::fs::fcntl_getfl(&*self.file)?;
        rustix::fs::fcntl_setfl(&*self.file, flags - rustix::fs::OFlags::DIRECT)?;
        let found = probe(&self.file);
        rustix::fs::fcntl_setfl(&*self.file, flags)?;
        found
    }

    /// Returns whether the file has lost its name. Another file may have the name now.
    #[cfg(unix)]
    pub(crate) fn is_deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Returns false: an open file keeps its name.
    #[cfg(not(unix))]
    pub(crate) fn is_deleted(&self) -> bool {
        false
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn length(&self) -> u64 {
        // Relaxed: a statistic.
        self.length.load(Ordering::Relaxed)
    }

    /// Records the length that the file has by now, in which another process may write.
    pub(crate) fn note_length(&self, length: u64) {
        self.length.store(length, Ordering::Relaxed);
    }

    /// Returns whether a sync must include the metadata that only `fsync` writes.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Opens the same file under another descriptor.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let file = self.file.try_clone()?;
        Ok(Self::new(file, &self.name, self.length(), self.is_directory))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn descriptor(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&*self.file)
    }

    /// Marks the file as deleted. The threads of `closer` close it, whichever thread drops it.
    pub(crate) fn mark_deleted(&self, closer: &Arc<Blocking>) {
        self.file.mark_deleted(closer);
    }

    /// Returns whether the file is deleted.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub(crate) fn is_marked_deleted(&self) -> bool {
        self.file.is_marked_deleted()
    }

    /// Closes the file on this thread, which may block.
    pub(crate) fn close(self) {
        self.file.close();
    }

    /// Records that a write up to `end` has completed.
    pub(crate) fn note_written(&self, end: u64) {
        self.length.fetch_max(end, Ordering::Relaxed);
        self.durability.note_written();
        // After the count: a sync that finds no work takes the file off the list.
        if let Some((list, index)) = &self.listed {
            list.insert(*index);
        }
    }

    /// Records writes to this file in `list`.
    pub(crate) fn listed_in(mut self, list: Arc<Unsynced>, index: u64) -> Self {
        self.listed = Some((list, index));
        self
    }

    /// Records that the file is in use at time `now` of its device's clock.
    pub(crate) fn touch(&self, now: u64) {
        // Relaxed: an estimate. The load before the store keeps the cache line shared.
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Deletes the bytes at and above `length`. Does nothing if the file ends there or below.
    pub(crate) fn truncate(&self, length: u64) -> io::Result<()> {
        // Ask the file: a failed write may have made it longer than the recorded length.
        if self.file.metadata()?.len() > length {
            self.file.set_len(length).map_err(|error| self.explain_cut(error))?;
            // No write above `length` is in flight that could raise it again. Relaxed: a statistic.
            self.length.fetch_min(length, Ordering::Relaxed);
            self.note_written(0);
        }
        Ok(())
    }

    /// Explains why the file was not cut. The kernel calls the length invalid if the file is open
    /// for reading only, as it is on a read-only file system.
    #[cfg(unix)]
    fn explain_cut(&self, error: io::Error) -> io::Error {
        use rustix::fs::{OFlags, fcntl_getfl};

        let flags = fcntl_getfl(&*self.file);
        if flags.is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDONLY) {
            return io::Error::new(
                io::ErrorKind::ReadOnlyFilesystem,
                "it is open for reading only",
            );
        }
        error
    }

    #[cfg(not(unix))]
    fn explain_cut(&self, error: io::Error) -> io::Error {
        error
    }

    pub(crate) fn needs_sync(&self) -> bool {
        self.durability.needs_sync()
    }

    pub(crate) fn durability(&self) -> &Durability {
        &self.durability
    }

    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(&*self.file, buf, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(&*self.file, buf, offset);
    }

    pub(crate) fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_at(&*self.file, buf, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_write(&*self.file, buf, offset);
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.is_directory { self.file.sync_all() } else { self.file.sync_data() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::files::root::{Access, Creation, Root};

    fn create(directory: &tempfile::TempDir) -> StorageFile {
        let root = Root::open(directory.path()).expect("it is there");
        let created = root.open_storage("log", Access::write(Creation::New));
        created.expect("files can be created")
    }

    #[test]
    fn a_sync_covers_what_was_written_when_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let file = create(&directory);
        assert!(file.needs_sync(), "an earlier process may have written");
        let first = file.durability.begin_sync();
        file.note_written(512);
        file.durability.note_synced(first).unwrap();
        assert!(file.needs_sync(), "the write came after the sync began");
        file.durability.note_synced(file.durability.begin_sync()).unwrap();
        assert!(!file.needs_sync());
        assert_eq!(file.length(), 512);
    }

    #[test]
    fn a_truncation_is_to_be_synced_and_never_lengthens() {
        let directory = tempfile::tempdir().unwrap();
        let file = create(&directory);
        assert_eq!(file.write_at(&[7; 1024], 0).unwrap(), 1024);
        file.note_written(1024);
        file.durability.note_synced(file.durability.begin_sync()).unwrap();
        for longer in [1024, 4096] {
            file.truncate(longer).unwrap();
            assert!(!file.needs_sync() && file.length() == 1024);
        }
        file.truncate(512).unwrap();
        assert!(file.needs_sync());
        assert_eq!((file.length(), file.file.metadata().unwrap().len()), (512, 512));
    }

    #[test]
    fn what_a_failed_write_left_is_cut_too() {
        let directory = tempfile::tempdir().unwrap();
        let file = create(&directory);
        assert_eq!(file.write_at(&[7; 1024], 0).unwrap(), 1024);
        file.truncate(512).unwrap();
        assert_eq!((file.length(), file.file.metadata().unwrap().len()), (0, 512));
    }
}
