//! The ways of reading through this crate.

use std::io;
use std::path::Path;
use std::sync::Arc;

use kvick_io::{AlignedBuf, BufPool, Device, DeviceOptions, Directory, IoConfig, open_directory};

use crate::measure::{Figures, Job, Offsets, READ, Stopwatch};

const NAME: &str = "read-depth";
/// The one segment file of the device.
pub(crate) const FILE: &str = "read-depth.000000";
const PAGE: usize = 1 << 20;

/// The executor that polls the tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runtime {
    /// Only the calling thread.
    Current,
    /// Two worker threads.
    Two,
}

/// Opens the device under test.
pub(crate) async fn device(directory: &dyn Directory, job: &Job) -> io::Result<Arc<dyn Device>> {
    let options = DeviceOptions { segment_bytes: job.bytes, create: true };
    directory.open_device(NAME, options).await
}

/// Writes the file, and reads it once from end to end.
pub(crate) fn prepare(path: &Path, job: &Job) -> io::Result<()> {
    let directory = open_directory(path, &IoConfig::default())?;
    pollster::block_on(async {
        let device = device(&*directory, job).await?;
        let mut page = AlignedBuf::zeroed(PAGE);
        page.fill(0xa5);
        for offset in (0..job.bytes).step_by(PAGE) {
            page = device.write_at(offset, page).await.into_buf()?;
        }
        device.sync().await.result?;
        for offset in (0..job.bytes).step_by(PAGE) {
            page = device.read_at(offset, page).await.into_buf()?;
            assert!(page.iter().all(|&byte| byte == 0xa5), "the written bytes are read");
        }
        Ok(())
    })
}

pub(crate) fn delete(path: &Path) -> io::Result<()> {
    let directory = open_directory(path, &IoConfig::default())?;
    pollster::block_on(directory.remove_file(FILE))
}

/// Reads one sector after the other, on a thread that parks in between.
pub(crate) fn one_by_one(device: &dyn Device, job: &Job) -> io::Result<Figures> {
    let (watch, mut offsets) = (Stopwatch::start(), Offsets::new(job, 0));
    pollster::block_on(async {
        let (mut buf, mut reads) = (AlignedBuf::zeroed(READ), 0);
        while watch.elapsed() < job.time {
            buf = device.read_at(offsets.next(), buf).await.into_buf()?;
            reads += 1;
        }
        Ok(watch.stop(reads))
    })
}

/// Runs `depth` tasks, each reading one sector after the other.
pub(crate) fn tasks(
    device: &Arc<dyn Device>,
    job: &Job,
    depth: usize,
    runtime: Runtime,
) -> io::Result<Figures> {
    let executor = match runtime {
        Runtime::Current => tokio::runtime::Builder::new_current_thread().build()?,
        Runtime::Two => tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?,
    };
    let pool = BufPool::new(depth * 4096);
    let watch = Stopwatch::start();
    let running: Vec<_> = (0..depth)
        .map(|seed| {
            let (device, pool, job) = (Arc::clone(device), pool.clone(), *job);
            executor.spawn(async move {
                let (mut offsets, mut reads) = (Offsets::new(&job, seed), 0);
                while watch.elapsed() < job.time {
                    device.read_at(offsets.next(), pool.take(READ)).await.result?;
                    reads += 1;
                }
                io::Result::Ok(reads)
            })
        })
        .collect();
    executor.block_on(async {
        let mut reads = 0;
        for task in running {
            reads += task.await.map_err(io::Error::other)??;
        }
        Ok(watch.stop(reads))
    })
}

/// Runs one task with two batches of half of `depth` reads in flight. A new batch replaces the
/// older.
pub(crate) fn batches(device: &dyn Device, job: &Job, depth: usize) -> io::Result<Figures> {
    let pool = BufPool::new(depth * 4096);
    let (watch, mut offsets, mut reads) = (Stopwatch::start(), Offsets::new(job, 0), 0);
    let (first, second) = (depth.div_ceil(2), depth / 2);
    let mut start =
        |count| device.read_many((0..count).map(|_| (offsets.next(), pool.take(READ))).collect());
    pollster::block_on(async {
        let (mut older, mut newer) = (start(first), start(second));
        while !older.is_empty() {
            let count = if watch.elapsed() < job.time { older.len() } else { 0 };
            for completion in older {
                completion.await.result?;
                reads += 1;
            }
            older = std::mem::replace(&mut newer, start(count));
            if older.is_empty() {
                older = std::mem::take(&mut newer);
            }
        }
        Ok(watch.stop(reads))
    })
}
