//! Reads, writes, syncs, segments.

use std::io::ErrorKind;

use kvick_io::{AlignedBuf, DeviceOptions};

use crate::harness::{SEGMENT, SEGMENT_LEN, check, on_every_backend, pattern};

#[test]
fn what_was_written_is_read_back() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let block = u64::from(device.geometry().block);
        for (offset, len) in [(0, block), (block, 3 * block), (4096, 32 << 10), (40 << 10, 4096)] {
            let len = usize::try_from(len).unwrap();
            let transfer = device.write_at(offset, pattern(offset, len)).await;
            transfer.result.unwrap();
            assert_eq!(transfer.buf.unwrap().len(), len, "a write gives its buffer back");
            let buf = device.read_at(offset, AlignedBuf::zeroed(len)).await.into_buf().unwrap();
            check(offset, &buf);
        }
    });
}

#[test]
fn transfers_cross_segments() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let (offset, len) = (SEGMENT / 2, 5 * SEGMENT_LEN / 2);
        device.write_at(0, pattern(0, SEGMENT_LEN / 2)).await.result.unwrap();
        device.write_at(offset, pattern(offset, len)).await.result.unwrap();
        let buf = device.read_at(offset, AlignedBuf::zeroed(len)).await.into_buf().unwrap();
        check(offset, &buf);
        assert_eq!(device.bytes_stored(), 3 * SEGMENT);
        let names = ["log.000000", "log.000001", "log.000002"];
        assert_eq!(backend.directory.list().await.unwrap(), names);
        assert_eq!(device.locate(SEGMENT + 7), ("log.000001".to_owned(), 7));
    });
}

#[test]
fn segments_may_appear_in_any_order() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let offsets = [5 * SEGMENT, 0, 3 * SEGMENT, SEGMENT];
        let writes: Vec<_> =
            offsets.iter().map(|&offset| device.write_at(offset, pattern(offset, 8192))).collect();
        for write in writes {
            write.await.result.unwrap();
        }
        for offset in offsets {
            let buf = device.read_at(offset, AlignedBuf::zeroed(8192)).await.into_buf().unwrap();
            check(offset, &buf);
        }
    });
}

#[test]
fn reading_past_the_end_is_an_error() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let end = SEGMENT + 8192;
        device.write_at(0, pattern(0, SEGMENT_LEN + 8192)).await.result.unwrap();
        // Beyond the file, partly beyond it, in a segment that is not there, partly there.
        for (offset, len) in
            [(end, 4096), (end - 4096, 8192), (9 * SEGMENT, 4096), (end - 4096, 2 * SEGMENT)]
        {
            let len = usize::try_from(len).unwrap();
            let transfer = device.read_at(offset, AlignedBuf::zeroed(len)).await;
            assert_eq!(transfer.result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert_eq!(transfer.buf.unwrap().len(), len, "the buffer comes back all the same");
        }
    });
}

#[test]
fn misaligned_requests_are_refused() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        for (offset, len) in [(1, 4096), (0, 4095), (4096, 100), (u64::MAX - 4095, 4096)] {
            let buf = AlignedBuf::zeroed(len);
            let transfer = device.read_at(offset, buf).await;
            assert_eq!(transfer.result.unwrap_err().kind(), ErrorKind::InvalidInput);
            let transfer = device.write_at(offset, transfer.buf.unwrap()).await;
            assert_eq!(transfer.result.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(transfer.buf.unwrap().len(), len);
        }
    });
}

#[test]
fn an_empty_transfer_is_complete() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let buf = device.write_at(0, AlignedBuf::zeroed(0)).await.into_buf().unwrap();
        assert!(device.read_at(0, buf).await.into_buf().unwrap().is_empty());
    });
}

