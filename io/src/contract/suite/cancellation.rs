//! Futures that are dropped, moved, or outlive what they came from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use kvick_io::{AlignedBuf, BufPool, Completion, Device, Directory};

use crate::harness::{Backend, SEGMENT, SEGMENT_LEN, backends, check, on_every_backend, pattern};

fn poll_once(completion: &mut Completion, waker: &Waker) -> bool {
    Pin::new(completion).poll(&mut Context::from_waker(waker)).is_ready()
}

/// Waits for the device to let go of every buffer, by using the device.
async fn until_all_buffers_are_back(device: &dyn Device, pool: &BufPool) {
    for _ in 0..100_000 {
        if pool.outstanding_bytes() == 0 {
            return;
        }
        let _ = device.read_at(0, AlignedBuf::zeroed(4096)).await;
    }
    panic!("{} bytes did not come back", pool.outstanding_bytes());
}

#[test]
fn dropped_operations_give_back_every_buffer() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let pool = BufPool::new(8 << 20);
        device.write_at(0, pattern(0, 2 * SEGMENT_LEN)).await.result.unwrap();
        for round in 0..40_u64 {
            let mut operations = Vec::new();
            for index in 0..40 {
                let offset = (round * 40 + index) % 30 * 4096;
                operations.push(device.read_at(offset, pool.take(4096)));
                let mut page = pool.take(4096);
                crate::harness::fill(offset, &mut page);
                operations.push(device.write_at(offset, page));
            }
            // Some unpolled, some polled, some finished.
            for operation in operations.iter_mut().step_by(3) {
                poll_once(operation, Waker::noop());
            }
            // One that was not polled: it may have ended in the poll.
            let last = operations.swap_remove(usize::try_from(round % 26 * 3 + 1).unwrap());
            drop(operations);
            last.await.result.unwrap();
        }
        until_all_buffers_are_back(&*device, &pool).await;
        // Whatever took effect wrote what was there before.
        for offset in (0..30).map(|page| page * 4096) {
            let buf = device.read_at(offset, AlignedBuf::zeroed(4096)).await.into_buf().unwrap();
            check(offset, &buf);
        }
    });
}

#[test]
fn a_write_that_creates_a_segment_can_be_dropped() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        let pool = BufPool::new(8 << 20);
        device.write_at(0, pattern(0, 4096)).await.result.unwrap();
        for segment in 1..20 {
            drop(device.write_at(segment * SEGMENT, pool.take(4096)));
        }
        until_all_buffers_are_back(&*device, &pool).await;
    });
}

#[test]
fn operations_outlive_the_device_and_the_directory() {
    for backend in backends() {
        let Some(backend) = without_source(backend) else {
            continue;
        };
        println!("backend: {}", backend.name);
        let device = backend.run(backend.device());
        backend.run(device.write_at(0, pattern(0, SEGMENT_LEN))).result.unwrap();
        let reads: Vec<_> =
            (0..16).map(|page| device.read_at(page * 4096, AlignedBuf::zeroed(4096))).collect();
        let last_write = device.write_at(SEGMENT, pattern(SEGMENT, 4096));
        drop(device);
        let Backend { directory, .. } = backend;
        drop::<Arc<dyn Directory>>(directory);
        for (page, read) in reads.into_iter().enumerate() {
            check(page as u64 * 4096, &pollster::block_on(read).into_buf().unwrap());
        }
        pollster::block_on(last_write).result.unwrap();
    }
}

/// A simulated source ends with its directory: nothing outlives it.
fn without_source(backend: Backend) -> Option<Backend> {
    (!backend.is_simulated()).then_some(backend)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_future_may_move_to_another_task_and_thread() {
    on_every_backend(async |backend| {
        let device = backend.device().await;
        device.write_at(0, pattern(0, SEGMENT_LEN)).await.result.unwrap();
        let stale = Arc::new(Count::default());
        for page in 0..16 {
            let mut read = device.read_at(page * 4096, AlignedBuf::zeroed(4096));
            if poll_once(&mut read, &Waker::from(Arc::clone(&stale))) {
                continue;
            }
            if backend.is_simulated() {
                check(page * 4096, &read.await.into_buf().unwrap());
                continue;
            }
            let moved = thread::Builder::new().spawn(move || pollster::block_on(read)).unwrap();
            check(page * 4096, &moved.join().unwrap().into_buf().unwrap());
        }
    });
}

#[test]
fn many_threads_share_a_device() {
    for backend in backends() {
        let Some(backend) = without_source(backend) else {
            continue;
        };
        println!("backend: {}", backend.name);
        let device = backend.run(backend.device());
        thread::scope(|scope| {
            for lane in 0..4_u64 {
                let device = &device;
                scope.spawn(move || {
                    for page in 0..100 {
                        let offset = (page * 4 + lane) * 4096;
                        let write = device.write_at(offset, pattern(offset, 4096));
                        pollster::block_on(write).result.unwrap();
                        let read = device.read_at(offset, AlignedBuf::zeroed(4096));
                        check(offset, &pollster::block_on(read).into_buf().unwrap());
                    }
                });
            }
        });
        assert_eq!(device.bytes_stored(), 400 * 4096);
    }
}
