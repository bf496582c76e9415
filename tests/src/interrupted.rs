//! A directory whose writer works just before a chosen operation of a reader.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kvick::io::{BoxFuture, Device, DeviceOptions, Directory};

type Work = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The directory of a reader. Before one of its operations, a writer works on the same files.
pub struct Interrupted {
    inner: Arc<dyn Directory>,
    work: Work,
    /// The number of operations up to the first work, and that one.
    left: AtomicU32,
    /// Whether the writer works again before each later operation.
    again: bool,
    done: AtomicU32,
}

impl Interrupted {
    /// Returns a directory in which `work` is done before operation number `operation`, from 0, and
    /// before each later one if `again`.
    pub fn new<F>(
        inner: Arc<dyn Directory>,
        (operation, again): (u32, bool),
        work: impl Fn() -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work: Work = Box::new(move || Box::pin(work()));
        let (left, done) = (AtomicU32::new(operation + 1), AtomicU32::new(0));
        Arc::new(Self { inner, work, left, again, done })
    }

    /// Returns how often the writer has worked.
    pub fn done(&self) -> u32 {
        // Relaxed, here and below: the simulation has one thread.
        self.done.load(Ordering::Relaxed)
    }

    async fn step(&self) {
        match self.left.load(Ordering::Relaxed) {
            0 => {}
            1 => {
                self.left.store(u32::from(self.again), Ordering::Relaxed);
                self.done.fetch_add(1, Ordering::Relaxed);
                (self.work)().await;
            }
            left => self.left.store(left - 1, Ordering::Relaxed),
        }
    }

    async fn segments(&self, device: &str) -> Vec<String> {
        let files = self.inner.list().await.expect("a sound disk");
        let is_of = |file: &String| file.rsplit_once('.').is_some_and(|(name, _)| name == device);
        files.into_iter().filter(is_of).collect()
    }
}

impl Directory for Interrupted {
    /// Opens listed files one by one, as a real directory does, and fails if all are gone.
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let listed = self.segments(&name).await;
            self.step().await;
            let left = self.segments(&name).await;
            if !left.iter().any(|file| listed.contains(file)) {
                let message = format!("{name} has no segment");
                return Err(io::Error::new(io::ErrorKind::NotFound, message));
            }
            self.inner.open_device(&name, options).await
        })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move {
            self.step().await;
            self.inner.list().await
        })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.step().await;
            self.inner.read_file(&name).await
        })
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.step().await;
            self.inner.file_bytes(&name).await
        })
    }

    kvick::io::forward_directory!(write_file, rename, remove_file, sync, lock, describe);
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Interrupted").field("inner", &self.inner).finish_non_exhaustive()
    }
}
