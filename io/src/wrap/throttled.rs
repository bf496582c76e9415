//! A directory whose devices move a limited number of bytes per second.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, Completions, Transfer};
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory};
use crate::wrap::Timing;

/// A directory that limits the bytes per second of all its devices together.
///
/// Transfers wait for their turn in the order of the calls, and keep their buffers meanwhile. A
/// transfer whose future is dropped before its turn does not start. Syncs and file operations are
/// forwarded at once.
#[derive(Debug)]
pub struct Throttled {
    inner: Arc<dyn Directory>,
    throttle: Arc<Throttle>,
}

#[derive(Debug)]
struct Throttle {
    bytes_per_second: u64,
    timing: Arc<dyn Timing>,
    completions: Completions,
    /// The time at which all transfers that started or wait have had their share.
    busy_until: Mutex<Duration>,
}

impl Throttled {
    /// Wraps `inner`.
    ///
    /// # Panics
    /// If `bytes_per_second` is 0.
    pub fn new(inner: Arc<dyn Directory>, bytes_per_second: u64, timing: Arc<dyn Timing>) -> Self {
        assert!(bytes_per_second > 0, "0 bytes per second would never end a transfer; choose more");
        let (completions, busy_until) = (Completions::new(), Mutex::default());
        let throttle = Throttle { bytes_per_second, timing, completions, busy_until };
        Self { inner, throttle: Arc::new(throttle) }
    }
}

impl Throttle {
    /// Returns how long a transfer waits for its turn, and takes the turn.
    fn take_turn(&self, bytes: usize) -> Duration {
        let share = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let share = Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX));
        let now = self.timing.now();
        // One assignment changes it.
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = now.max(*busy_until);
        *busy_until = begins.saturating_add(share);
        begins.saturating_sub(now)
    }

    /// Starts a transfer at its turn.
    fn begin(
        &self,
        device: &Arc<dyn Device>,
        buf: AlignedBuf,
        transfer: impl FnOnce(&dyn Device, AlignedBuf) -> Completion + Send + 'static,
    ) -> Completion {
        let wait = self.take_turn(buf.len());
        if wait.is_zero() {
            return transfer(&**device, buf);
        }
        let (completion, sink) = self.completions.begin();
        let (device, pause) = (Arc::clone(device), self.timing.sleep(wait));
        let run = async move {
            pause.await;
            if sink.is_abandoned() {
                return;
            }
            let Transfer { result, buf } = transfer(&*device, buf).await;
            sink.complete(Transfer { result, buf });
        };
        self.timing.spawn("throttled transfer", Box::pin(run));
        completion
    }
}

#[derive(Debug)]
struct ThrottledDevice {
    inner: Arc<dyn Device>,
    throttle: Arc<Throttle>,
}

impl Device for ThrottledDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.throttle.begin(&self.inner, buf, move |device, buf| device.read_at(offset, buf))
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.throttle.begin(&self.inner, buf, move |device, buf| device.write_at(offset, buf))
    }

    crate::forward_device!(
        sync,
        discard_below,
        forget_below,
        truncate,
        geometry,
        locate,
        bytes_stored,
    );
}

impl Directory for Throttled {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let opening = self.inner.open_device(name, options);
        Box::pin(async move {
            let (inner, throttle) = (opening.await?, Arc::clone(&self.throttle));
            Ok(Arc::new(ThrottledDevice { inner, throttle }) as Arc<dyn Device>)
        })
    }

    crate::forward_directory!();
}
