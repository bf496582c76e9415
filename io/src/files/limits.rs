//! Limits that the operating system sets for this process.

use std::io;

/// Returns how many segments of one device stay open, from 8 to 1024.
///
/// It is a quarter of the descriptors that the process may have, so that other devices and the rest
/// of the process have enough.
pub(crate) fn open_segments() -> usize {
    const LEAST: u64 = 8;
    const MOST: u64 = 1024;
    let part = descriptors().map_or(MOST, |limit| (limit / 4).clamp(LEAST, MOST));
    usize::try_from(part).expect("it is small")
}

#[cfg(unix)]
fn descriptors() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current
}

#[cfg(not(unix))]
fn descriptors() -> Option<u64> {
    None
}

/// Replaces an error of a direct write that a limit of file size caused. The write was to end at
/// `end`. A limit that is not a multiple of a block shortens it to a length that the file system
/// refuses. The original error names only the length.
pub(crate) fn explain_cut(error: io::Error, end: u64) -> io::Error {
    if error.kind() != io::ErrorKind::InvalidInput || !is_beyond_file_size(end) {
        return error;
    }
    let message =
        format!("beyond the file size limit of this process; raise it (ulimit -f): {error}");
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

/// Returns whether files of this process may not become `bytes` long.
#[cfg(unix)]
fn is_beyond_file_size(bytes: u64) -> bool {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current.is_some_and(|limit| bytes > limit)
}

#[cfg(not(unix))]
fn is_beyond_file_size(_bytes: u64) -> bool {
    false
}
