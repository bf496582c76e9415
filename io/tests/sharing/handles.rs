//! Several handles of one directory, and the state that a handle leaves.

use std::io;

use kvick_io::{AlignedBuf, DeviceOptions};

use crate::bytes::{self, PAGE};
use crate::subjects::{SEGMENT, Subject, options};

pub(crate) async fn a_device_is_found_by_another_handle(subject: &Subject) -> io::Result<()> {
    let first = subject.directory()?;
    bytes::write(&*first.open_device("log", options()).await?, 0, 10 * PAGE).await?;
    drop(first);
    let existing = DeviceOptions { create: false, ..options() };
    let device = subject.directory()?.open_device("log", existing).await?;
    bytes::read(&*device, 0, 10 * PAGE).await?;
    assert_eq!(device.bytes_stored(), 10 * PAGE as u64);
    bytes::write(&*device, 10 * PAGE as u64, PAGE).await?;
    bytes::read(&*device, 0, 11 * PAGE).await
}

pub(crate) async fn a_lock_outlives_the_handle_it_came_from(subject: &Subject) -> io::Result<()> {
    let (directory, other) = (subject.directory()?, subject.directory()?);
    let held = directory.lock("lock").await?;
    for contender in [&directory, &other] {
        let error = contender.lock("lock").await.expect_err("the lock is held");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
    drop(directory);
    assert!(other.lock("lock").await.is_err());
    drop(held);
    let held = other.lock("lock").await?;
    assert!(subject.directory()?.lock("lock").await.is_err());
    drop(held);
    drop(subject.directory()?.lock("lock").await?);
    Ok(())
}

pub(crate) async fn an_operation_begins_at_its_first_poll(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    directory.write_file("manifest", b"one").await?;
    drop(directory.remove_file("manifest"));
    drop(directory.write_file("manifest", b"two"));
    drop(directory.rename("manifest", "other"));
    assert_eq!(directory.read_file("manifest").await?, b"one");
    assert_eq!(directory.list().await?, ["manifest"]);
    Ok(())
}

/// Backends may route reads of different sizes, or across segments, in different ways.
pub(crate) async fn segments_are_read_by_large_and_small(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    let small = directory.open_device("small", options()).await?;
    bytes::write(&*small, 0, 26 * PAGE).await?;
    let large = DeviceOptions { segment_bytes: 4 << 20, create: true };
    let large = directory.open_device("large", large).await?;
    bytes::write(&*large, 0, 512 * PAGE).await?;
    for boundary in (1..=6).map(|index| index * SEGMENT) {
        bytes::read(&*small, boundary - PAGE as u64, 2 * PAGE).await?;
    }
    bytes::read(&*small, 0, 26 * PAGE).await?;
    for pages in [1, 2, 31, 32, 33, 300, 512] {
        bytes::read(&*large, 0, pages * PAGE).await?;
    }
    let block = large.geometry().block as usize;
    for index in 0..64 {
        bytes::read(&*large, (index * block) as u64, block).await?;
    }
    // Past the end of an existing file, and partly past it.
    let end = io::ErrorKind::UnexpectedEof;
    assert_eq!(bytes::refused_read(&*large, 512 * PAGE as u64, PAGE).await, end);
    assert_eq!(bytes::refused_read(&*large, 511 * PAGE as u64, 2 * PAGE).await, end);
    let message = small.read_at(26 * PAGE as u64, AlignedBuf::zeroed(PAGE)).await.into_buf();
    let message = message.expect_err("past the end").to_string();
    assert!(message.contains("small.000006"), "the message names the file: {message}");
    Ok(())
}
