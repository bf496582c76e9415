//! The contract of a device: one address space of bytes on any medium.
//!
//! Terms: a *device* has addresses from 0 and consists of *segments* of equal size. Each segment is
//! a file or the like. It appears at its first write, and segments are deleted from the low end. A
//! *block* is the unit of alignment of offsets and lengths. A *transfer* is complete or fails; it
//! is never short.

use std::fmt::Debug;
use std::io;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::Completion;

/// One address space of bytes: a segmented file, or memory.
///
/// An operation starts at the call, not at the first poll. Operations run in no particular order;
/// await one before the next to order them. Each returns its buffer, also after an error. See
/// [`Completion`] for cancel safety.
///
/// # Errors
/// * `InvalidInput`: the offset or the length is not a multiple of the block; nothing was started.
/// * `UnexpectedEof`: the read reaches past the last byte ever written.
/// * `NotFound`: the range lies below [`discard_below`](Self::discard_below).
/// * `StorageFull` and others as the operating system reports them.
/// * `FileTooLarge`: the process reached its limit of file size. Systems also send the signal
///   `SIGXFSZ`, which ends a process that does not ignore it.
///
/// [`ErrorClass`](crate::ErrorClass) tells whether another attempt can succeed.
pub trait Device: Send + Sync + Debug + 'static {
    /// Reads exactly `buf.len()` bytes at `offset`.
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion;

    /// Starts several reads in one submission. The results are in the order of the requests.
    fn read_many(&self, reads: Vec<(u64, AlignedBuf)>) -> Vec<Completion> {
        reads.into_iter().map(|(offset, buf)| self.read_at(offset, buf)).collect()
    }

    /// Writes exactly `buf.len()` bytes at `offset`. The bytes are durable only after a
    /// [`sync`](Self::sync).
    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion;

    /// Writes like [`write_at`](Self::write_at), and then makes every write durable that has
    /// completed by then, like [`sync`](Self::sync). It saves the caller a turn between the two.
    /// Returns the buffer if the device cannot do both at once: now, or ever.
    ///
    /// If the sync fails, the kind of the error is `Other`. Other kinds are of the write, after
    /// which nothing was synced.
    ///
    /// # Errors
    /// The buffer, if nothing was started.
    fn write_and_sync(&self, offset: u64, buf: AlignedBuf) -> Result<Completion, AlignedBuf> {
        let _ = offset;
        Err(buf)
    }

    /// Makes every write durable that completed before this call. A write in flight may or may not
    /// be covered. The transfer carries no buffer.
    ///
    /// After an error the contents of the medium are unknown. An operating system reports a failure
    /// once and drops the pages that it could not write, so a later success proves nothing.
    fn sync(&self) -> Completion;

    /// Deletes the whole segments below `offset`. Later reads and writes there fail with
    /// `NotFound`; operations in flight there complete normally. Dropping the future after its
    /// first poll does not undo the call. The deletion is durable after a sync of the directory.
    /// The space is free soon after the end of the call: a deleted file keeps its blocks until the
    /// last transfer in flight has ended and a thread has closed the file.
    ///
    /// # Errors
    /// Returns the error of the first file that could not be deleted. The call still deletes the
    /// other files, and all of them count as discarded. The next call tries the remaining files
    /// again.
    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Closes the whole segments below `offset` and changes nothing on the medium. A reader calls
    /// this when another process discards the start of the device. Later reads there fail with
    /// `NotFound`. A device that is not read-only may ignore the call.
    fn forget_below(&self, offset: u64) {
        let _ = offset;
    }

    /// Deletes every byte at and above `end`, a multiple of the block. Whole segments are deleted;
    /// the segment that holds `end` is shortened. Later reads there fail with `UnexpectedEof`.
    /// Later writes there extend the device again, and a gap reads as zeros. Nothing changes if the
    /// device ends at or below `end`. The lowest segment stays, even if empty, so that a later
    /// opening finds the device.
    ///
    /// The caller promises that no transfer at or above `end` is in flight, including transfers
    /// whose future was dropped. The caller also promises that no discard that reaches `end` is in
    /// flight.
    ///
    /// The truncation is durable after both a later [`sync`](Self::sync) and a later
    /// [`Directory::sync`](crate::Directory::sync) have succeeded. Until then any of the bytes may
    /// return after a power cut.
    ///
    /// # Errors
    /// `InvalidInput`: `end` is not a multiple of the block, or lies below the range that
    /// [`discard_below`](Self::discard_below) discarded; nothing was done. Others as the operating
    /// system reports them: each segment then has its old length or the requested one. Call
    /// `truncate` again.
    ///
    /// # Cancel safety
    /// The truncation starts at the first poll. Dropping the future after that does not undo it.
    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Returns the alignment and the kind of this device. Both are constant while it is open.
    fn geometry(&self) -> Geometry;

    /// Returns the file name and the offset in that file of one byte, for error messages.
    fn locate(&self, offset: u64) -> (String, u64);

    /// Returns the number of bytes on the medium: the sum of the lengths of the segments.
    fn bytes_stored(&self) -> u64;
}

/// The alignment and the kind of a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Unit of offsets and lengths, in bytes: 512 or 4096.
    pub block: u32,
    /// The unit that the medium writes at once, in bytes: a power of two, at least `block`, at most
    /// 64 KiB. A power cut during a write may damage every physical block that the write touches,
    /// including bytes in it that were durable before. It equals `block` if the operating system
    /// does not report it.
    pub physical_block: u32,
    /// Whether transfers bypass the page cache of the operating system.
    pub direct: bool,
    /// Name of the backend that carries out transfers, for logs: `uring`, `threads`, `memory`, ...
    pub backend: &'static str,
    /// Bytes per segment, a multiple of `block`.
    pub segment_bytes: u64,
}

impl Geometry {
    /// Checks the range of one transfer and returns its end.
    pub(crate) fn check(&self, offset: u64, len: usize) -> io::Result<u64> {
        let block = u64::from(self.block);
        if !offset.is_multiple_of(block) || !(len as u64).is_multiple_of(block) {
            let message =
                format!("offset {offset} or length {len} is not a multiple of {block}; align both");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        offset.checked_add(len as u64).filter(|&end| i64::try_from(end).is_ok()).ok_or_else(|| {
            let message = format!("offset {offset} and length {len} exceed the address space");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }
}
