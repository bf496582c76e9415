//! Checks of reads, writes, syncs and segments.

use std::io::ErrorKind;

use crate::{AlignedBuf, DeviceOptions};

use super::subject::{REFUSED, SEGMENT, SEGMENT_LEN, SOUND, Subject, check, pattern};

pub(super) fn what_was_written_is_read_back(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let block = u64::from(device.geometry().block);
        for (offset, len) in [(0, block), (block, 3 * block), (4096, 32 << 10), (40 << 10, 4096)] {
            let len = usize::try_from(len).expect(SOUND);
            let transfer = device.write_at(offset, pattern(offset, len)).await;
            transfer.result.expect(SOUND);
            assert_eq!(transfer.buf.expect(SOUND).len(), len, "a write gives its buffer back");
            let buf =
                device.read_at(offset, AlignedBuf::zeroed(len)).await.into_buf().expect(SOUND);
            check(offset, &buf);
        }
    });
}

pub(super) fn transfers_cross_segments(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let (offset, len) = (SEGMENT / 2, 5 * SEGMENT_LEN / 2);
        device.write_at(0, pattern(0, SEGMENT_LEN / 2)).await.result.expect(SOUND);
        device.write_at(offset, pattern(offset, len)).await.result.expect(SOUND);
        let buf = device.read_at(offset, AlignedBuf::zeroed(len)).await.into_buf().expect(SOUND);
        check(offset, &buf);
        assert_eq!(device.bytes_stored(), 3 * SEGMENT);
        let names = ["log.000000", "log.000001", "log.000002"];
        assert_eq!(subject.directory.list().await.expect(SOUND), names);
        assert_eq!(device.locate(SEGMENT + 7), ("log.000001".to_owned(), 7));
    });
}

pub(super) fn segments_may_appear_in_any_order(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let offsets = [5 * SEGMENT, 0, 3 * SEGMENT, SEGMENT];
        let writes: Vec<_> =
            offsets.iter().map(|&offset| device.write_at(offset, pattern(offset, 8192))).collect();
        for write in writes {
            write.await.result.expect(SOUND);
        }
        for offset in offsets {
            let buf =
                device.read_at(offset, AlignedBuf::zeroed(8192)).await.into_buf().expect(SOUND);
            check(offset, &buf);
        }
    });
}

pub(super) fn reading_past_the_end_is_an_error(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let end = SEGMENT + 8192;
        device.write_at(0, pattern(0, SEGMENT_LEN + 8192)).await.result.expect(SOUND);
        // Beyond the file, partly beyond it, in a segment that is not there, partly there.
        for (offset, len) in
            [(end, 4096), (end - 4096, 8192), (9 * SEGMENT, 4096), (end - 4096, 2 * SEGMENT)]
        {
            let len = usize::try_from(len).expect(SOUND);
            let transfer = device.read_at(offset, AlignedBuf::zeroed(len)).await;
            assert_eq!(transfer.result.expect_err(REFUSED).kind(), ErrorKind::UnexpectedEof);
            assert_eq!(transfer.buf.expect(SOUND).len(), len, "the buffer comes back even so");
        }
    });
}

pub(super) fn misaligned_requests_are_refused(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        for (offset, len) in [(1, 4096), (0, 4095), (4096, 100), (u64::MAX - 4095, 4096)] {
            let buf = AlignedBuf::zeroed(len);
            let transfer = device.read_at(offset, buf).await;
            assert_eq!(transfer.result.expect_err(REFUSED).kind(), ErrorKind::InvalidInput);
            let transfer = device.write_at(offset, transfer.buf.expect(SOUND)).await;
            assert_eq!(transfer.result.expect_err(REFUSED).kind(), ErrorKind::InvalidInput);
            assert_eq!(transfer.buf.expect(SOUND).len(), len);
        }
    });
}

pub(super) fn an_empty_transfer_is_complete(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let buf = device.write_at(0, AlignedBuf::zeroed(0)).await.into_buf().expect(SOUND);
        assert!(device.read_at(0, buf).await.into_buf().expect(SOUND).is_empty());
    });
}

pub(super) fn more_operations_than_the_depth_wait_their_turn(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let offsets: Vec<u64> = (0..300).map(|index| index * 4096).collect();
        let writes: Vec<_> =
            offsets.iter().map(|&offset| device.write_at(offset, pattern(offset, 4096))).collect();
        for write in writes {
            write.await.result.expect(SOUND);
        }
        let requests = offsets.iter().map(|&offset| (offset, AlignedBuf::zeroed(4096))).collect();
        let many = device.read_many(requests);
        let single: Vec<_> = offsets
            .iter()
            .map(|&offset| device.read_at(offset, AlignedBuf::zeroed(4096)))
            .collect();
        assert_eq!(many.len(), offsets.len());
        for (offset, read) in offsets.iter().chain(&offsets).zip(many.into_iter().chain(single)) {
            check(*offset, &read.await.into_buf().expect(SOUND));
        }
    });
}

