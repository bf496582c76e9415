//! Limits that the operating system sets to this process.

use std::io;

/// How many segments of one device stay open: a part of the descriptors that a process may have, so
/// that several devices, and what else the process does, have theirs.
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

/// A limit of file size that is no multiple of a block cuts a direct write, which was to end at
/// `end`, to a length that the file system refuses: its error speaks of the length.
pub(crate) fn explain_cut(error: io::Error, end: u64) -> io::Error {
    if error.kind() != io::ErrorKind::InvalidInput || !is_beyond_file_size(end) {
        return error;
    }
    let message = format!("beyond the limit of file size of this process: {error}");
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

/// Whether files of this process may not become `bytes` long.
#[cfg(unix)]
fn is_beyond_file_size(bytes: u64) -> bool {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current.is_some_and(|limit| bytes > limit)
}

#[cfg(not(unix))]
fn is_beyond_file_size(_bytes: u64) -> bool {
    false
}
