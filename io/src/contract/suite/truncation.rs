//! Deleting from the high end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Waker};

use kvick_io::{AlignedBuf, Device, DeviceOptions};

use crate::harness::{Backend, SEGMENT, SEGMENT_LEN, check, on_every_backend, pattern};

/// A device that is written up to `len`.
async fn written(backend: &Backend, len: usize) -> Arc<dyn Device> {
    let device = backend.device().await;
    let written = device.write_at(0, pattern(0, len)).await;
    written.result.expect("the write succeeds");
    device
}

async fn read(device: &dyn Device, offset: u64, len: usize) -> AlignedBuf {
    let read = device.read_at(offset, AlignedBuf::zeroed(len)).await;
    read.into_buf().expect("the read succeeds")
}

/// Checks that everything below `end` is there, and nothing above.
async fn ends_at(device: &dyn Device, end: u64) {
    assert_eq!(device.bytes_stored(), end);
    let len = usize::try_from(end).expect("small");
    check(0, &read(device, 0, len).await);
    for (offset, len) in [(end, 4096), (end + SEGMENT, 4096), (end.saturating_sub(4096), 8192)] {
        let past = device.read_at(offset, AlignedBuf::zeroed(len)).await;
        let error = past.result.expect_err("past the end");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

async fn has_segments(backend: &Backend, indices: impl IntoIterator<Item = u64>) {
    let names: Vec<_> = indices.into_iter().map(|index| format!("log.{index:06}")).collect();
    assert_eq!(backend.directory.list().await.expect("it is listed"), names);
}

#[test]
fn truncating_cuts_and_removes() {
    on_every_backend(async |backend| {
        let device = written(backend, 5 * SEGMENT_LEN).await;
        // Within a segment, within the same again, at boundaries, across several, to nothing.
        for (end, segments) in [
            (4 * SEGMENT + 8192, 5),
            (4 * SEGMENT + 4096, 5),
            (4 * SEGMENT, 4),
            (3 * SEGMENT, 3),
            (SEGMENT / 2, 1),
            (0, 1),
            (0, 1),
        ] {
            device.truncate(end).await.unwrap();
            ends_at(&*device, end).await;
            has_segments(backend, 0..segments).await;
        }
        device.sync().await.result.unwrap();
        backend.directory.sync().await.unwrap();
        device.write_at(0, pattern(0, 2 * SEGMENT_LEN)).await.result.unwrap();
        ends_at(&*device, 2 * SEGMENT).await;
    });
}

#[test]
fn truncating_at_or_beyond_the_end_changes_nothing() {
    on_every_backend(async |backend| {
        let end = SEGMENT + 8192;
        let device = written(backend, SEGMENT_LEN + 8192).await;
        for beyond in [end, end + 4096, 2 * SEGMENT, 2 * SEGMENT + 4096, 9 * SEGMENT] {
            device.truncate(beyond).await.unwrap();
            ends_at(&*device, end).await;
            has_segments(backend, 0..2).await;
        }
    });
}

#[test]
fn a_misaligned_truncation_does_nothing() {
    on_every_backend(async |backend| {
        let device = written(backend, 2 * SEGMENT_LEN).await;
        let block = u64::from(device.geometry().block);
        for end in [1, block - 1, block + 1, SEGMENT + block / 2, SEGMENT - 1, u64::MAX] {
            let refused = device.truncate(end).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{end}: {refused}");
            ends_at(&*device, 2 * SEGMENT).await;
        }
        device.truncate(block).await.unwrap();
        assert_eq!(device.bytes_stored(), block);
    });
}

#[test]
fn what_is_written_after_a_truncation_is_read_and_gaps_are_zeros() {
    on_every_backend(async |backend| {
        let device = written(backend, 3 * SEGMENT_LEN).await;
        device.truncate(4096).await.unwrap();
        // Behind a gap in the segment that was cut, and in one that was removed.
        for offset in [12_288, 2 * SEGMENT + 8192] {
            device.write_at(offset, pattern(7 * offset, 4096)).await.result.unwrap();
            check(7 * offset, &read(&*device, offset, 4096).await);
            assert!(read(&*device, offset - 8192, 8192).await.iter().all(|&byte| byte == 0));
            let past = device.read_at(offset + 4096, AlignedBuf::zeroed(4096)).await;
            assert_eq!(past.result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
        check(0, &read(&*device, 0, 4096).await);
        assert_eq!(device.bytes_stored(), 16_384 + 12_288);
        has_segments(backend, [0, 2]).await;
    });
}

#[test]
fn a_truncated_device_is_found_again() {
    on_every_backend(async |backend| {
        let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
        drop(written(backend, 4 * SEGMENT_LEN).await);
        for end in [4 * SEGMENT - 8192, 2 * SEGMENT, SEGMENT + 4096, 0] {
            let device = backend.directory.open_device("log", options).await.unwrap();
            device.truncate(end).await.unwrap();
            device.sync().await.result.unwrap();
            backend.directory.sync().await.unwrap();
            drop(device);
            let device = backend.directory.open_device("log", options).await.unwrap();
            ends_at(&*device, end).await;
        }
        let device = backend.directory.open_device("log", options).await.unwrap();
        device.write_at(0, pattern(0, 4096)).await.result.unwrap();
        ends_at(&*device, 4096).await;
    });
}

#[test]
fn truncating_stays_above_what_was_discarded() {
    on_every_backend(async |backend| {
        let device = written(backend, 5 * SEGMENT_LEN).await;
        device.discard_below(2 * SEGMENT + 4096).await.unwrap();
        for end in [0, SEGMENT, 2 * SEGMENT - 4096] {
            let refused = device.truncate(end).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert_eq!(device.bytes_stored(), 3 * SEGMENT);
        }
        // The lowest segment says where the device begins.
        device.truncate(2 * SEGMENT).await.unwrap();
        assert_eq!(device.bytes_stored(), 0);
        has_segments(backend, [2]).await;
        drop(device);
        let device = backend.device().await;
        let gone = device.read_at(0, AlignedBuf::zeroed(4096)).await.result.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        device.write_at(2 * SEGMENT, pattern(2 * SEGMENT, 4096)).await.result.unwrap();
        check(2 * SEGMENT, &read(&*device, 2 * SEGMENT, 4096).await);
        // Without any segment there is nothing to cut.
        device.discard_below(9 * SEGMENT).await.unwrap();
        device.truncate(9 * SEGMENT).await.unwrap();
        has_segments(backend, []).await;
    });
}

#[test]
fn a_truncation_that_is_dropped_takes_place() {
    on_every_backend(async |backend| {
        let device = written(backend, 3 * SEGMENT_LEN).await;
        drop(device.truncate(0));
        check(0, &read(&*device, 0, 3 * SEGMENT_LEN).await);
        let mut truncating = device.truncate(SEGMENT + 4096);
        let _ = truncating.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(truncating);
        for _ in 0..100_000 {
            if device.bytes_stored() == SEGMENT + 4096 {
                return ends_at(&*device, SEGMENT + 4096).await;
            }
            drop(read(&*device, 0, 4096).await);
        }
        panic!("{} bytes are still there", device.bytes_stored());
    });
}
