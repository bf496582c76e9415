//! The result of an operation.

use std::io;

use crate::contract::buf::AlignedBuf;

/// The result of a finished operation, with its buffer.
#[derive(Debug)]
pub struct Transfer {
    /// `Ok` if every byte was transferred, else the error.
    pub result: io::Result<()>,
    /// The buffer of the caller, also after an error. `None` for operations without a buffer, and
    /// if the backend failed while the kernel had the buffer. After a failed read its contents are
    /// unspecified.
    pub buf: Option<AlignedBuf>,
}

impl Transfer {
    /// Returns the buffer of a successful transfer, or the error. Drops the buffer of a failed
    /// transfer.
    ///
    /// # Errors
    /// The error of the transfer.
    ///
    /// # Panics
    /// If the operation carried no buffer, as a sync.
    pub fn into_buf(self) -> io::Result<AlignedBuf> {
        self.result.map(|()| self.buf.expect("the operation carried a buffer"))
    }
}