#[test]
fn more_operations_than_the_depth_wait_their_turn() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let offsets: Vec<u64> = (0..300).map(|index| index * 4096).collect();
        let writes: Vec<_> =
            offsets.iter().map(|&offset| device.write_at(offset, pattern(offset, 4096))).collect();
        for write in writes {
            write.await.result.unwrap();
        }
        let requests = offsets.iter().map(|&offset| (offset, AlignedBuf::zeroed(4096))).collect();
        let many = device.read_many(requests);
        let single: Vec<_> = offsets
            .iter()
            .map(|&offset| device.read_at(offset, AlignedBuf::zeroed(4096)))
            .collect();
        assert_eq!(many.len(), offsets.len());
        for (offset, read) in offsets.iter().chain(&offsets).zip(many.into_iter().chain(single)) {
            check(*offset, &read.await.into_buf().unwrap());
        }
    });
}

#[test]
fn read_many_reports_each_result_in_its_place() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        device.write_at(0, pattern(0, 8192)).await.result.unwrap();
        let buf = || AlignedBuf::zeroed(4096);
        let reads = vec![(4096, buf()), (3, buf()), (8192, buf()), (0, buf())];
        let mut results = Vec::new();
        for read in device.read_many(reads) {
            results.push(read.await);
        }
        check(4096, results[0].buf.as_ref().unwrap());
        assert_eq!(results[1].result.as_ref().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(results[2].result.as_ref().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        check(0, results[3].buf.as_ref().unwrap());
        assert!(device.read_many(Vec::new()).is_empty());
    });
}

#[test]
fn a_write_behind_ten_thousand_reads_is_carried_out() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        device.write_at(0, pattern(0, SEGMENT_LEN)).await.result.unwrap();
        let block = device.geometry().block as usize;
        let reads = (0..10_000).map(|_| (0, AlignedBuf::zeroed(block))).collect();
        let reads = device.read_many(reads);
        // That it overtakes them is shown where the classes are admitted, in each backend.
        device.write_at(4096, pattern(4096, 4096)).await.result.unwrap();
        device.sync().await.result.unwrap();
        for read in reads {
            check(0, &read.await.into_buf().unwrap());
        }
    });
}

#[test]
fn sync_succeeds_with_and_without_writes() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        device.sync().await.result.unwrap();
        device.write_at(0, pattern(0, 3 * SEGMENT_LEN)).await.result.unwrap();
        let syncs = [device.sync(), device.sync(), device.sync()];
        for sync in syncs {
            let transfer = sync.await;
            assert!(transfer.result.is_ok() && transfer.buf.is_none());
        }
    });
}

#[test]
fn discarding_deletes_whole_segments() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        device.write_at(0, pattern(0, 4 * SEGMENT_LEN)).await.result.unwrap();
        device.discard_below(2 * SEGMENT + 4096).await.unwrap();
        assert_eq!(backend.directory.list().await.unwrap(), ["log.000002", "log.000003"]);
        assert_eq!(device.bytes_stored(), 2 * SEGMENT);
        for offset in [0, 2 * SEGMENT - 4096] {
            let read = device.read_at(offset, AlignedBuf::zeroed(4096)).await;
            assert_eq!(read.result.unwrap_err().kind(), ErrorKind::NotFound);
            let write = device.write_at(offset, pattern(offset, 4096)).await;
            assert_eq!(write.result.unwrap_err().kind(), ErrorKind::NotFound);
        }
        let offset = 2 * SEGMENT;
        let buf = device.read_at(offset, AlignedBuf::zeroed(4096)).await.into_buf().unwrap();
        check(offset, &buf);
        device.discard_below(0).await.unwrap();
        backend.directory.sync().await.unwrap();
    });
}

#[test]
fn a_device_that_is_opened_again_has_its_bytes() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        device.write_at(0, pattern(0, 3 * SEGMENT_LEN)).await.result.unwrap();
        device.sync().await.result.unwrap();
        device.discard_below(SEGMENT).await.unwrap();
        drop(device);
        let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
        let device = backend.directory.open_device("log", options).await.unwrap();
        assert_eq!(device.bytes_stored(), 2 * SEGMENT);
        let len = 2 * SEGMENT_LEN;
        let buf = device.read_at(SEGMENT, AlignedBuf::zeroed(len)).await.into_buf().unwrap();
        check(SEGMENT, &buf);
        let gone = device.read_at(0, AlignedBuf::zeroed(4096)).await.result.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    });
}
