//! Errors, named after the action that they ask of the caller.
//!
//! An absent key is `None`, never an error. Every other failure is an [`Error`]. It is one pointer
//! wide, so that `Result<Option<u64>>` stays in two registers. A failed flush reports to every
//! waiting task by cloning the error.
//!
//! Its text is one complete line: the action and its file, the cause, and the next step. Code can
//! branch on [`Error::kind`]; [`std::error::Error::source`] keeps the cause itself.

pub(super) mod kind;
#[cfg(test)]
mod tests;

pub use kind::ErrorKind;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::codec::CodecError;
use kvick_io::{Device, ErrorClass};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// The reason why a call failed. It is one pointer wide; cloning it shares the cause.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Box<str>,
    /// The file and offset, if the error is about bytes of a file.
    place: Option<(Box<str>, u64)>,
    /// The directory of that file, if the text names it.
    directory: Option<Box<str>>,
    /// The next step, if it differs from the advice of the kind.
    way_out: Option<&'static str>,
    source: Option<Source>,
}

impl Error {
    /// Returns the kind, which shows the action for the caller.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same call on the same store or log can succeed later, unchanged.
    ///
    /// It can succeed a moment later for [`ErrorKind::Busy`], and once space is free for
    /// [`ErrorKind::StorageFull`]. For [`ErrorKind::Unavailable`] it can succeed once the system
    /// has the resource again.
    ///
    /// A call that had an effect before its error has it again. After
    /// [`FasterLog::append_durable`](crate::FasterLog::append_durable) retry the
    /// [`commit`](crate::FasterLog::commit), not the append. After `StorageFull` of a write that
    /// waited until it was durable, retry the [`sync`](crate::FasterKv::sync), not the write. After
    /// `close` a store or log is closed, whatever `close` returned.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Busy || self.is_shortage()
    }

    /// Returns whether a shortage that can end is the cause: space, descriptors, tasks, memory.
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
        let (place, directory) = (None, None);
        Self(Arc::new(Inner { kind, message, place, directory, way_out: None, source }))
    }

    /// Returns the error of a failed read, which names the file and the place in it.
    #[cold]
    pub(crate) fn reading(device: &dyn Device, offset: u64, source: io::Error) -> Self {
        let (file, offset) = device.locate(offset);
        Self::io(format!("reading {file} at {offset}"), source)
    }

    /// Creates the error of a failed truncation of files that a crash has left too long.
    #[cold]
    pub(crate) fn uncut(doing: impl Into<String>, source: io::Error) -> Self {
        let is_read_only = source.kind() == io::ErrorKind::ReadOnlyFilesystem;
        let error = Self::io(doing, source);
        if is_read_only { error.with_way_out(READ_ONLY) } else { error }
    }

    /// Sets the next step of this error. Works only for a newly created error.
    #[cold]
    pub(crate) fn with_way_out(mut self, way_out: &'static str) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.way_out = Some(way_out);
        }
        self
    }

    /// Begins the text with the directory of the file that it names. Works only for a newly created
    /// error.
    #[cold]
    pub(crate) fn with_directory(mut self, directory: &str) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            debug_assert!(inner.place.is_none(), "the place begins the text");
            inner.message = format!("{directory}: {}", inner.message).into_boxed_str();
        }
        self
    }

    /// Gives the error of damaged bytes the directory of their file, and `way_out` if it has none
    /// yet. Does nothing to another error, and works only for a newly created error.
    #[cold]
    pub(crate) fn with_place(mut self, directory: &str, way_out: &'static str) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0).filter(|inner| inner.place.is_some()) {
            inner.directory.get_or_insert_with(|| directory.into());
            inner.way_out.get_or_insert(way_out);
        }
        self
    }

    /// Returns the file, the offset and the damage, if the error is about damaged bytes.
    pub(crate) fn place(&self) -> Option<(&str, u64, &str)> {
        let (file, offset) = self.0.place.as_ref()?;
        let what = self.0.message.strip_prefix(&at(file, *offset)).unwrap_or(&self.0.message);
        Some((file, *offset, what))
    }

    /// Creates the error of a busy resource. `what` is in progress: "a checkpoint is being taken".
    #[cold]
    pub(crate) fn busy(what: &str) -> Self {
        Self::new(ErrorKind::Busy, what)
    }

    /// Creates the error of an argument. `message` names the argument, its value and its bounds.
    #[cold]
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// Creates the error of an occupied path. `what` is there already: "a store".
    #[cold]
    pub(crate) fn already_exists(path: impl AsRef<Path>, what: &str) -> Self {
        let path = path.as_ref().display();
        Self::new(ErrorKind::AlreadyExists, format!("{path} already holds {what}"))
    }

    /// Creates the error of the directory `path`, whose lock another store or log holds.
    #[cold]
    pub(crate) fn in_use(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().display();
        Self::new(
            ErrorKind::InUse,
            format!("{path} is open already, in this process or another one"),
        )
    }

    /// Creates the error of a store in `path` that is used where it must be used no more.
    #[cold]
    pub(crate) fn has_handles(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().display();
        let text = format!("the store in {path} has other handles, sessions, scans or feeds");
        Self::new(ErrorKind::InUse, text).with_way_out("drop them first")
    }

    /// Creates the error of an open session. `id` is its identity.
    #[cold]
    pub(crate) fn session_in_use(id: impl fmt::Display) -> Self {
        let error = Self::new(ErrorKind::InUse, format!("session {id} is in use"));
        error.with_way_out("drop it first")
    }

    /// Creates the error of a wrong value. `what` was checked at `offset` of `file`: "log block
    /// checksum".
    #[cold]
    pub(crate) fn corrupt(what: &str, file: &str, offset: u64, expected: u64, got: u64) -> Self {
        Self::damaged(&format!("{what} is {got:#x}, expected {expected:#x}"), file, offset)
    }

    /// Creates the error of damage at `offset` of `file`. `what` is a sentence: "the header of a
    /// record is damaged".
    #[cold]
    pub(crate) fn damaged(what: &str, file: &str, offset: u64) -> Self {
        let message = format!("{}{what}", at(file, offset)).into_boxed_str();
        let place = Some((file.into(), offset));
        let kind = ErrorKind::Corrupt;
        let (directory, way_out, source) = (None, None, None);
        Self(Arc::new(Inner { kind, message, place, directory, way_out, source }))
    }

    /// Creates the error of a missing file that should hold written bytes.
    #[cold]
    pub(crate) fn lost_file(file: &str) -> Self {
        Self::damaged("the file is missing", file, 0)
    }

    /// Creates the error of a write-ahead log that does not have what a checkpoint needs.
    #[cold]
    pub(crate) fn lost_entries(what: &str) -> Self {
        let error = Self::new(ErrorKind::Corrupt, what.to_owned());
        error.with_way_out(
            "restore its files, or give up operations by recovering a checkpoint by its token",
        )
    }

    /// Creates the error of `directory`, where all of `what` is damaged: "every checkpoint".
    #[cold]
    pub(crate) fn all_damaged(what: &str, directory: &str, way_out: &'static str) -> Self {
        let error = Self::new(ErrorKind::Corrupt, format!("{directory}: {what} is damaged"));
        error.with_way_out(way_out)
    }

    /// Creates the error of `directory`, which has files of a log, but neither manifest.
    #[cold]
    pub(crate) fn lost_manifests(directory: &str) -> Self {
        let what = "manifest and manifest.copy are missing, but there are files of a log";
        let error = Self::new(ErrorKind::NotFound, format!("{directory}: {what}"));
        error.with_way_out(RESTORE_MANIFEST)
    }

    /// Creates the error of a missing file. `what` is its name: "log.000000 in /data"; `way_out` is
    /// the next step.
    #[cold]
    pub(crate) fn not_found(what: &str, way_out: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} is missing; {way_out}"))
    }

    /// Creates the error of a failed operation. `context` names the action and its file.
    ///
    /// A full disk, an exhausted quota and a file size limit become [`ErrorKind::StorageFull`],
    /// since they end when space is freed. A shortage of descriptors, tasks or memory becomes
    /// [`ErrorKind::Unavailable`].
    #[cold]
    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Self {
        let kind = match ErrorClass::of(&source) {
            ErrorClass::NoSpace => ErrorKind::StorageFull,
            ErrorClass::NotNow => ErrorKind::Unavailable,
            ErrorClass::Never => ErrorKind::Io,
        };
        Self::build(kind, context.into(), Some(Box::new(source)))
    }

    /// Creates the error of a store or log (`what`) without maintenance. `why` is the cause: its
    /// runtime has ended.
    #[cold]
    pub(crate) fn unmaintained(
        what: &str,
        why: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::io(format!("maintenance of the {what}"), io::Error::other(why))
    }

    /// Creates the error of a store whose budget for the device is used up. `why` is the reason.
    #[cold]
    pub(crate) fn over_budget(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::StorageFull, why).with_way_out("raise `disk`, or delete something")
    }

    /// Creates the poison whose `cause` ended the promise of durability. Poison has one cause:
    /// poison of a poison keeps the first.
    #[cold]
    pub(crate) fn poisoned(cause: &Self) -> Self {
        if cause.kind() == ErrorKind::Poisoned {
            return cause.clone();
        }
        let message = "no more writes are accepted".to_owned();
        Self::build(ErrorKind::Poisoned, message, Some(Box::new(cause.clone())))
    }

    /// Creates the error of a store or log (`what`) that was opened on a read-only file system.
    #[cold]
    pub(crate) fn read_only(what: &str, place: &str) -> Self {
        Self::new(
            ErrorKind::ReadOnly,
            format!("the file system of the {what} in {place} is read-only"),
        )
    }

    #[cold]
    pub(crate) fn lives_exhausted() -> Self {
        let message = "the directory was opened four billion times, and cannot be opened again";
        Self::new(ErrorKind::AddressesExhausted, message)
    }

    /// Creates the error of used addresses. `end` is the address that no record of the `what`
    /// reaches.
    #[cold]
    pub(crate) fn addresses_exhausted(what: &str, end: u64) -> Self {
        let message = format!("the addresses of this {what} end at {end}, and all are used");
        Self::new(ErrorKind::AddressesExhausted, message)
    }

    #[cold]
    pub(crate) fn closed() -> Self {
        Self::closed_as("store")
    }

    /// Creates the error of a closed store or log. `name` is its name: "log".
    #[cold]
    pub(crate) fn closed_as(name: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("the {name} is closed"))
    }

    /// Creates the error of a reader at the address `at`, which was truncated.
    #[cold]
    pub(crate) fn truncated(at: u64) -> Self {
        let message = format!("entries from address {at} on were truncated before they were read");
        Self::new(ErrorKind::Truncated, message)
    }

    /// Creates the error of a scan at the address `at`. The log begins after it by now.
    #[cold]
    pub(crate) fn taken_from_scan(at: u64) -> Self {
        let message = format!("records from address {at} on left the log before a scan read them");
        Self::new(ErrorKind::Truncated, message).with_way_out("scan again, without long pauses")
    }

    /// Creates the error of a reader of a checkpoint that its store no longer has. `cause` is the
    /// error of the read.
    #[cold]
    pub(crate) fn overtaken(checkpoint: impl fmt::Display, cause: &Self) -> Self {
        let message = format!(
            "checkpoint {checkpoint} is shown, but the writer has dropped it and removed its files"
        );
        let error = Self::build(ErrorKind::Truncated, message, Some(Box::new(cause.clone())));
        error.with_way_out("refresh the reader")
    }

    /// Creates the error of a directory without a store, for a reader.
    #[cold]
    pub(crate) fn no_store(place: &str) -> Self {
        Self::not_found(&format!("the store in {place}"), "create it with `FasterKv` first")
    }

    /// Creates the error of a reader of a store's log at the address `at`. The log begins after it
    /// by now.
    #[cold]
    pub(crate) fn taken_from_reader(at: u64) -> Self {
        let message = format!("records from address {at} on left the log before they were read");
        let way_out = "begin at a later address; a copy of the table has missed deletions, too, so \
                       replace it by a scan into an empty one";
        Self::new(ErrorKind::Truncated, message).with_way_out(way_out)
    }

    /// Creates the error of a subscription from the address `at` of a store's log, which ends at
    /// `end`.
    #[cold]
    pub(crate) fn beyond_the_log(at: u64, end: u64) -> Self {
        Self::invalid(format!(
            "address {at}: the log ends at {end}, so the address is of another store, or of \
             records that a crash has lost; subscribe from now, and scan into an empty copy"
        ))
    }

    /// Creates the error of a reader of the changes from the address `at` of the write-ahead log,
    /// which begins at `oldest`.
    #[cold]
    pub(crate) fn removed_changes(at: u64, oldest: u64) -> Self {
        let message = format!(
            "changes from address {at} of the write-ahead log on were removed before they were \
             read; the oldest is at {oldest}"
        );
        let way_out = "begin anew: take a token, scan into an empty copy, then read the changes \
                       from that token on; a larger `wal_keep` keeps more of them";
        Self::new(ErrorKind::Truncated, message).with_way_out(way_out)
    }

    /// Creates the error of a token of changes that the store does not have. `why` is the reason.
    #[cold]
    pub(crate) fn foreign_changes(why: &str) -> Self {
        Self::invalid(format!(
            "the token is {why}; begin anew: take a token, scan into an empty copy, then read the \
             changes from that token on"
        ))
    }

    /// Creates the error of a scan that was not polled while compaction waited for it.
    #[cold]
    pub(crate) fn scan_expired() -> Self {
        let message = "the scan was not polled for a minute while compaction waited for it";
        let way_out = "continue with `scan_from` at the cursor of the scan, without long pauses";
        Self::new(ErrorKind::Truncated, message).with_way_out(way_out)
    }

    #[cold]
    pub(crate) fn completed() -> Self {
        let message = "the log was completed, for ever, and takes no more entries";
        Self::new(ErrorKind::Completed, message)
    }

    /// Creates the error of a codec. `context` names the bytes: "the key", "the value at log.000003
    /// offset 4096".
    #[cold]
    pub(crate) fn codec(context: impl Into<String>, source: CodecError) -> Self {
        Self::build(ErrorKind::Codec, context.into(), Some(Box::new(source)))
    }

    /// Creates the error of an unsupported request: "direct I/O on tmpfs".
    #[cold]
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, what)
    }
}

/// Returns the first words of the message of an error that has a place.
fn at(file: &str, offset: u64) -> String {
    format!("{file} at offset {offset}: ")
}

/// The next step for a directory that has lost its manifests.
const RESTORE_MANIFEST: &str = "restore one of the two from a backup; only if the data is not \
     needed, open an empty directory";

/// The next step for files that cannot be changed, and were not closed.
const READ_ONLY: &str =
    "open it where it can be written, or read it with `inspect`, `log::check` or `log::Follower`";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.0.directory {
            write!(f, "{directory}/")?;
        }
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
        // `unwrap` and `expect` print this: the whole line, with the next step.
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

/// Serializes the `kind` and the text, as `message`.
#[cfg(feature = "serde")]
impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialized::Failure::new(self.kind(), self.to_string()).serialize(serializer)
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
