//! What can go wrong, named after what the caller should do about it.
//!
//! An absent key is `None`, never an error. Everything else that is not an answer is an [`Error`]:
//! one pointer wide, so that `Result<Option<u64>>` stays in two registers and a failed flush can be
//! told to every task that waits for it by cloning. Its text is one complete line: what was being
//! done and to which file, the cause, and what to do next. [`Error::kind`] is for code to branch
//! on, [`std::error::Error::source`] keeps the cause itself.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::codec::CodecError;
use kvick_io::ErrorClass;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a call failed. One pointer wide; cloning it shares the cause.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Box<str>,
    /// File and offset, if it is about bytes of a file.
    place: Option<(Box<str>, u64)>,
    /// What to do, if that is not what all errors of the kind ask for.
    way_out: Option<&'static str>,
    source: Option<Source>,
}

/// What an [`Error`] asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A bounded resource is momentarily taken. Retry the call.
    Busy,
    /// A setting or an argument is out of its bounds. Change it; retrying does not help.
    InvalidArgument,
    /// Something is already there that this call would have to overwrite.
    AlreadyExists,
    /// Another store or log, in this process or another one, has the directory open.
    InUse,
    /// Bytes read back are not the bytes that were written. Retrying does not help.
    Corrupt,
    /// A file that the call needs is not there.
    NotFound,
    /// The medium is full, or a quota or file size limit is reached. Free space, then retry.
    StorageFull,
    /// The system lacks descriptors, tasks or memory for a moment. Nothing was done; retry later.
    Unavailable,
    /// Entries were truncated before a reader came to them. Go on where the log begins.
    Truncated,
    /// All addresses are used up. What is in the store or log stays readable; go on in a new one.
    AddressesExhausted,
    /// The operating system refused an operation on a file; the source says why.
    Io,
    /// An earlier write or sync failed, or the runtime of the maintenance has ended, so durability
    /// can no longer be promised. Close the store or log, and open it again.
    Poisoned,
    /// The store or log was closed.
    Closed,
    /// The log was completed: it takes no more entries.
    Completed,
    /// A key or value cannot be encoded, or stored bytes do not decode as the type asked for.
    Codec,
    /// This build, platform or device cannot do what was asked.
    Unsupported,
}

