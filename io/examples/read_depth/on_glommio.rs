//! The same reads from tasks of a glommio executor, through its own ring.

use std::io;
use std::path::Path;
use std::sync::Arc;

use glommio::LocalExecutorBuilder;
use kvick_io::{BackendChoice, BufPool, Device, IoConfig, attach_glommio, open_directory};

use crate::arms;
use crate::measure::{Figures, Job, Offsets, READ, Stopwatch};

/// Runs `depth` local tasks, each reading one sector after the other.
pub(crate) fn tasks(path: &Path, job: &Job, depth: usize) -> io::Result<Figures> {
    let config = IoConfig { backend: BackendChoice::Glommio, ..IoConfig::default() };
    let directory = open_directory(path, &config)?;
    let executor = LocalExecutorBuilder::default().make().map_err(other)?;
    executor.run(async move {
        let _attachment = attach_glommio();
        let device = arms::device(&*directory, job).await?;
        let (pool, watch) = (BufPool::new(depth * 4096), Stopwatch::start());
        let running: Vec<_> = (0..depth)
            .map(|seed| {
                let offsets = Offsets::new(job, seed);
                glommio::spawn_local(read(Arc::clone(&device), pool.clone(), offsets, watch, *job))
            })
            .collect();
        let mut reads = 0;
        for task in running {
            reads += task.await?;
        }
        Ok(watch.stop(reads))
    })
}

async fn read(
    device: Arc<dyn Device>,
    pool: BufPool,
    mut offsets: Offsets,
    watch: Stopwatch,
    job: Job,
) -> io::Result<u64> {
    let mut reads = 0;
    while watch.elapsed() < job.time {
        device.read_at(offsets.next(), pool.take(READ)).await.result?;
        reads += 1;
    }
    Ok(reads)
}

fn other(error: glommio::GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}