pub(super) fn read_many_reports_each_result_in_its_place(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.write_at(0, pattern(0, 8192)).await.result.expect(SOUND);
        let buf = || AlignedBuf::zeroed(4096);
        let reads = vec![(4096, buf()), (3, buf()), (8192, buf()), (0, buf())];
        let mut results = Vec::new();
        for read in device.read_many(reads) {
            results.push(read.await);
        }
        check(4096, results[0].buf.as_ref().expect(SOUND));
        assert_eq!(results[1].result.as_ref().expect_err(REFUSED).kind(), ErrorKind::InvalidInput);
        assert_eq!(results[2].result.as_ref().expect_err(REFUSED).kind(), ErrorKind::UnexpectedEof);
        check(0, results[3].buf.as_ref().expect(SOUND));
        assert!(device.read_many(Vec::new()).is_empty());
    });
}

pub(super) fn a_write_behind_ten_thousand_reads_is_carried_out(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.write_at(0, pattern(0, SEGMENT_LEN)).await.result.expect(SOUND);
        let block = device.geometry().block as usize;
        let reads = (0..10_000).map(|_| (0, AlignedBuf::zeroed(block))).collect();
        let reads = device.read_many(reads);
        // The tests of each subject show, where it admits the classes, that the write overtakes the
        // reads.
        device.write_at(4096, pattern(4096, 4096)).await.result.expect(SOUND);
        device.sync().await.result.expect(SOUND);
        for read in reads {
            check(0, &read.await.into_buf().expect(SOUND));
        }
    });
}

pub(super) fn sync_succeeds_with_and_without_writes(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.sync().await.result.expect(SOUND);
        device.write_at(0, pattern(0, 3 * SEGMENT_LEN)).await.result.expect(SOUND);
        let syncs = [device.sync(), device.sync(), device.sync()];
        for sync in syncs {
            let transfer = sync.await;
            assert!(transfer.result.is_ok() && transfer.buf.is_none());
        }
    });
}

/// A device that cannot write and sync at once gives the buffer back.
pub(super) fn a_write_with_its_sync_is_read_back(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.write_at(0, pattern(0, 4096)).await.result.expect(SOUND);
        for offset in [4096, 0, 2 * SEGMENT - 4096, 8192] {
            let transfer = match device.write_and_sync(offset, pattern(offset + 7, 8192)) {
                Ok(completion) => completion.await,
                Err(buf) => {
                    let transfer = device.write_at(offset, buf).await;
                    device.sync().await.result.expect(SOUND);
                    transfer
                }
            };
            let buf = transfer.into_buf().expect(SOUND);
            let found = device.read_at(offset, AlignedBuf::zeroed(8192)).await;
            assert_eq!(found.into_buf().expect(SOUND)[..], buf[..]);
        }
        for (offset, len) in [(1, 4096), (0, 4095)] {
            match device.write_and_sync(offset, AlignedBuf::zeroed(len)) {
                Ok(completion) => {
                    let error = completion.await.result.expect_err(REFUSED);
                    assert_eq!(error.kind(), ErrorKind::InvalidInput);
                }
                Err(buf) => assert_eq!(buf.len(), len),
            }
        }
    });
}

pub(super) fn discarding_deletes_whole_segments(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.write_at(0, pattern(0, 4 * SEGMENT_LEN)).await.result.expect(SOUND);
        device.discard_below(2 * SEGMENT + 4096).await.expect(SOUND);
        assert_eq!(subject.directory.list().await.expect(SOUND), ["log.000002", "log.000003"]);
        assert_eq!(device.bytes_stored(), 2 * SEGMENT);
        for offset in [0, 2 * SEGMENT - 4096] {
            let read = device.read_at(offset, AlignedBuf::zeroed(4096)).await;
            assert_eq!(read.result.expect_err(REFUSED).kind(), ErrorKind::NotFound);
            let write = device.write_at(offset, pattern(offset, 4096)).await;
            assert_eq!(write.result.expect_err(REFUSED).kind(), ErrorKind::NotFound);
        }
        let offset = 2 * SEGMENT;
        let buf = device.read_at(offset, AlignedBuf::zeroed(4096)).await.into_buf().expect(SOUND);
        check(offset, &buf);
        device.discard_below(0).await.expect(SOUND);
        subject.directory.sync().await.expect(SOUND);
    });
}

pub(super) fn a_device_that_is_opened_again_has_its_bytes(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.write_at(0, pattern(0, 3 * SEGMENT_LEN)).await.result.expect(SOUND);
        device.sync().await.result.expect(SOUND);
        device.discard_below(SEGMENT).await.expect(SOUND);
        drop(device);
        let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
        let device = subject.directory.open_device("log", options).await.expect(SOUND);
        assert_eq!(device.bytes_stored(), 2 * SEGMENT);
        let len = 2 * SEGMENT_LEN;
        let buf = device.read_at(SEGMENT, AlignedBuf::zeroed(len)).await.into_buf().expect(SOUND);
        check(SEGMENT, &buf);
        let gone = device.read_at(0, AlignedBuf::zeroed(4096)).await.result.expect_err(REFUSED);
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    });
}
