//! The end of an operation.

use std::io;

use crate::contract::buf::AlignedBuf;

/// What a finished operation gives back.
#[derive(Debug)]
pub struct Transfer {
    /// Everything was transferred, or why not.
    pub result: io::Result<()>,
    /// The buffer that was lent, also after an error. `None` for operations without one, and if the
    /// backend failed while the kernel had the buffer. After a failed read its contents are
    /// unspecified.
    pub buf: Option<AlignedBuf>,
}

impl Transfer {
    /// The buffer of a successful transfer, or the error. Drops the buffer of a failed one.
    ///
    /// # Errors
    /// The error of the transfer.
    ///
    /// # Panics
    /// If the operation carried no buffer: a sync.
    pub fn into_buf(self) -> io::Result<AlignedBuf> {
        self.result.map(|()| self.buf.expect("the operation carried a buffer"))
    }
}
