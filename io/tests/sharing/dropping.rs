//! Futures and handles that are dropped early.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use kvick_io::{AlignedBuf, BufPool};

use crate::bytes::{self, PAGE};
use crate::subjects::{Subject, options};

pub(crate) async fn dropped_futures_give_their_buffers_back(subject: &Subject) -> io::Result<()> {
    let device = subject.directory()?.open_device("log", options()).await?;
    bytes::write(&*device, 0, 16 * PAGE).await?;
    let pool = BufPool::new(1 << 20);
    let mut nobody = Context::from_waker(Waker::noop());
    for round in 0..20_u64 {
        let mut begun: Vec<_> = (0..40)
            .map(|index| {
                let (offset, mut buf) = (index % 16 * PAGE as u64, pool.take(PAGE));
                if (index + round) % 3 > 0 {
                    return device.read_at(offset, buf);
                }
                bytes::fill(&mut buf, offset);
                device.write_at(offset, buf)
            })
            .collect();
        for completion in begun.iter_mut().step_by(2) {
            // Registers a waker, or finishes.
            let _ = Pin::new(completion).poll(&mut nobody);
        }
        drop(begun);
        // Later operations are not affected by operations without a waiting caller.
        bytes::read(&*device, 0, 4 * PAGE).await?;
    }
    // Time passes on the device: operations in flight end, and queued operations are skipped.
    let mut reads = 0;
    while pool.outstanding_bytes() > 0 {
        bytes::read(&*device, 0, PAGE).await?;
        reads += 1;
        assert!(reads < 20_000, "{} bytes never came back", pool.outstanding_bytes());
    }
    bytes::read(&*device, 0, 16 * PAGE).await
}

pub(crate) async fn handles_may_go_before_their_operations(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    let device = directory.open_device("log", options()).await?;
    bytes::write(&*device, 0, 16 * PAGE).await?;
    let pages = || (0..64).map(|index| index % 16 * PAGE as u64);
    let reads: Vec<_> =
        pages().map(|offset| device.read_at(offset, AlignedBuf::zeroed(PAGE))).collect();
    let appended: Vec<_> = pages()
        .map(|offset| offset + 16 * PAGE as u64)
        .map(|offset| device.write_at(offset, bytes::filled(offset, PAGE)))
        .collect();
    drop(device);
    drop(directory);
    for (offset, read) in pages().zip(reads) {
        bytes::check(&read.await.into_buf()?, offset);
    }
    for write in appended {
        write.await.result?;
    }
    let device = subject.directory()?.open_device("log", options()).await?;
    bytes::read(&*device, 0, 32 * PAGE).await
}
