//! An open file that does not block the thread that drops it.
//!
//! Closing the last descriptor of a file without a name frees its blocks. A file system takes up to
//! 150 ms for a GiB. A read in flight often has the last reference to a deleted segment. It ends on
//! the thread that carries out the transfers of all directories. So a drop hands a file that is
//! marked as deleted to the file threads.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::threads::blocking::Blocking;

/// A file that a thread that may block closes, if the file was deleted while it was open.
#[derive(Debug)]
pub(crate) struct ClosingFile {
    /// `Some` until this value is dropped.
    file: Option<File>,
    /// The threads that close the file. Set once, when the file is deleted.
    closer: OnceLock<Arc<Blocking>>,
}

impl ClosingFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file: Some(file), closer: OnceLock::new() }
    }

    /// Marks the file as deleted: `closer` closes it, whichever thread drops it.
    pub(crate) fn mark_deleted(&self, closer: &Arc<Blocking>) {
        // A second mark changes nothing.
        self.closer.get_or_init(|| Arc::clone(closer));
        tell_executors();
    }

    /// Returns whether the file is deleted.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub(crate) fn is_marked_deleted(&self) -> bool {
        self.closer.get().is_some()
    }

    /// Closes the file on this thread, which may block.
    pub(crate) fn close(mut self) {
        free(self.file.take().expect("the file is open until the drop"));
    }
}

impl Deref for ClosingFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("the file is open until the drop")
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

/// Tells the executors to drop their own descriptors, which would keep the file.
#[cfg(all(feature = "glommio", target_os = "linux"))]
fn tell_executors() {
    crate::files::sweep::sweep();
}

/// Does nothing: there are no executors with descriptors.
#[cfg(not(all(feature = "glommio", target_os = "linux")))]
fn tell_executors() {}

/// Closes a file. If it has no name left, first frees its blocks in steps, so that other changes of
/// the file system can run between two steps.
fn free(file: File) {
    if let Err(error) = shrink(&file) {
        tracing::debug!(%error, "cannot shrink a deleted file before its close");
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

/// Returns the lengths on the way down from `length`, without the last step, which is the close.
#[cfg(unix)]
fn steps_down(length: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(length.checked_sub(STEP), |left| left.checked_sub(STEP))
}

/// The bytes of one step: a few milliseconds of work for a file system.
#[cfg(unix)]
const STEP: u64 = 64 << 20;

#[cfg(all(test, not(loom), unix))]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;

    use super::*;

    /// Returns whether a descriptor of this process still leads to `file`, which has lost its name.
    #[cfg(target_os = "linux")]
    fn is_open(descriptor: i32, path: &std::path::Path) -> bool {
        let target = fs::read_link(format!("/proc/self/fd/{descriptor}"));
        target.is_ok_and(|target| target.to_string_lossy().starts_with(&*path.to_string_lossy()))
    }

    /// The driver of io_uring closed a deleted segment when its last read ended. For 34 to 159 ms
    /// no transfer of any directory moved.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_deleted_file_is_closed_on_a_file_thread() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.000000");
        let file = ClosingFile::new(File::create(&path).unwrap());
        let descriptor = file.as_raw_fd();
        let blocking = Arc::new(Blocking::start().unwrap());
        let (open_gate, gate) = mpsc::channel::<()>();
        // The line that closes files has one thread, and this job occupies it.
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
        assert!(closed, "no thread closed it");
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
