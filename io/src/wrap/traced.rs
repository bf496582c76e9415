//! A directory that reports each transfer of its devices.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, Transfer};
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory};
use crate::wrap::Timing;

/// A directory whose devices report each ended transfer to a function.
///
/// A transfer whose future is dropped is not reported.
///
/// ```
/// # use std::{sync::{Arc, Mutex}, time::Duration};
/// # use kvick_io::{AlignedBuf, BoxFuture, DeviceOptions, Directory, MemoryDirectory};
/// use kvick_io::wrap::{Timing, Trace, Traced};
///
/// # #[derive(Debug)] struct NoTime;
/// # impl Timing for NoTime {
/// #     fn now(&self) -> Duration { Duration::ZERO }
/// #     fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> { Box::pin(async {}) }
/// #     fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
/// # }
/// # let timing: Arc<dyn Timing> = Arc::new(NoTime);
/// let traces = Arc::new(Mutex::new(Vec::new()));
/// let heard = Arc::clone(&traces);
/// let directory = Traced::new(Arc::new(MemoryDirectory::new()), timing, move |trace: &Trace| {
///     heard.lock().unwrap().push(format!("{:?} {} bytes", trace.kind, trace.bytes));
/// });
/// # pollster::block_on(async {
/// let device = directory.open_device("log", DeviceOptions::default()).await?;
/// device.write_at(0, AlignedBuf::zeroed(512)).await.result?;
/// assert_eq!(*traces.lock().unwrap(), ["Write 512 bytes"]);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Traced {
    inner: Arc<dyn Directory>,
    listener: Arc<Listener>,
}

/// One transfer that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// Name of the device.
    pub device: Arc<str>,
    /// The kind of the transfer.
    pub kind: TraceKind,
    /// The offset on the device, in bytes; 0 for a sync.
    pub offset: u64,
    /// The bytes of the buffer; 0 for a sync.
    pub bytes: usize,
    /// The time from the call to the result.
    pub took: Duration,
    /// The kind of the error, if the transfer failed.
    pub error: Option<io::ErrorKind>,
}

/// The kind of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceKind {
    /// Device to buffer.
    Read,
    /// Buffer to device.
    Write,
    /// Makes earlier writes durable.
    Sync,
}

struct Listener {
    timing: Arc<dyn Timing>,
    hear: Box<dyn Fn(&Trace) + Send + Sync>,
}

impl Traced {
    /// Wraps `inner`. `hear` runs in the task that awaits the transfer, so it must not block.
    pub fn new(
        inner: Arc<dyn Directory>,
        timing: Arc<dyn Timing>,
        hear: impl Fn(&Trace) + Send + Sync + 'static,
    ) -> Self {
        Self { inner, listener: Arc::new(Listener { timing, hear: Box::new(hear) }) }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("timing", &self.timing).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct TracedDevice {
    inner: Arc<dyn Device>,
    name: Arc<str>,
    listener: Arc<Listener>,
}

impl TracedDevice {
    /// Returns the function that reports an operation that starts now.
    fn trace(
        &self,
        kind: TraceKind,
        offset: u64,
        bytes: usize,
    ) -> impl FnOnce(Transfer) -> Transfer + Send + 'static {
        let (listener, device) = (Arc::clone(&self.listener), Arc::clone(&self.name));
        let begun = listener.timing.now();
        move |transfer| {
            let took = listener.timing.now().saturating_sub(begun);
            let error = transfer.result.as_ref().err().map(io::Error::kind);
            (listener.hear)(&Trace { device, kind, offset, bytes, took, error });
            transfer
        }
    }
}

impl Device for TracedDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let trace = self.trace(TraceKind::Read, offset, buf.len());
        self.inner.read_at(offset, buf).map(trace)
    }

    fn read_many(&self, reads: Vec<(u64, AlignedBuf)>) -> Vec<Completion> {
        let trace =
            |(offset, buf): &(u64, AlignedBuf)| self.trace(TraceKind::Read, *offset, buf.len());
        let traces: Vec<_> = reads.iter().map(trace).collect();
        let completions = self.inner.read_many(reads).into_iter();
        completions.zip(traces).map(|(completion, trace)| completion.map(trace)).collect()
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let trace = self.trace(TraceKind::Write, offset, buf.len());
        self.inner.write_at(offset, buf).map(trace)
    }

    fn sync(&self) -> Completion {
        let trace = self.trace(TraceKind::Sync, 0, 0);
        self.inner.sync().map(trace)
    }

    crate::forward_device!(discard_below, forget_below, truncate, geometry, locate, bytes_stored,);
}

impl Directory for Traced {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name: Arc<str> = name.into();
        Box::pin(async move {
            let inner = self.inner.open_device(&name, options).await?;
            let listener = Arc::clone(&self.listener);
            Ok(Arc::new(TracedDevice { inner, name, listener }) as Arc<dyn Device>)
        })
    }

    crate::forward_directory!();
}
