//! An open file that does not hold up the thread that drops it.
//!
//! Closing the last descriptor of a file that has no name frees its blocks, which takes a file
//! system up to 150 ms for a GiB. The last reference to a deleted segment is often that of a read
//! in flight, and ends on the thread that carries out the transfers of all directories. So a file
//! that is marked as deleted is handed to the file threads when it is dropped.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::threads::blocking::Blocking;

/// A file that is closed on a thread that may block, if it was deleted while it was open.
#[derive(Debug)]
pub(crate) struct ClosingFile {
    /// There until this is dropped.
    file: Option<File>,
    /// Set once, when the file is deleted: where it is closed.
    closer: OnceLock<Arc<Blocking>>,
}

impl ClosingFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file: Some(file), closer: OnceLock::new() }
    }

    /// The file is deleted: `closer` is to close it, whichever thread drops it.
    pub(crate) fn mark_deleted(&self, closer: &Arc<Blocking>) {
        // A second mark says the same.
        self.closer.get_or_init(|| Arc::clone(closer));
        tell_executors();
    }

    /// Whether the file is deleted.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub(crate) fn is_marked_deleted(&self) -> bool {
        self.closer.get().is_some()
    }

    /// Closes the file on this thread, which may block.
    pub(crate) fn close(mut self) {
        free(self.file.take().expect("it is there until it is dropped"));
    }
}

impl Deref for ClosingFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for ClosingFile {
    fn drop(&mut self) {
        tell_executors();
        if let (Some(file), Some(closer)) = (self.file.take(), self.closer.take()) {
            closer.run_late(move || free(file));
        }
    }
}

/// Executors have descriptors of their own, which would keep the file.
#[cfg(all(feature = "glommio", target_os = "linux"))]
fn tell_executors() {
    crate::files::sweep::sweep();
}

/// No executor has one.
#[cfg(not(all(feature = "glommio", target_os = "linux")))]
fn tell_executors() {}

/// Closes a file, and before that frees its blocks step by step if it has no name left: other
/// changes of the file system have their turn between two steps.
fn free(file: File) {
    if let Err(error) = shrink(&file) {
        tracing::debug!(%error, "a deleted file was not shrunk before it was closed");
    }
    drop(file);
}

#[cfg(unix)]
fn shrink(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let found = file.metadata()?;
    // A file with another name, such as a backup by hard links, keeps its contents.
    if found.nlink() == 0 {
        steps_down(found.len()).try_for_each(|length| file.set_len(length))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn shrink(_file: &File) -> io::Result<()> {
    Ok(())
}

/// The lengths on the way down from `length`, without the last step, which is the close.
#[cfg(unix)]
fn steps_down(length: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(length.checked_sub(STEP), |left| left.checked_sub(STEP))
}

/// Freed at once: a few milliseconds of a file system.
#[cfg(unix)]
const STEP: u64 = 64 << 20;

#[cfg(all(test, not(loom), unix))]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;

    use super::*;

    /// Whether a descriptor of this process still leads to `file`, which has lost its name.
    #[cfg(target_os = "linux")]
    fn is_open(descriptor: i32, path: &std::path::Path) -> bool {
        let target = fs::read_link(format!("/proc/self/fd/{descriptor}"));
        target.is_ok_and(|target| target.to_string_lossy().starts_with(&*path.to_string_lossy()))
    }

    /// The driver of io_uring closed deleted segments when the last read of one ended: 34 to 159
    /// ms in which no transfer of any directory moved.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_deleted_file_is_closed_on_a_file_thread() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.000000");
        let file = ClosingFile::new(File::create(&path).unwrap());
        let descriptor = file.as_raw_fd();
        let blocking = Arc::new(Blocking::start().unwrap());
        let (open_gate, gate) = mpsc::channel::<()>();
        // The line in which files are closed has one thread, and this occupies it.
        blocking.run_late(move || gate.recv().unwrap());
        fs::remove_file(&path).unwrap();
        file.mark_deleted(&blocking);
        drop(file);
        assert!(is_open(descriptor, &path), "closed by the thread that dropped it");
        open_gate.send(()).unwrap();
        let closed = (0..10_000_000).any(|_| {
            std::thread::yield_now();
            !is_open(descriptor, &path)
        });
        assert!(closed, "nobody closed it");
    }

    #[test]
    fn a_file_that_has_another_name_keeps_its_contents() {
        let place = tempfile::tempdir().unwrap();
        let (path, backup) = (place.path().join("log.000000"), place.path().join("backup"));
        fs::write(&path, [7; 4096]).unwrap();
        fs::hard_link(&path, &backup).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(3 * STEP).unwrap();
        fs::remove_file(&path).unwrap();
        ClosingFile::new(file).close();
        assert_eq!(fs::metadata(&backup).unwrap().len(), 3 * STEP);
    }

    #[test]
    fn a_file_without_a_name_is_shrunk_in_steps() {
        assert_eq!(steps_down(0).count(), 0);
        let lengths: Vec<_> = steps_down(3 * STEP + 1).collect();
        assert_eq!(lengths, [2 * STEP + 1, STEP + 1, 1]);
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.000000");
        let file = File::create(&path).unwrap();
        file.set_len(3 * STEP + 1).unwrap();
        let other = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        ClosingFile::new(file).close();
        assert_eq!(other.metadata().unwrap().len(), 1);
    }
}
