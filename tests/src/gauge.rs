//! The most bytes that all files together have at any I/O.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::io::EventSource;
use kvick::io::sim::SimDisk;
use kvick::runtime::Simulation;

use crate::simulated::{Site, World};

/// Remembers the most bytes that all files together had at any I/O.
#[derive(Debug)]
pub struct Gauge {
    disk: SimDisk,
    /// The bytes of blocks at the last look.
    used: AtomicU64,
    most: Mutex<(u64, String)>,
}

impl Gauge {
    /// Creates a run with a gauge on its disk.
    pub fn world(seed: u64) -> (Simulation, Site, Arc<Self>) {
        let World { site, .. } = World::new(seed);
        let (disk, used, most) = (site.disk.clone(), AtomicU64::new(0), Mutex::default());
        let gauge = Arc::new(Self { disk, used, most });
        let simulation = Simulation::new(seed);
        simulation.add_source(gauge.clone());
        let site = Site { handle: simulation.handle(), ..site };
        (simulation, site, gauge)
    }

    /// Returns the most bytes so far.
    pub fn most(&self) -> u64 {
        self.lock().0
    }

    /// Begins again.
    pub fn forget(&self) {
        self.used.store(0, Ordering::Relaxed);
        *self.lock() = Default::default();
    }

    /// Checks that the files never took more than `budget`.
    ///
    /// # Panics
    /// If they did.
    pub fn check(&self, budget: ByteSize) {
        let (most, files) = &*self.lock();
        assert!(*most <= budget.bytes(), "{most} bytes of {budget}: {files}");
    }

    fn look(&self) {
        // Only a change of the blocks changes the lengths.
        let used = self.disk.bytes_used();
        // Relaxed: the simulation has one thread.
        if self.used.swap(used, Ordering::Relaxed) == used {
            return;
        }
        let files = self.disk.files();
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        let mut most = self.lock();
        if bytes > most.0 {
            *most = (bytes, format!("{files:?}"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, String)> {
        self.most.lock().expect("nothing panics under it")
    }
}

impl EventSource for Gauge {
    fn next_event(&self) -> Option<Duration> {
        self.disk.next_event()
    }

    fn run_event(&self, now: Duration) {
        self.disk.run_event(now);
        self.look();
    }
}
