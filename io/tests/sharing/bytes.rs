//! Contents that encode their own position.

use std::io;

use kvick_io::{AlignedBuf, Device};

/// A multiple of every possible block.
pub(crate) const PAGE: usize = 4096;

/// Returns the byte at `position` of a device that was written with [`write`].
fn byte(position: u64) -> u8 {
    position.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]
}

/// Returns a buffer with the contents for `offset`.
pub(crate) fn filled(offset: u64, len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len);
    fill(&mut buf, offset);
    buf
}

pub(crate) fn fill(buf: &mut [u8], offset: u64) {
    for (position, slot) in (offset..).zip(buf) {
        *slot = byte(position);
    }
}

/// Panics unless these bytes belong at `offset`.
#[track_caller]
pub(crate) fn check(buf: &[u8], offset: u64) {
    let wrong = (offset..).zip(buf).find(|&(position, &found)| found != byte(position));
    assert_eq!(wrong, None, "position and content that does not belong there");
}

pub(crate) async fn write(device: &dyn Device, offset: u64, len: usize) -> io::Result<()> {
    let buf = device.write_at(offset, filled(offset, len)).await.into_buf()?;
    assert_eq!(buf.len(), len, "the buffer comes back as it was");
    check(&buf, offset);
    Ok(())
}

pub(crate) async fn read(device: &dyn Device, offset: u64, len: usize) -> io::Result<()> {
    let buf = device.read_at(offset, AlignedBuf::zeroed(len)).await.into_buf()?;
    assert_eq!(buf.len(), len, "a transfer is complete");
    check(&buf, offset);
    Ok(())
}

/// Returns the kind of the error of a read, which must return its buffer.
pub(crate) async fn refused_read(device: &dyn Device, offset: u64, len: usize) -> io::ErrorKind {
    let transfer = device.read_at(offset, AlignedBuf::zeroed(len)).await;
    assert_eq!(transfer.buf.expect("the buffer comes back").len(), len);
    transfer.result.expect_err("the read is refused").kind()
}

pub(crate) async fn refused_write(device: &dyn Device, offset: u64, len: usize) -> io::ErrorKind {
    let transfer = device.write_at(offset, filled(offset, len)).await;
    assert_eq!(transfer.buf.expect("the buffer comes back").len(), len);
    transfer.result.expect_err("the write is refused").kind()
}
