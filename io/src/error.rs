//! Errors of file operations: whether another attempt can succeed, and their context.

use std::error::Error;
use std::io;

/// Whether a failed file operation can succeed later, unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The medium is full, or a quota or a file size limit is reached. Free space, then try again.
    NoSpace,
    /// The system lacks descriptors, tasks or memory for a moment. The operation did not start; try
    /// it again later.
    NotNow,
    /// Another attempt does not help.
    Never,
}

impl ErrorClass {
    /// Returns the class of `error`, which may be wrapped in errors that add context.
    ///
    /// `WouldBlock` counts as [`NotNow`](Self::NotNow). A caller that takes locks checks the kind
    /// first.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace,
            io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::Interrupted => Self::NotNow,
            _ => Self::Never,
        };
        if kind != Self::Never {
            return kind;
        }
        match raw_os_error(error) {
            Some(code) if is_shortage(code) => Self::NotNow,
            _ => Self::Never,
        }
    }
}

/// Returns the error code of the operating system, however often the error was wrapped.
fn raw_os_error(error: &io::Error) -> Option<i32> {
    if let Some(code) = error.raw_os_error() {
        return Some(code);
    }
    let mut cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(inner) = cause {
        if let Some(code) = inner.downcast_ref::<io::Error>().and_then(raw_os_error) {
            return Some(code);
        }
        cause = inner.source();
    }
    None
}

#[cfg(unix)]
fn is_shortage(code: i32) -> bool {
    use rustix::io::Errno;

    // Canceled: the answer of io_uring when it cannot create a worker thread for the operation.
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN, Errno::CANCELED]
        .into_iter()
        .any(|errno| errno.raw_os_error() == code)
}

/// `ERROR_TOO_MANY_OPEN_FILES`, `ERROR_NOT_ENOUGH_MEMORY`, `ERROR_NO_SYSTEM_RESOURCES`.
#[cfg(windows)]
fn is_shortage(code: i32) -> bool {
    [4, 8, 1450].contains(&code)
}

#[cfg(not(any(unix, windows)))]
fn is_shortage(_code: i32) -> bool {
    false
}

/// Keeps the kind and the source of an error and adds context in front of its message.
pub(crate) fn with_context(error: io::Error, context: String) -> io::Error {
    io::Error::new(error.kind(), Explained { context, source: error })
}

#[derive(Debug)]
struct Explained {
    context: String,
    source: io::Error,
}

impl std::fmt::Display for Explained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.context, self.source)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Adds the name of the file in front of an error.
pub(crate) fn naming(name: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| with_context(error, name.to_owned())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn full_media_and_shortages_are_told_from_what_stays() {
        for kind in
            [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge]
        {
            assert_eq!(ErrorClass::of(&kind.into()), ErrorClass::NoSpace, "{kind:?}");
        }
        for kind in [io::ErrorKind::OutOfMemory, io::ErrorKind::WouldBlock] {
            assert_eq!(ErrorClass::of(&kind.into()), ErrorClass::NotNow, "{kind:?}");
        }
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
            assert_eq!(ErrorClass::of(&kind.into()), ErrorClass::Never, "{kind:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_shortage_is_found_below_the_context() {
        let bare = || io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let wrapped = with_context(with_context(bare(), "inner".to_owned()), "outer".to_owned());
        assert_eq!(ErrorClass::of(&bare()), ErrorClass::NotNow);
        assert_eq!(ErrorClass::of(&wrapped), ErrorClass::NotNow);
        let broken = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
        assert_eq!(ErrorClass::of(&with_context(broken, "x".to_owned())), ErrorClass::Never);
    }
}
