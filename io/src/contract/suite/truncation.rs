//! Checks of deleting from the high end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::{AlignedBuf, Device, DeviceOptions};

use super::subject::{REFUSED, SEGMENT, SEGMENT_LEN, SOUND, Subject, check, pattern};

/// Returns a device that is written up to `len`.
async fn written(subject: &Subject, len: usize) -> Arc<dyn Device> {
    let device = subject.device().await;
    let written = device.write_at(0, pattern(0, len)).await;
    written.result.expect("the write succeeds");
    device
}

async fn read(device: &dyn Device, offset: u64, len: usize) -> AlignedBuf {
    let read = device.read_at(offset, AlignedBuf::zeroed(len)).await;
    read.into_buf().expect("the read succeeds")
}

/// Checks that the device has every byte below `end` and no byte above.
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

async fn has_segments(subject: &Subject, indices: impl IntoIterator<Item = u64>) {
    let names: Vec<_> = indices.into_iter().map(|index| format!("log.{index:06}")).collect();
    assert_eq!(subject.directory.list().await.expect("it is listed"), names);
}

pub(super) fn truncating_cuts_and_removes(subject: Subject) {
    subject.run(async {
        let device = written(&subject, 5 * SEGMENT_LEN).await;
        // Within a segment, within the same segment again, at boundaries, across several, to
        // nothing.
        for (end, segments) in [
            (4 * SEGMENT + 8192, 5),
            (4 * SEGMENT + 4096, 5),
            (4 * SEGMENT, 4),
            (3 * SEGMENT, 3),
            (SEGMENT / 2, 1),
            (0, 1),
            (0, 1),
        ] {
            device.truncate(end).await.expect(SOUND);
            ends_at(&*device, end).await;
            has_segments(&subject, 0..segments).await;
        }
        device.sync().await.result.expect(SOUND);
        subject.directory.sync().await.expect(SOUND);
        device.write_at(0, pattern(0, 2 * SEGMENT_LEN)).await.result.expect(SOUND);
        ends_at(&*device, 2 * SEGMENT).await;
    });
}

pub(super) fn truncating_at_or_beyond_the_end_changes_nothing(subject: Subject) {
    subject.run(async {
        let end = SEGMENT + 8192;
        let device = written(&subject, SEGMENT_LEN + 8192).await;
        for beyond in [end, end + 4096, 2 * SEGMENT, 2 * SEGMENT + 4096, 9 * SEGMENT] {
            device.truncate(beyond).await.expect(SOUND);
            ends_at(&*device, end).await;
            has_segments(&subject, 0..2).await;
        }
    });
}

pub(super) fn a_misaligned_truncation_does_nothing(subject: Subject) {
    subject.run(async {
        let device = written(&subject, 2 * SEGMENT_LEN).await;
        let block = u64::from(device.geometry().block);
        for end in [1, block - 1, block + 1, SEGMENT + block / 2, SEGMENT - 1, u64::MAX] {
            let refused = device.truncate(end).await.expect_err(REFUSED);
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{end}: {refused}");
            ends_at(&*device, 2 * SEGMENT).await;
        }
        device.truncate(block).await.expect(SOUND);
        assert_eq!(device.bytes_stored(), block);
    });
}

pub(super) fn what_is_written_after_a_truncation_is_read_and_gaps_are_zeros(subject: Subject) {
    subject.run(async {
        let device = written(&subject, 3 * SEGMENT_LEN).await;
        device.truncate(4096).await.expect(SOUND);
        // After a gap in the segment that was shortened, and in a segment that was removed.
        for offset in [12_288, 2 * SEGMENT + 8192] {
            device.write_at(offset, pattern(7 * offset, 4096)).await.result.expect(SOUND);
            check(7 * offset, &read(&*device, offset, 4096).await);
            assert!(read(&*device, offset - 8192, 8192).await.iter().all(|&byte| byte == 0));
            let past = device.read_at(offset + 4096, AlignedBuf::zeroed(4096)).await;
            assert_eq!(past.result.expect_err(REFUSED).kind(), ErrorKind::UnexpectedEof);
        }
        check(0, &read(&*device, 0, 4096).await);
        assert_eq!(device.bytes_stored(), 16_384 + 12_288);
        has_segments(&subject, [0, 2]).await;
    });
}

pub(super) fn a_truncated_device_is_found_again(subject: Subject) {
    subject.run(async {
        let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
        drop(written(&subject, 4 * SEGMENT_LEN).await);
        for end in [4 * SEGMENT - 8192, 2 * SEGMENT, SEGMENT + 4096, 0] {
            let device = subject.directory.open_device("log", options).await.expect(SOUND);
            device.truncate(end).await.expect(SOUND);
            device.sync().await.result.expect(SOUND);
            subject.directory.sync().await.expect(SOUND);
            drop(device);
            let device = subject.directory.open_device("log", options).await.expect(SOUND);
            ends_at(&*device, end).await;
        }
        let device = subject.directory.open_device("log", options).await.expect(SOUND);
        device.write_at(0, pattern(0, 4096)).await.result.expect(SOUND);
        ends_at(&*device, 4096).await;
    });
}

pub(super) fn truncating_stays_above_what_was_discarded(subject: Subject) {
    subject.run(async {
        let device = written(&subject, 5 * SEGMENT_LEN).await;
        device.discard_below(2 * SEGMENT + 4096).await.expect(SOUND);
        for end in [0, SEGMENT, 2 * SEGMENT - 4096] {
            let refused = device.truncate(end).await.expect_err(REFUSED);
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert_eq!(device.bytes_stored(), 3 * SEGMENT);
        }
        // The lowest segment marks the start of the device.
        device.truncate(2 * SEGMENT).await.expect(SOUND);
        assert_eq!(device.bytes_stored(), 0);
        has_segments(&subject, [2]).await;
        drop(device);
        let device = subject.device().await;
        let gone = device.read_at(0, AlignedBuf::zeroed(4096)).await.result.expect_err(REFUSED);
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        device.write_at(2 * SEGMENT, pattern(2 * SEGMENT, 4096)).await.result.expect(SOUND);
        check(2 * SEGMENT, &read(&*device, 2 * SEGMENT, 4096).await);
        // There is nothing to truncate without a segment.
        device.discard_below(9 * SEGMENT).await.expect(SOUND);
        device.truncate(9 * SEGMENT).await.expect(SOUND);
        has_segments(&subject, []).await;
    });
}

pub(super) fn a_truncation_that_is_dropped_takes_place(subject: Subject) {
    subject.run(async {
        let device = written(&subject, 3 * SEGMENT_LEN).await;
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
