//! The files of a checkpoint as a directory whose reads are copied to another one.
//!
//! The check of a backup reads this directory. What it reads is also written to the target. So the
//! bytes that are checked are the bytes that are copied, and the source is read once.

use super::origin::Origin;
use super::pair::Pair;
use crate::base::error::Result;
use futures::stream::{FuturesUnordered, StreamExt};
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_io::{
    AlignedBuf, BoxFuture, BufPool, Completion, CompletionSink, Completions, Device, DeviceOptions,
    Directory, Geometry, Lock, Transfer,
};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// The maximum number of reads, each with the write that follows it, in flight.
const AT_ONCE: usize = 8;
/// Bytes of buffers that are kept for the next copies.
const BUFFERS: usize = 8 << 20;

/// A directory with the files of a checkpoint that stay as they are. It is only read, while it is
/// [driven](Self::drive).
#[derive(Debug)]
pub(super) struct Tee {
    // Fixed after creation.
    origin: Origin,
    /// The lengths of the files, as far as the checkpoint needs them.
    files: BTreeMap<String, u64>,
    pairs: Vec<Arc<Pair>>,
    buffers: BufPool,
    queue: Arc<Queue>,
}

/// The reads that wait to be made.
#[derive(Debug)]
struct Queue {
    completions: Completions,
    // Under its lock.
    reads: Mutex<VecDeque<Read>>,
}

/// A read, with the device that it is of.
#[derive(Debug)]
struct Read {
    pair: Arc<Pair>,
    offset: u64,
    buf: AlignedBuf,
    sink: CompletionSink,
}

#[derive(Debug)]
struct TeeDevice {
    pair: Arc<Pair>,
    queue: Arc<Queue>,
}

impl Tee {
    /// Returns a directory with `files`, whose devices are the pairs.
    pub(super) fn new(
        origin: Origin,
        files: BTreeMap<String, u64>,
        pairs: Vec<Arc<Pair>>,
    ) -> Arc<Self> {
        let queue = Queue { completions: Completions::new(), reads: Mutex::default() };
        let (buffers, queue) = (BufPool::new(BUFFERS), Arc::new(queue));
        Arc::new(Self { origin, files, pairs, buffers, queue })
    }

    /// Runs `check`, which reads this directory. Each read is written to the target before as many
    /// others as may be in flight have ended.
    ///
    /// # Errors
    /// The error of a write, and `Closed` if the store is closed meanwhile. Errors of reads are for
    /// the check.
    pub(super) async fn drive<T>(&self, check: impl Future<Output = T>) -> Result<T> {
        let (mut check, mut checked) = (pin!(check), None);
        let mut passing = FuturesUnordered::new();
        poll_fn(|context| {
            loop {
                if checked.is_none()
                    && let Poll::Ready(result) = check.as_mut().poll(context)
                {
                    checked = Some(result);
                }
                let mut has_begun = false;
                while passing.len() < AT_ONCE
                    && let Some(read) = self.queue.reads().pop_front()
                {
                    passing.push(self.pass(read));
                    has_begun = true;
                }
                match passing.poll_next_unpin(context) {
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(Some(Ok(()))) => {}
                    Poll::Ready(None) if !has_begun => match checked.take() {
                        Some(result) => return Poll::Ready(Ok(result)),
                        // It waits for something else.
                        None => return Poll::Pending,
                    },
                    Poll::Ready(None) | Poll::Pending if !has_begun => return Poll::Pending,
                    _ => {}
                }
            }
        })
        .await
    }

    /// Makes a read, answers it, and writes what it has read.
    async fn pass(&self, read: Read) -> Result<()> {
        let Read { pair, offset, buf, sink } = read;
        self.origin.check_read()?;
        let transfer = pair.source().read_at(offset, buf).await;
        let bytes = transfer.buf.as_ref().filter(|_| transfer.result.is_ok());
        let copy = bytes.and_then(|bytes| pair.copy_of(offset, bytes, &self.buffers));
        sink.complete(Transfer { result: transfer.result, buf: transfer.buf });
        match copy {
            Some(copy) => pair.write(offset, copy).await,
            None => Ok(()),
        }
    }
}

impl Queue {
    fn reads(&self) -> MutexGuard<'_, VecDeque<Read>> {
        self.reads.lock().expect("nothing panics under it")
    }
}

impl Directory for Tee {
    fn open_device(
        &self,
        name: &str,
        _options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let pair = self.pairs.iter().find(|pair| pair.name() == name).map(Arc::clone);
        let queue = Arc::clone(&self.queue);
        Box::pin(async move {
            let pair = pair.ok_or(io::ErrorKind::NotFound)?;
            Ok(Arc::new(TeeDevice { pair, queue }) as Arc<dyn Device>)
        })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async { Ok(self.files.keys().cloned().collect()) })
    }

    fn read_file(&self, _name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        refuse()
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let bytes = self.files.get(name).copied();
        Box::pin(async move { bytes.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }

    fn write_file(&self, _name: &str, _bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn rename(&self, _from: &str, _to: &str) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn remove_file(&self, _name: &str) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn lock(&self, _name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        refuse()
    }

    fn describe(&self) -> String {
        self.origin.place().to_owned()
    }
}

impl Device for TeeDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let (completion, sink) = self.queue.completions.begin();
        let pair = Arc::clone(&self.pair);
        self.queue.reads().push_back(Read { pair, offset, buf, sink });
        completion
    }

    fn write_at(&self, _offset: u64, buf: AlignedBuf) -> Completion {
        let result = Err(io::ErrorKind::Unsupported.into());
        Completion::ready(Transfer { result, buf: Some(buf) })
    }

    fn sync(&self) -> Completion {
        Completion::ready(Transfer { result: Err(io::ErrorKind::Unsupported.into()), buf: None })
    }

    fn discard_below(&self, _offset: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn truncate(&self, _end: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn geometry(&self) -> Geometry {
        self.pair.source().geometry()
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.pair.source().locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.pair.source().bytes_stored()
    }
}

/// Refuses what a check does not do.
fn refuse<T: Send + 'static>() -> BoxFuture<'static, io::Result<T>> {
    Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
}
