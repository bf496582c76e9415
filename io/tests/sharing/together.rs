//! Many operations at the same time.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use kvick_io::{AlignedBuf, Completion};

use crate::bytes::{self, PAGE};
use crate::subjects::{Subject, options};

const MANY: u64 = 300;

fn page(index: u64) -> u64 {
    index * PAGE as u64
}

pub(crate) async fn more_operations_than_the_depth(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    let writes: Vec<_> = (0..MANY)
        .map(|index| device.write_at(page(index), bytes::filled(page(index), PAGE)))
        .collect();
    // Awaited in another order than started.
    for write in writes.into_iter().rev() {
        write.await.result?;
    }
    let reads = (0..MANY).map(|index| (page(index), AlignedBuf::zeroed(PAGE))).collect();
    for (index, read) in (0..MANY).zip(device.read_many(reads)) {
        bytes::check(&read.await.into_buf()?, page(index));
    }
    let reads: Vec<_> =
        (0..MANY).map(|index| device.read_at(page(index), AlignedBuf::zeroed(PAGE))).collect();
    for (index, read) in (0..MANY).zip(reads) {
        bytes::check(&read.await.into_buf()?, page(index));
    }
    assert_eq!(device.bytes_stored(), page(MANY));
    Ok(())
}

/// Any task may poll a future: the last waker counts.
pub(crate) async fn a_task_may_move(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    bytes::write(&*device, 0, PAGE).await?;
    for _ in 0..100 {
        let mut read = pin!(device.read_at(0, AlignedBuf::zeroed(PAGE)));
        // Wakes no task: the test would hang if the next poll did not replace the waker.
        let mut nobody = Context::from_waker(Waker::noop());
        let transfer = match read.as_mut().poll(&mut nobody) {
            Poll::Ready(transfer) => transfer,
            Poll::Pending => read.await,
        };
        bytes::check(&transfer.into_buf()?, 0);
    }
    Ok(())
}

pub(crate) async fn threads_do_not_disturb_each_other(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    let work = |first: u64| {
        pollster::block_on(async {
            for index in (first..MANY).step_by(4) {
                bytes::write(&*device, page(index), PAGE).await?;
                bytes::read(&*device, page(index), PAGE).await?;
                if index % 32 == first {
                    device.sync().await.result?;
                }
            }
            io::Result::Ok(())
        })
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|first| scope.spawn(move || work(first))).collect();
        threads.into_iter().try_for_each(|one| one.join().expect("no thread panics"))
    })?;
    bytes::read(&*device, 0, PAGE * 4).await?;
    assert_eq!(device.bytes_stored(), page(MANY));
    Ok(())
}

/// Far more than the other side needs to complete its few operations.
const PATIENCE: u64 = 1_000_000;
/// The number of waiting operations, so that the queue does not run dry when this thread pauses.
const BACKLOG: u64 = 2000;

/// Keeps a long queue of operations until `done`.
fn keep_busy(done: &AtomicBool, begin: impl Fn(u64, AlignedBuf) -> Completion) -> io::Result<()> {
    pollster::block_on(async {
        let mut queue: VecDeque<_> =
            (0..BACKLOG).map(|index| begin(index, AlignedBuf::zeroed(PAGE))).collect();
        let mut next = BACKLOG;
        while let Some(oldest) = queue.pop_front() {
            let buf = oldest.await.into_buf()?;
            // Relaxed: it only tells when to stop, and guards nothing.
            if !done.load(Ordering::Relaxed) {
                assert!(next < PATIENCE, "the other side was starved by {next} operations");
                queue.push_back(begin(next, buf));
                next += 1;
            }
        }
        Ok(())
    })
}

/// Runs `work` while another thread keeps the device busy with `begin`.
fn beside(
    begin: impl Fn(u64, AlignedBuf) -> Completion + Send + Sync,
    work: impl Future<Output = io::Result<()>>,
) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| keep_busy(&done, begin));
        let outcome = pollster::block_on(work);
        done.store(true, Ordering::Relaxed);
        other.join().expect("the work is not starved").expect("the operations succeed");
        outcome.expect("the work is done");
    });
}

pub(crate) async fn reads_do_not_starve_writes(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    bytes::write(&*device, 0, 16 * PAGE).await?;
    let begin = |index, buf| device.read_at(page(index % 16), buf);
    beside(begin, async {
        for index in 16..32 {
            bytes::write(&*device, page(index), PAGE).await?;
        }
        device.sync().await.result
    });
    bytes::read(&*device, 0, 32 * PAGE).await
}

pub(crate) async fn writes_do_not_starve_reads(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    bytes::write(&*device, 0, 16 * PAGE).await?;
    let begin = |index, mut buf: AlignedBuf| {
        let offset = page(16 + index % 16);
        bytes::fill(&mut buf, offset);
        device.write_at(offset, buf)
    };
    beside(begin, async {
        for index in 0..64 {
            bytes::read(&*device, page(index % 16), PAGE).await?;
        }
        Ok(())
    });
    bytes::read(&*device, 0, 32 * PAGE).await
}
