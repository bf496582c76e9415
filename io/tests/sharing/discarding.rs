//! Discards, which delete whole segments from the low end.

use std::io;

use kvick_io::AlignedBuf;

use crate::bytes::{self, PAGE};
use crate::subjects::{SEGMENT, Subject, options};

const SEGMENT_LEN: usize = 16 << 10;

pub(crate) async fn whole_segments_are_deleted(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    let device = directory.open_device("log", options()).await?;
    bytes::write(&*device, 0, 4 * SEGMENT_LEN).await?;
    assert_eq!(device.bytes_stored(), 4 * SEGMENT);

    device.discard_below(SEGMENT - PAGE as u64).await?;
    assert_eq!(device.bytes_stored(), 4 * SEGMENT, "no whole segment lies below");
    device.discard_below(2 * SEGMENT + PAGE as u64).await?;
    assert_eq!(device.bytes_stored(), 2 * SEGMENT);
    assert_eq!(directory.list().await?, ["log.000002", "log.000003"]);

    let gone = io::ErrorKind::NotFound;
    assert_eq!(bytes::refused_read(&*device, 0, PAGE).await, gone);
    assert_eq!(bytes::refused_read(&*device, SEGMENT, 3 * SEGMENT_LEN).await, gone);
    assert_eq!(bytes::refused_write(&*device, 0, PAGE).await, gone);
    assert_eq!(bytes::refused_write(&*device, 2 * SEGMENT - PAGE as u64, 2 * PAGE).await, gone);
    bytes::read(&*device, 2 * SEGMENT, 2 * SEGMENT_LEN).await?;

    // A lower offset changes nothing; an offset beyond the end deletes everything.
    device.discard_below(SEGMENT).await?;
    bytes::read(&*device, 2 * SEGMENT, PAGE).await?;
    device.discard_below(10 * SEGMENT).await?;
    assert_eq!(device.bytes_stored(), 0);
    assert_eq!(bytes::refused_read(&*device, 3 * SEGMENT, PAGE).await, gone);
    bytes::write(&*device, 10 * SEGMENT, PAGE).await?;
    bytes::read(&*device, 10 * SEGMENT, PAGE).await
}

pub(crate) async fn a_device_is_found_again_without_them(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    let device = directory.open_device("log", options()).await?;
    bytes::write(&*device, 0, 3 * SEGMENT_LEN).await?;
    device.discard_below(SEGMENT).await?;
    device.sync().await.result?;
    directory.sync().await?;
    drop((device, directory));

    let device = subject.directory()?.open_device("log", options()).await?;
    assert_eq!(device.bytes_stored(), 2 * SEGMENT);
    assert_eq!(bytes::refused_read(&*device, 0, PAGE).await, io::ErrorKind::NotFound);
    assert_eq!(bytes::refused_write(&*device, 0, PAGE).await, io::ErrorKind::NotFound);
    bytes::read(&*device, SEGMENT, 2 * SEGMENT_LEN).await
}

pub(crate) async fn reads_in_flight_complete(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    bytes::write(&*device, 0, 2 * SEGMENT_LEN).await?;
    let reads: Vec<_> = (0..64).map(|_| device.read_at(0, AlignedBuf::zeroed(PAGE))).collect();
    device.discard_below(SEGMENT).await?;
    for read in reads {
        bytes::check(&read.await.into_buf()?, 0);
    }
    assert_eq!(bytes::refused_read(&*device, 0, PAGE).await, io::ErrorKind::NotFound);
    Ok(())
}
