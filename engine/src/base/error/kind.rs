//! The kinds of errors, and the advice of each.

/// The action that an [`Error`](super::Error) asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ErrorKind {
    /// A bounded resource is in use at the moment. Retry the call.
    Busy,
    /// A setting or an argument is out of its bounds. Change it; retrying does not help.
    InvalidArgument,
    /// The directory has files that the call would have to overwrite.
    AlreadyExists,
    /// Another store or log, in this process or another one, has the directory open. Or another
    /// handle has the session open.
    InUse,
    /// The read bytes are not the written bytes. Retrying does not help.
    Corrupt,
    /// A file that the call needs is missing.
    NotFound,
    /// The medium is full, or a quota or file size limit is reached. Free space, then retry. Or the
    /// live data of a store fill its [`disk`](crate::Config::disk): raise it, or delete something.
    StorageFull,
    /// The system is short of descriptors, tasks or memory. Nothing was done; retry later.
    Unavailable,
    /// Entries were truncated before a reader read them. Continue where the log begins. Or records
    /// left the log before a scan read them: scan again. Or the writer of a store has dropped the
    /// checkpoint that a reader shows: refresh it.
    Truncated,
    /// The file system was read-only at the opening. Reads work, and nothing else does.
    ReadOnly,
    /// All addresses are used. The store or log stays readable; continue in a new one.
    AddressesExhausted,
    /// The operating system refused an operation on a file; the source has the reason.
    Io,
    /// An earlier write or sync failed, or the runtime of the maintenance has ended.
    ///
    /// Durability can no longer be promised. Close the store or log, and open it again.
    Poisoned,
    /// The store or log was closed.
    Closed,
    /// The log was completed: it accepts no more entries.
    Completed,
    /// A key or value cannot be encoded, or stored bytes do not decode as the requested type.
    Codec,
    /// The build, the platform or the device does not support the request.
    Unsupported,
}

impl ErrorKind {
    /// Returns the next step, if it is the same for every error of this kind.
    pub(super) fn advice(self) -> Option<&'static str> {
        match self {
            Self::Busy => Some("retry"),
            Self::AlreadyExists => Some("open an empty directory, or remove what is there"),
            Self::InUse => Some("close it there, or wait a moment if that process was just killed"),
            Self::Corrupt => Some("restore this file from a copy"),
            Self::StorageFull => Some("free space, then retry"),
            Self::Unavailable => Some("raise the limit of the process or the system, then retry"),
            Self::Truncated => Some("go on where the log begins"),
            Self::ReadOnly => Some("mount it for writing, and open it again"),
            Self::AddressesExhausted => Some("go on in a new directory"),
            Self::Poisoned => Some("close it and open it again"),
            Self::Closed => Some("open it again"),
            Self::Completed => Some("append to a new log in another directory"),
            Self::InvalidArgument | Self::NotFound | Self::Io | Self::Codec | Self::Unsupported => {
                None
            }
        }
    }
}
