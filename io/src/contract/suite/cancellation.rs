//! Checks of futures that are dropped, moved, or outlive their device.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use crate::{AlignedBuf, BufPool, Completion, Device};

use super::subject::{SEGMENT, SEGMENT_LEN, SOUND, Subject, check, pattern};

fn poll_once(completion: &mut Completion, waker: &Waker) -> bool {
    Pin::new(completion).poll(&mut Context::from_waker(waker)).is_ready()
}

/// Uses the device until it has released every buffer.
async fn until_all_buffers_are_back(device: &dyn Device, pool: &BufPool) {
    for _ in 0..100_000 {
        if pool.outstanding_bytes() == 0 {
            return;
        }
        let _ = device.read_at(0, AlignedBuf::zeroed(4096)).await;
    }
    panic!("{} bytes did not come back", pool.outstanding_bytes());
}

pub(super) fn dropped_operations_give_back_every_buffer(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let pool = BufPool::new(8 << 20);
        device.write_at(0, pattern(0, 2 * SEGMENT_LEN)).await.result.expect(SOUND);
        for round in 0..40_u64 {
            let mut operations = Vec::new();
            for index in 0..40 {
                let offset = (round * 40 + index) % 30 * 4096;
                operations.push(device.read_at(offset, pool.take(4096)));
                let mut page = pool.take(4096);
                super::subject::fill(offset, &mut page);
                operations.push(device.write_at(offset, page));
            }
            // Some unpolled, some polled, some finished.
            for operation in operations.iter_mut().step_by(3) {
                poll_once(operation, Waker::noop());
            }
            // An operation that was not polled: a polled operation may have ended in the poll.
            let last = operations.swap_remove(usize::try_from(round % 26 * 3 + 1).expect(SOUND));
            drop(operations);
            last.await.result.expect(SOUND);
        }
        until_all_buffers_are_back(&*device, &pool).await;
        // Each write that took effect wrote the same bytes as before.
        for offset in (0..30).map(|page| page * 4096) {
            let buf =
                device.read_at(offset, AlignedBuf::zeroed(4096)).await.into_buf().expect(SOUND);
            check(offset, &buf);
        }
    });
}

pub(super) fn a_write_that_creates_a_segment_can_be_dropped(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        let pool = BufPool::new(8 << 20);
        device.write_at(0, pattern(0, 4096)).await.result.expect(SOUND);
        for segment in 1..20 {
            drop(device.write_at(segment * SEGMENT, pool.take(4096)));
        }
        until_all_buffers_are_back(&*device, &pool).await;
    });
}

pub(super) fn operations_outlive_the_device_and_the_directory(subject: Subject) {
    // A simulated source ends with its directory: nothing outlives it.
    if subject.is_simulated() {
        return;
    }
    let device = subject.run(subject.device());
    subject.run(device.write_at(0, pattern(0, SEGMENT_LEN))).result.expect(SOUND);
    let reads: Vec<_> =
        (0..16).map(|page| device.read_at(page * 4096, AlignedBuf::zeroed(4096))).collect();
    let last_write = device.write_at(SEGMENT, pattern(SEGMENT, 4096));
    drop(device);
    drop(subject.directory);
    for (page, read) in reads.into_iter().enumerate() {
        check(page as u64 * 4096, &pollster::block_on(read).into_buf().expect(SOUND));
    }
    pollster::block_on(last_write).result.expect(SOUND);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn a_future_may_move_to_another_task_and_thread(subject: Subject) {
    subject.run(async {
        let device = subject.device().await;
        device.write_at(0, pattern(0, SEGMENT_LEN)).await.result.expect(SOUND);
        let stale = Arc::new(Count::default());
        for page in 0..16 {
            let mut read = device.read_at(page * 4096, AlignedBuf::zeroed(4096));
            if poll_once(&mut read, &Waker::from(Arc::clone(&stale))) {
                continue;
            }
            if subject.is_simulated() {
                check(page * 4096, &read.await.into_buf().expect(SOUND));
                continue;
            }
            let moved =
                thread::Builder::new().spawn(move || pollster::block_on(read)).expect(SOUND);
            check(page * 4096, &moved.join().expect(SOUND).into_buf().expect(SOUND));
        }
    });
}

pub(super) fn many_threads_share_a_device(subject: Subject) {
    // A simulated source ends with its directory: nothing outlives it.
    if subject.is_simulated() {
        return;
    }
    let device = subject.run(subject.device());
    thread::scope(|scope| {
        for lane in 0..4_u64 {
            let device = &device;
            scope.spawn(move || {
                for page in 0..100 {
                    let offset = (page * 4 + lane) * 4096;
                    let write = device.write_at(offset, pattern(offset, 4096));
                    pollster::block_on(write).result.expect(SOUND);
                    let read = device.read_at(offset, AlignedBuf::zeroed(4096));
                    check(offset, &pollster::block_on(read).into_buf().expect(SOUND));
                }
            });
        }
    });
    assert_eq!(device.bytes_stored(), 400 * 4096);
}
