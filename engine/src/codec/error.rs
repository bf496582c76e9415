//! The error of an encoding.

use std::fmt;

/// The reason why an item could not be encoded, or bytes could not be decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct CodecError(Box<str>);

impl CodecError {
    /// Creates an error. `reason` names the type and the problem: "sheet.cell: row 300 is beyond
    /// 255".
    #[cold]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into().into_boxed_str())
    }

    /// Creates the error of a wrong length, for a type of fixed width. Lengths are in bytes.
    #[cold]
    #[must_use]
    pub fn wrong_length(type_name: &str, expected: usize, got: usize) -> Self {
        Self::new(format!("{type_name}: {got} bytes, expected {expected}"))
    }

    /// Creates the error of an item, or of bytes, that an encoding does not have.
    #[cold]
    pub fn malformed(type_name: &str, reason: impl fmt::Display) -> Self {
        Self::new(format!("{type_name}: {reason}"))
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecError({:?})", self.0)
    }
}

impl std::error::Error for CodecError {}
