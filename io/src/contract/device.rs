//! What a device is: one address space of bytes, whatever holds them.
//!
//! Terms: a *device* is addressed from 0 and made of *segments* of equal size, each a file or the
//! like, which appear when first written and are deleted from the low end. A *block* is the unit
//! of alignment of offsets and lengths. A *transfer* is complete or it is an error, never short.

use std::fmt::Debug;
use std::io;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::Completion;

/// One address space of bytes: a segmented file, or memory.
///
/// Operations start when called, not when first polled, in no particular order: order them by
/// awaiting. Each gives back its buffer, also on error. See [`Completion`] for cancel safety.
///
/// # Errors
/// * `InvalidInput`: offset or length is not a multiple of the block; nothing was started.
/// * `UnexpectedEof`: the read reaches past what was ever written.
/// * `NotFound`: the range lies below [`discard_below`](Self::discard_below).
/// * `StorageFull` and others as the operating system reports them. `FileTooLarge` at the limit of
///   file size of the process, where systems also send the signal `SIGXFSZ`, which ends a process
///   that does not ignore it. [`ErrorClass`](crate::ErrorClass) tells what is worth another try.
pub trait Device: Send + Sync + Debug + 'static {
    /// Reads exactly `buf.len()` bytes at `offset`.
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion;

    /// Starts several reads in one submission; the results are in the order of the requests.
    fn read_many(&self, reads: Vec<(u64, AlignedBuf)>) -> Vec<Completion> {
        reads.into_iter().map(|(offset, buf)| self.read_at(offset, buf)).collect()
    }

    /// Writes exactly `buf.len()` bytes at `offset`. Not durable before a [`sync`](Self::sync).
    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion;

    /// Makes durable every write that completed before this call. Writes still in flight may or
    /// may not be covered. The transfer carries no buffer.
    ///
    /// After an error nobody knows what is on the medium: operating systems report a failure once
    /// and drop what they could not write, so that a later success proves nothing.
    fn sync(&self) -> Completion;

    /// Deletes the whole segments below `offset`; later reads and writes there fail with
    /// `NotFound`. Operations in flight there complete normally. Not undone if the future is
    /// dropped after its first poll; durable after a sync of the directory.
    ///
    /// # Errors
    /// That of the first file that could not be deleted. The others are, all count as discarded,
    /// and the next call tries again what is left.
    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Closes what is kept open of the whole segments below `offset`, and changes nothing on the
    /// medium: for who only reads a device that another makes shorter. Later reads there fail with
    /// `NotFound`. Devices that are not read-only need not do anything.
    fn forget_below(&self, offset: u64) {
        let _ = offset;
    }

    /// Deletes every byte at and above `end`, a multiple of the block: whole segments go, the one
    /// that holds `end` is cut. Later reads there fail with `UnexpectedEof`; later writes there
    /// extend the device again, and a gap reads as zeros. Nothing changes if the device ends at or
    /// below `end`. The lowest segment stays, if need be empty, so that the device is found again.
    ///
    /// The caller promises that no transfer at or above `end` is in flight, also none whose future
    /// was dropped, and no discard that reaches there.
    ///
    /// Durable once both a [`sync`](Self::sync) and a
    /// [`Directory::sync`](crate::Directory::sync) that follow have succeeded; until then any of
    /// the bytes may come back after a power cut.
    ///
    /// # Errors
    /// `InvalidInput`: `end` is not a multiple of the block, or lies below what
    /// [`discard_below`](Self::discard_below) discarded; nothing was done. Others as the operating
    /// system reports them: each segment is then as before or as asked for. Truncate again.
    ///
    /// # Cancel safety
    /// Begins at its first poll, and is not undone if the future is dropped after that.
    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Alignment and kind of this device; constant while it is open.
    fn geometry(&self) -> Geometry;

    /// File name, and offset within that file, of a byte of this device: for error messages.
    fn locate(&self, offset: u64) -> (String, u64);

    /// Bytes held on the medium: the sum of the lengths of the segments.
    fn bytes_stored(&self) -> u64;
}

/// Alignment and kind of a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Unit of offsets and lengths, in bytes: 512 or 4096.
    pub block: u32,
    /// What the medium writes at once, in bytes: a power of two, at least `block`, at most 64 KiB.
    /// A power cut during a write may harm all of each physical block that the write touches, also
    /// bytes in it that were durable before. The block where the operating system does not tell.
    pub physical_block: u32,
    /// Whether transfers bypass the page cache of the operating system.
    pub direct: bool,
    /// Name of what carries out transfers, for logs: `uring`, `threads`, `memory`, ...
    pub backend: &'static str,
    /// Bytes per segment, a multiple of `block`.
    pub segment_bytes: u64,
}

impl Geometry {
    /// Checks the range of one transfer, and gives its end.
    pub(crate) fn check(&self, offset: u64, len: usize) -> io::Result<u64> {
        let block = u64::from(self.block);
        if !offset.is_multiple_of(block) || !(len as u64).is_multiple_of(block) {
            let message = format!("offset {offset} or length {len} is not a multiple of {block}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        offset.checked_add(len as u64).filter(|&end| i64::try_from(end).is_ok()).ok_or_else(|| {
            let message = format!("offset {offset} and length {len} exceed the address space");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }
}
