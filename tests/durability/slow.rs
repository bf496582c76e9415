//! A slow device: a power cut or a kill finds many operations in flight.
//!
//! On a fast device most operations end before the next moment of the end. Here each transfer, each
//! sync and each change of a directory takes `LATENCY` longer than the kernel takes. A random share
//! of it passes before the kernel gets the operation, and the rest after the kernel has carried it
//! out. So an end finds operations that have not begun, and operations that are done, while the
//! store knows of neither. Transfers also share `BYTES_PER_SECOND`.

use crate::job::Job;
use kvick::config::Backend;
use kvick::io::sim::Random;
use kvick::io::wrap::{Throttled, Timing};
use kvick::io::{
    AlignedBuf, BackendChoice, BoxFuture, Completion, Completions, Device, DeviceOptions,
    Directory, IoConfig, forward_device, forward_directory, open_directory,
};
use kvick::runtime::Handle;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The added time of each operation.
pub(crate) const LATENCY: Duration = Duration::from_millis(2);
/// The bytes that all transfers of a directory move per second.
pub(crate) const BYTES_PER_SECOND: u64 = 16 << 20;

/// Opens a directory of a job on its backend, slowed down.
pub(crate) fn directory(job: &Job, path: &Path, direct: bool) -> io::Result<Arc<dyn Directory>> {
    let backend = match job.backend {
        Backend::Uring => BackendChoice::Uring,
        Backend::Threads => BackendChoice::Threads,
        Backend::Auto => BackendChoice::Auto,
        other => return Err(io::Error::other(format!("{other} has no slow device"))),
    };
    let io = IoConfig { backend, direct, threads: IO_THREADS, ..IoConfig::default() };
    let timing: Arc<dyn Timing> = Arc::new(Handle::tokio(tokio::runtime::Handle::current()));
    let kernel = open_directory(path, &io)?;
    let inner = Arc::new(Throttled::new(kernel, BYTES_PER_SECOND, Arc::clone(&timing)));
    let random = Mutex::new(Random::new(job.seed ^ !job.life));
    Ok(Arc::new(Delayed { inner, delays: Arc::new(Delays { timing, random }) }))
}

/// A directory whose operations take longer.
#[derive(Debug)]
struct Delayed {
    inner: Arc<dyn Directory>,
    delays: Arc<Delays>,
}

#[derive(Debug)]
struct Delays {
    timing: Arc<dyn Timing>,
    random: Mutex<Random>,
}

impl Delays {
    /// Draws the pauses before and after an operation.
    fn draw(&self) -> (BoxFuture<'static, ()>, Duration) {
        let most = u64::try_from(LATENCY.as_micros()).expect("it is short");
        let mut random = self.random.lock().expect("no panic under the lock");
        let before = Duration::from_micros(random.below(most));
        (self.timing.sleep(before), LATENCY.saturating_sub(before))
    }

    /// Runs an operation on a directory between two pauses.
    async fn around<T>(&self, operation: impl Future<Output = T>) -> T {
        let (pause, rest) = self.draw();
        pause.await;
        let result = operation.await;
        self.timing.sleep(rest).await;
        result
    }
}

#[derive(Debug)]
struct DelayedDevice {
    inner: Arc<dyn Device>,
    delays: Arc<Delays>,
    completions: Completions,
}

impl DelayedDevice {
    /// Starts an operation on the device between two pauses.
    fn begin(&self, start: impl FnOnce(&dyn Device) -> Completion + Send + 'static) -> Completion {
        let (completion, sink) = self.completions.begin();
        let (device, delays) = (Arc::clone(&self.inner), Arc::clone(&self.delays));
        let (pause, rest) = delays.draw();
        let run = async move {
            pause.await;
            if sink.is_abandoned() {
                return;
            }
            let transfer = start(&*device).await;
            delays.timing.sleep(rest).await;
            sink.complete(transfer);
        };
        self.delays.timing.spawn("slow operation", Box::pin(run));
        completion
    }
}

impl Device for DelayedDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.begin(move |device| device.read_at(offset, buf))
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.begin(move |device| device.write_at(offset, buf))
    }

    fn sync(&self) -> Completion {
        self.begin(|device| device.sync())
    }

    forward_device!(discard_below, forget_below, truncate, geometry, locate, bytes_stored);
}

impl Directory for Delayed {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let opening = self.inner.open_device(name, options);
        Box::pin(async move {
            let (inner, delays) = (opening.await?, Arc::clone(&self.delays));
            let completions = Completions::new();
            Ok(Arc::new(DelayedDevice { inner, delays, completions }) as Arc<dyn Device>)
        })
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.delays.around(self.inner.write_file(name, bytes)))
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.delays.around(self.inner.rename(from, to)))
    }

    fn exchange(&self, one: &str, other: &str) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.delays.around(self.inner.exchange(one, other)))
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.delays.around(self.inner.remove_file(name)))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.delays.around(self.inner.sync()))
    }

    forward_directory!(list, read_file, file_bytes, lock, is_read_only, describe);
}

/// The number of I/O threads of a backend that has any.
pub(crate) const IO_THREADS: u32 = 4;
