//! One file of the operating system: how it is opened, and what of it is not yet durable.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::blocking::Blocking;
use crate::closing::ClosingFile;
use crate::durability::Durability;

/// A segment, or a directory whose entries are to be made durable.
#[derive(Debug)]
pub(crate) struct StorageFile {
    // Fixed after open.
    file: ClosingFile,
    name: String,
    is_directory: bool,
    // Any thread, atomic.
    length: AtomicU64,
    // Under a lock of its own.
    durability: Durability,
}

/// How to open a file for transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenMode {
    pub(crate) create: bool,
    pub(crate) direct: bool,
}

impl StorageFile {
    /// Opens `name` in `directory` for transfers.
    pub(crate) fn open(directory: &Path, name: &str, mode: OpenMode) -> io::Result<Self> {
        Self::open_with(&options(mode), directory, name)
    }

    /// Opens `name` in `directory` for reads alone, through the page cache.
    pub(crate) fn open_read_only(directory: &Path, name: &str) -> io::Result<Self> {
        Self::open_with(plain_options().read(true), directory, name)
    }

    fn open_with(options: &OpenOptions, directory: &Path, name: &str) -> io::Result<Self> {
        let file = options.open(directory.join(name))?;
        let length = file.metadata()?.len();
        Ok(Self::new(file, name, length, false))
    }

    /// Opens the directory itself, to sync its entries.
    pub(crate) fn open_directory(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?, &path.display().to_string(), 0, true))
    }

    fn new(file: File, name: &str, length: u64, is_directory: bool) -> Self {
        Self {
            file: ClosingFile::new(file),
            name: name.to_owned(),
            is_directory,
            length: AtomicU64::new(length),
            durability: Durability::unknown(),
        }
    }

    /// Whether the file has lost its name: another may have it now.
    #[cfg(unix)]
    pub(crate) fn is_deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Never: a file that is open keeps its name.
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

    /// Whether a sync must include the metadata that only `fsync` writes.
    pub(crate) fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// The same open file under another descriptor.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let file = self.file.try_clone()?;
        Ok(Self::new(file, &self.name, self.length(), self.is_directory))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn descriptor(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&*self.file)
    }

    /// The file is deleted: it is closed on the threads of `closer`, whichever thread drops it.
    pub(crate) fn mark_deleted(&self, closer: &Arc<Blocking>) {
        self.file.mark_deleted(closer);
    }

    /// Whether the file is deleted.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub(crate) fn is_marked_deleted(&self) -> bool {
        self.file.is_marked_deleted()
    }

    /// Closes the file on this thread, which may block.
    pub(crate) fn close(self) {
        self.file.close();
    }

    /// A write up to `end` has completed.
    pub(crate) fn note_written(&self, end: u64) {
        self.length.fetch_max(end, Ordering::Relaxed);
        self.durability.note_written();
    }

    /// Cuts what lies at and above `length`; nothing if the file ends there or below.
    pub(crate) fn truncate(&self, length: u64) -> io::Result<()> {
        // Asked of the file: a write that failed may have made it longer than was noted.
        if self.file.metadata()?.len() > length {
            self.file.set_len(length)?;
            // No write above `length` is in flight that could raise it again. Relaxed: a statistic.
            self.length.fetch_min(length, Ordering::Relaxed);
            self.note_written(0);
        }
        Ok(())
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

/// Read and write, for the owner only, following no link, closed on exec (the default of `std`).
fn options(mode: OpenMode) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(mode.create).truncate(false);
    restrict(&mut options, mode.direct);
    options
}

/// Options for a plain file or a lock: owner only, following no link.
pub(crate) fn plain_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    restrict(&mut options, false);
    options
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, direct: bool) {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;

    let mut flags = OFlags::NOFOLLOW;
    #[cfg(target_os = "linux")]
    if direct {
        flags |= OFlags::DIRECT;
    }
    #[cfg(not(target_os = "linux"))]
    assert!(!direct, "direct I/O is offered on Linux only");
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
}

#[cfg(not(unix))]
fn restrict(_options: &mut OpenOptions, direct: bool) {
    assert!(!direct, "direct I/O is offered on Linux only");
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_sync_covers_what_was_written_when_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let mode = OpenMode { create: true, direct: false };
        let file = StorageFile::open(directory.path(), "log", mode).unwrap();
        assert!(file.needs_sync(), "an earlier process may have written");
        let first = file.durability.begin_sync();
        file.note_written(512);
        file.durability.note_synced(first);
        assert!(file.needs_sync(), "the write came after the sync began");
        file.durability.note_synced(file.durability.begin_sync());
        assert!(!file.needs_sync());
        assert_eq!(file.length(), 512);
    }

    #[test]
    fn a_truncation_is_to_be_synced_and_never_lengthens() {
        let directory = tempfile::tempdir().unwrap();
        let mode = OpenMode { create: true, direct: false };
        let file = StorageFile::open(directory.path(), "log", mode).unwrap();
        assert_eq!(file.write_at(&[7; 1024], 0).unwrap(), 1024);
        file.note_written(1024);
        file.durability.note_synced(file.durability.begin_sync());
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
        let mode = OpenMode { create: true, direct: false };
        let file = StorageFile::open(directory.path(), "log", mode).unwrap();
        assert_eq!(file.write_at(&[7; 1024], 0).unwrap(), 1024);
        file.truncate(512).unwrap();
        assert_eq!((file.length(), file.file.metadata().unwrap().len()), (0, 512));
    }
}
