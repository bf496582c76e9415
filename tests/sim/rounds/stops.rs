//! The faults of the device, and compactions that stop half way.

use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::{Error, ErrorKind, Result};
use tests::polling::AtMost;
use tests::simulated::Site;

use super::Store;
use super::plan::is_shared;

/// The time after a moment of failures in which a closure panics, in microseconds.
const AFTERMATH: u64 = 1500;

/// The faults of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    /// Reads fail for a moment, again and again.
    pub(super) reads: bool,
    /// The device is full for a while, now and then.
    pub(super) full: bool,
}

/// The faults of a life, while it goes on.
#[derive(Debug)]
pub(super) struct Device {
    site: Site,
    faults: Faults,
    // Relaxed, in all of this: the simulation has one thread.
    is_over: AtomicBool,
    /// The time of the last moment in which reads have failed, in microseconds.
    moment: AtomicU64,
}

impl Device {
    pub(super) fn new(site: Site, faults: Faults) -> Arc<Self> {
        let (is_over, moment) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { site, faults, is_over, moment })
    }

    /// Lets reads fail, and the device be full, until the life is over.
    pub(super) async fn disturb(self: Arc<Self>, mut random: Random) {
        let pause = [10_000, 50_000, 300_000][random.index(3)];
        while !self.is_over.load(Ordering::Relaxed) {
            self.sleep(&mut random, pause).await;
            if self.faults.reads {
                self.fail_reads(&mut random).await;
            }
            if self.faults.full && random.chance(0.1) {
                let capacity = self.site.disk.bytes_used() + random.below(64 << 10);
                self.site.disk.set_capacity(Some(capacity));
                self.sleep(&mut random, 40_000).await;
                self.site.disk.set_capacity(None);
            }
        }
    }

    /// Lets all reads fail that end from now on, until the result has ended.
    fn fail_reads(self: &Arc<Self>, random: &mut Random) -> impl Future<Output = ()> + use<> {
        self.site.disk.fail_reads(Some(io::ErrorKind::Other));
        let (device, mut random) = (Arc::clone(self), random.fork());
        async move {
            device.sleep(&mut random, 700).await;
            device.site.disk.fail_reads(None);
            device.moment.store(device.now(), Ordering::Relaxed);
        }
    }

    /// Ends the faults.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Compacts now and then, with all ways to stop.
    pub(super) async fn compact_often(
        self: Arc<Self>,
        store: Store,
        (mut random, times): (Random, u64),
    ) {
        for _ in 0..times {
            self.sleep(&mut random, 30_000).await;
            let ended = match random.below(10) {
                0 => store.checkpoint().await.map(drop),
                1..6 => store.flush_and_evict().await,
                _ => Ok(()),
            };
            let ended = match ended {
                Ok(()) => self.compact(&store, &mut random).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                self.excuse(&store, &error);
            }
        }
    }

    async fn compact(self: &Arc<Self>, store: &Store, random: &mut Random) -> Result<()> {
        let request = store.compact();
        let request = match random.below(3) {
            0 => request.oldest(ByteSize::kib(1 + random.below(400))),
            _ => request,
        };
        match random.below(4) {
            0 => request.await.map(drop),
            1 => {
                let polls = 1 + u32::try_from(random.below(3)).expect("small");
                let ended = AtMost::new(polls, request.into_future()).await;
                ended.transpose().map(drop)
            }
            _ => {
                let request = request.keep(self.panicking(random.fork()));
                let ended = AssertUnwindSafe(request.into_future()).catch_unwind().await;
                ended.map_or(Ok(()), |compacted| compacted.map(drop))
            }
        }
    }

    /// Returns a closure that panics some calls after a moment in which reads have failed. Such a
    /// moment may begin with a call: then the reads of other records are in flight.
    fn panicking(
        self: &Arc<Self>,
        mut random: Random,
    ) -> impl FnMut(u64, &[u8]) -> bool + Send + 'static {
        let device = Arc::clone(self);
        let (mut moment, mut calls) = (0, 0);
        let chance = [0.01, 0.05, 0.2][random.index(3)];
        move |key, _value| {
            let last = device.moment.load(Ordering::Relaxed);
            if last > moment {
                (moment, calls) = (last, random.below(8));
            }
            if device.now().saturating_sub(last) < AFTERMATH {
                if calls == 0 {
                    resume_unwind(Box::new("the closure panics"));
                }
                calls -= 1;
            } else if device.faults.reads && is_shared(key) && random.chance(chance) {
                let moment = device.fail_reads(&mut random);
                device.site.handle.spawn("moment", moment).detach();
            }
            true
        }
    }

    /// Returns the time in microseconds.
    fn now(&self) -> u64 {
        u64::try_from(self.site.handle.now().as_micros()).expect("small")
    }

    /// Checks that an operation may fail with this error.
    pub(super) fn excuse(&self, store: &Store, error: &Error) {
        let is_excused = match error.kind() {
            ErrorKind::Io => self.faults.reads,
            ErrorKind::StorageFull => self.faults.full,
            _ => false,
        };
        assert!(is_excused, "{error}: {}", store.stats());
    }

    /// Waits for less than `most` microseconds.
    pub(super) async fn sleep(&self, random: &mut Random, most: u64) {
        self.site.handle.sleep(Duration::from_micros(random.below(most))).await;
    }
}
