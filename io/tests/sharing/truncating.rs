//! Truncations, which delete from the high end.

use std::io;

use crate::bytes::{self, PAGE};
use crate::subjects::{SEGMENT, Subject, options};

const SEGMENT_LEN: usize = 16 << 10;

/// A reader may have its own descriptor of a truncated segment, or of a name that is used again.
pub(crate) async fn what_is_written_again_is_read(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    let device = directory.open_device("log", options()).await?;
    for end in [2 * SEGMENT, SEGMENT + PAGE as u64, SEGMENT, PAGE as u64, 0] {
        bytes::write(&*device, 0, 3 * SEGMENT_LEN).await?;
        for offset in [0, SEGMENT, 2 * SEGMENT] {
            bytes::read(&*device, offset, PAGE).await?;
        }
        device.truncate(end).await?;
        assert_eq!(device.bytes_stored(), end);
        for offset in [end, end + SEGMENT] {
            let past = bytes::refused_read(&*device, offset, PAGE).await;
            assert_eq!(past, io::ErrorKind::UnexpectedEof);
        }
        bytes::write(&*device, end, PAGE).await?;
        bytes::read(&*device, end, PAGE).await?;
    }
    device.sync().await.result?;
    directory.sync().await?;
    let device = subject.directory()?.open_device("log", options()).await?;
    assert_eq!(device.bytes_stored(), PAGE as u64);
    bytes::read(&*device, 0, PAGE).await
}