impl Error {
    /// What the caller should do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call on the same store or log can succeed later, unchanged: a moment later
    /// for [`ErrorKind::Busy`], once space is free for [`ErrorKind::StorageFull`], once the system
    /// has what it lacks for [`ErrorKind::Unavailable`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Busy || self.is_shortage()
    }

    /// Whether something is short that comes back: space, descriptors, tasks, memory.
    pub(crate) fn is_shortage(&self) -> bool {
        matches!(self.kind(), ErrorKind::StorageFull | ErrorKind::Unavailable)
    }

    #[cold]
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::build(kind, message.into(), None)
    }

    #[cold]
    fn build(kind: ErrorKind, message: String, source: Option<Source>) -> Self {
        debug_assert!(!message.is_empty());
        let message = message.into_boxed_str();
        Self(Arc::new(Inner { kind, message, place: None, way_out: None, source }))
    }

    /// A cut of files that a crash has left longer than what counts, which failed.
    #[cold]
    pub(crate) fn uncut(doing: impl Into<String>, source: io::Error) -> Self {
        let is_read_only = source.kind() == io::ErrorKind::ReadOnlyFilesystem;
        let error = Self::io(doing, source);
        if is_read_only { error.with_way_out(READ_ONLY) } else { error }
    }

    /// Says what to do about this very error. Only for one that was just made.
    #[cold]
    pub(crate) fn with_way_out(mut self, way_out: &'static str) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.way_out = Some(way_out);
        }
        self
    }

    /// File, offset and what is wrong there, if bytes are not those that were written.
    pub(crate) fn place(&self) -> Option<(&str, u64, &str)> {
        let (file, offset) = self.0.place.as_ref()?;
        let what = self.0.message.strip_prefix(&at(file, *offset)).unwrap_or(&self.0.message);
        Some((file, *offset, what))
    }

    /// `what` is going on: "a checkpoint is being taken".
    #[cold]
    pub(crate) fn busy(what: &str) -> Self {
        Self::new(ErrorKind::Busy, what)
    }

    /// `message` names the argument, its value and its bounds.
    #[cold]
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// `what` is there already: "a store".
    #[cold]
    pub(crate) fn already_exists(path: impl AsRef<Path>, what: &str) -> Self {
        let path = path.as_ref().display();
        Self::new(ErrorKind::AlreadyExists, format!("{path} already holds {what}"))
    }

    /// `path` is the directory whose lock another store or log holds.
    #[cold]
    pub(crate) fn in_use(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().display();
        Self::new(ErrorKind::InUse, format!("{path} is open elsewhere"))
    }

    /// `what` was checked at `offset` of `file`: "log block checksum".
    #[cold]
    pub(crate) fn corrupt(what: &str, file: &str, offset: u64, expected: u64, got: u64) -> Self {
        Self::damaged(&format!("{what} is {got:#x}, expected {expected:#x}"), file, offset)
    }

    /// `what` is wrong at `offset` of `file`, in a sentence: "the header of a record is damaged".
    #[cold]
    pub(crate) fn damaged(what: &str, file: &str, offset: u64) -> Self {
        let message = format!("{}{what}", at(file, offset)).into_boxed_str();
        let place = Some((file.into(), offset));
        let kind = ErrorKind::Corrupt;
        Self(Arc::new(Inner { kind, message, place, way_out: None, source: None }))
    }

    /// A file that should hold what was written is not there.
    #[cold]
    pub(crate) fn lost_file(file: &str) -> Self {
        Self::damaged("the file is missing", file, 0)
    }

    /// `what` is not there: "log.000000 in /data". `way_out` says how to get it back.
    #[cold]
    pub(crate) fn not_found(what: &str, way_out: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} is missing; {way_out}"))
    }

    /// `context` says what was being done and to which file. A full disk, an exhausted quota and
    /// a file size limit become [`ErrorKind::StorageFull`], as they end when space is freed; a
    /// shortage of descriptors, tasks or memory becomes [`ErrorKind::Unavailable`].
    #[cold]
    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Self {
        let kind = match ErrorClass::of(&source) {
            ErrorClass::NoSpace => ErrorKind::StorageFull,
            ErrorClass::NotNow => ErrorKind::Unavailable,
            ErrorClass::Never => ErrorKind::Io,
        };
        Self::build(kind, context.into(), Some(Box::new(source)))
    }

    /// `what` is maintained no more: "store". `why` is that its runtime has ended.
    #[cold]
    pub(crate) fn unmaintained(
        what: &str,
        why: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::io(format!("maintenance of the {what}"), io::Error::other(why))
    }

    /// `cause` is the failure that ended the promise of durability. Poison has one cause: told
    /// again, it stays the first one.
    #[cold]
    pub(crate) fn poisoned(cause: &Self) -> Self {
        if cause.kind() == ErrorKind::Poisoned {
            return cause.clone();
        }
        let message = "no more writes are accepted".to_owned();
        Self::build(ErrorKind::Poisoned, message, Some(Box::new(cause.clone())))
    }

    #[cold]
    pub(crate) fn lives_exhausted() -> Self {
        let message = "the directory was opened four billion times, and cannot be opened again";
        Self::new(ErrorKind::AddressesExhausted, message)
    }

    /// `end` is the address that no record of the `what` reaches.
    #[cold]
    pub(crate) fn addresses_exhausted(what: &str, end: u64) -> Self {
        let message = format!("the addresses of this {what} end at {end}, and all are used");
        Self::new(ErrorKind::AddressesExhausted, message)
    }

    #[cold]
    pub(crate) fn closed() -> Self {
        Self::closed_as("store")
    }

    /// `name` is what was closed: "log".
    #[cold]
    pub(crate) fn closed_as(name: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("the {name} is closed"))
    }

    /// `at` is the address that a reader had come to.
    #[cold]
    pub(crate) fn truncated(at: u64) -> Self {
        let message = format!("entries from address {at} on were truncated before they were read");
        Self::new(ErrorKind::Truncated, message)
    }

    #[cold]
    pub(crate) fn completed() -> Self {
        Self::new(ErrorKind::Completed, "the log was completed and takes no more entries")
    }

    /// `context` says whose bytes: "the key", "the value at log.000003 offset 4096".
    #[cold]
    pub(crate) fn codec(context: impl Into<String>, source: CodecError) -> Self {
        Self::build(ErrorKind::Codec, context.into(), Some(Box::new(source)))
    }

    /// `what` cannot be done here, and why: "direct I/O on tmpfs".
    #[cold]
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, what)
    }
}

/// What the message of an error that has a place begins with.
fn at(file: &str, offset: u64) -> String {
    format!("{file} at offset {offset}: ")
}

