//! The refusals of directories that are only read.

use std::io;

use crate::contract::boxed::BoxFuture;

const REASON: &str = "the directory was opened read-only; open it for writing";

/// Returns the error of a change.
pub(crate) fn refusal(verb: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, format!("{verb} {what}: {REASON}"))
}

/// Refuses a change.
pub(crate) fn refuse<T: Send + 'static>(
    verb: &str,
    what: &str,
) -> BoxFuture<'static, io::Result<T>> {
    Box::pin(std::future::ready(Err(refusal(verb, what))))
}

/// Returns the error of a device without a segment, which is not created.
pub(crate) fn not_created(name: &str) -> io::Error {
    let message = format!("{name} has no segment and is not created: {REASON}");
    io::Error::new(io::ErrorKind::NotFound, message)
}

/// Implements the operations of a [`Directory`](crate::Directory) that change it, by refusals.
macro_rules! refuse_changes {
    () => {
        fn write_file(&self, name: &str, _bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
            refuse("writing", name)
        }

        fn rename(&self, from: &str, _to: &str) -> BoxFuture<'_, io::Result<()>> {
            refuse("renaming", from)
        }

        fn exchange(&self, one: &str, _other: &str) -> BoxFuture<'_, io::Result<()>> {
            refuse("renaming", one)
        }

        fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
            refuse("removing", name)
        }

        fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
            Box::pin(async { Ok(()) })
        }

        fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
            refuse("locking", name)
        }

        fn is_read_only(&self) -> bool {
            true
        }
    };
}

pub(crate) use refuse_changes;