/// What can be done with files that cannot be changed, and were not closed.
const READ_ONLY: &str =
    "open it where it can be written, or read it with `inspect`, `check_log` or `LogFollower`";

impl ErrorKind {
    fn advice(self) -> Option<&'static str> {
        match self {
            Self::Busy => Some("retry"),
            Self::AlreadyExists => Some("open an empty directory, or remove what is there"),
            Self::InUse => Some("close it there first"),
            Self::Corrupt => Some("restore this file from a copy"),
            Self::StorageFull => Some("free space, then retry"),
            Self::Unavailable => Some("raise the limit of the process or the system, then retry"),
            Self::Truncated => Some("go on where the log begins"),
            Self::AddressesExhausted => Some("go on in a new directory"),
            Self::Poisoned => Some("close it and open it again"),
            Self::Closed => Some("open it again"),
            Self::InvalidArgument
            | Self::NotFound
            | Self::Io
            | Self::Codec
            | Self::Unsupported
            | Self::Completed => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        match self.0.way_out.or(self.0.kind.advice()) {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, source, .. } = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", kind).field("message", message);
        if let Some(source) = source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<CodecError> for Error {
    fn from(source: CodecError) -> Self {
        Self::codec("a key or value", source)
    }
}

const _: () = assert!(size_of::<Error>() == size_of::<usize>());
const _: () = assert!(size_of::<Result<Option<u64>>>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> Error {
        Error::io("writing log.000003 at 4096", kind.into())
    }

    #[test]
    fn is_shared_between_tasks() {
        fn shared<T: Send + Sync + Clone + 'static>() {}
        shared::<Error>();
    }

    #[test]
    fn full_disks_are_told_apart_from_broken_ones() {
        for kind in
            [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge]
        {
            let error = io_error(kind);
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{kind:?}");
            assert!(error.is_retryable());
            assert!(error.to_string().ends_with("; free space, then retry"), "{error}");
        }
        let error = io_error(io::ErrorKind::OutOfMemory);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.is_retryable());
        let error = io_error(io::ErrorKind::PermissionDenied);
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(!error.is_retryable());
        assert_eq!(error.to_string(), "writing log.000003 at 4096: permission denied");
    }

    #[test]
    fn poison_keeps_its_first_cause() {
        let cause = io_error(io::ErrorKind::BrokenPipe);
        let poison = Error::poisoned(&cause);
        let again = Error::poisoned(&poison);
        assert!(Arc::ptr_eq(&poison.0, &again.0));
        assert_eq!(again.kind(), ErrorKind::Poisoned);

        let source = again.source().and_then(|source| source.downcast_ref::<Error>());
        assert_eq!(source.map(Error::kind), Some(ErrorKind::Io));
        let root = source.and_then(StdError::source).and_then(|s| s.downcast_ref::<io::Error>());
        assert_eq!(root.map(io::Error::kind), Some(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn text_names_the_place_and_the_way_out() {
        let texts = [
            (
                Error::new(ErrorKind::Busy, "all pages are being written"),
                "all pages are being written; retry",
            ),
            (Error::closed(), "the store is closed; open it again"),
            (Error::in_use("/data"), "/data is open elsewhere; close it there first"),
            (
                Error::already_exists("/data", "a store"),
                "/data already holds a store; open an empty directory, or remove what is there",
            ),
            (
                Error::corrupt("checksum", "log.000001", 8192, 0xab, 0xcd),
                "log.000001 at offset 8192: checksum is 0xcd, expected 0xab; \
                 restore this file from a copy",
            ),
            (
                Error::damaged("the file ends here", "log.000001", 8192),
                "log.000001 at offset 8192: the file ends here; restore this file from a copy",
            ),
            (
                Error::lost_file("manifest").with_way_out("open with `allow_fallback`"),
                "manifest at offset 0: the file is missing; open with `allow_fallback`",
            ),
            (Error::closed_as("log"), "the log is closed; open it again"),
            (
                Error::codec("the key", CodecError::new("u64: 7 bytes, expected 8")),
                "the key: u64: 7 bytes, expected 8",
            ),
            (Error::unsupported("glommio on this platform"), "glommio on this platform"),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
            assert!(text.is_ascii());
        }
        let debug = format!("{:?}", Error::invalid("memory is 0"));
        assert_eq!(debug, "Error { kind: InvalidArgument, message: \"memory is 0\" }");
    }
}
