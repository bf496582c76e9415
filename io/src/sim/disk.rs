//! The handle of a simulated disk, with which a test controls it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::contract::directory::Directory;
use crate::contract::event_source::EventSource;
use crate::sim::directory::SimDirectory;
use crate::sim::faults::{Fault, Faults};
use crate::sim::medium::file::SimFile;
use crate::sim::medium::history::OperationKind;
use crate::sim::medium::world::{World, not_found};
use crate::sim::options::{SimOptions, Survival};
use crate::sim::shared::Shared;

/// A simulated disk. Clones are handles of the same disk.
///
/// A simulation executor drives it as an [`EventSource`]; no operation ends otherwise. A file is
/// named by directory and name, such as `db/log.000000`.
///
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
/// use kvick_io::EventSource;
/// use kvick_io::sim::{SimDisk, SimOptions, Survival};
///
/// let disk = SimDisk::new(1, SimOptions::default());
/// let directory = disk.directory("db");
/// let mut writing = pin!(directory.write_file("name", b"kvick"));
/// let mut context = Context::from_waker(Waker::noop());
/// while let Poll::Pending = writing.as_mut().poll(&mut context) {
///     disk.run_event(disk.next_event().expect("an operation is in flight"));
/// }
/// // The contents were synced, the name was not.
/// assert_eq!(disk.crash_with(7, Survival::NOTHING).files(), []);
/// assert_eq!(disk.files(), [("db/name".to_owned(), 5)]);
/// ```
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

impl SimDisk {
    /// Creates an empty disk. `seed` decides its latencies and faults.
    ///
    /// # Panics
    /// If `options.block` is neither 512 nor 4096, or the physical block is not a power of two from
    /// `block` to 64 KiB. If the range of latencies is empty.
    pub fn new(seed: u64, options: SimOptions) -> Self {
        Self::over(World::new(seed, options))
    }

    fn over(world: World) -> Self {
        Self { shared: Arc::new(Shared::new(world)) }
    }

    /// Returns the directory at `path`, created if absent. This takes no time and is durable at
    /// once.
    pub fn directory(&self, path: &str) -> Arc<dyn Directory> {
        let path = path.trim_end_matches('/').to_owned();
        let mut world = self.shared.world();
        world.directories.entry(path.clone()).or_default();
        let (disk, failures) = (Arc::clone(&self.shared), Arc::default());
        Arc::new(SimDirectory { path, disk, failures })
    }

    /// Returns the disk after a power cut at this moment. `seed` decides which changes survive.
    /// This disk does not change, so a test can cut the same moment many times.
    ///
    /// The image has no operations, locks or faults, and its clock and counters are at 0.
    pub fn crash(&self, seed: u64) -> Self {
        Self::over(self.shared.world().image(seed, None))
    }

    /// Returns the disk after a power cut as [`crash`](Self::crash) does, with given probabilities
    /// of survival.
    pub fn crash_with(&self, seed: u64, survival: Survival) -> Self {
        Self::over(self.shared.world().image(seed, Some(survival)))
    }

    /// Fails operation `number`. See [`operations`](Self::operations) for the numbers.
    pub fn fail_at(&self, number: u64, fault: impl Into<Fault>) {
        self.shared.world().faults.at.insert(number, fault.into());
    }

    /// Fails every operation that opens a file, or with `None` no longer. They are opening devices,
    /// reading, writing and locking files, listing, and writes into a segment that does not exist
    /// yet. [`Fault::NoDescriptors`] simulates the limit of descriptors.
    pub fn fail_opens(&self, fault: Option<Fault>) {
        self.shared.world().faults.opens = fault;
    }

    /// Fails every change with `ReadOnlyFilesystem`, or no longer. Reads, syncs and locks work.
    pub fn set_read_only(&self, read_only: bool) {
        self.shared.world().read_only = read_only;
    }

    /// Fails all reads that end from now on, or no longer.
    pub fn fail_reads(&self, error: Option<io::ErrorKind>) {
        self.shared.world().faults.reads = error;
    }

    /// Fails all writes that end from now on, and creations of files, or no longer.
    pub fn fail_writes(&self, error: Option<io::ErrorKind>) {
        self.shared.world().faults.writes = error;
    }

    /// Fails all syncs that end from now on with `Other`, or no longer.
    pub fn fail_syncs(&self, fail: bool) {
        self.shared.world().faults.syncs = fail;
    }

    /// Ends all faults: the switches, the scheduled faults, and the faults by chance.
    pub fn heal(&self) {
        self.shared.world().faults = Faults::default();
    }

    /// Sets the capacity in bytes; `None` is no limit. A capacity below
    /// [`bytes_used`](Self::bytes_used) fails every write that needs space.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.world().options.capacity = bytes;
    }

    /// Adds to the capacity, if it is limited.
    pub fn add_space(&self, bytes: u64) {
        let capacity = &mut self.shared.world().options.capacity;
        *capacity = capacity.map(|capacity| capacity.saturating_add(bytes));
    }

    /// Returns the bytes of the files that have a name.
    pub fn bytes_used(&self) -> u64 {
        self.shared.world().bytes_used
    }

    /// Stops the disk: no operation ends before [`release`](Self::release).
    pub fn stall(&self) {
        self.shared.world().stalled = true;
    }

    /// Ends a stall. Operations that were due meanwhile are due at once.
    pub fn release(&self) {
        self.shared.world().stalled = false;
    }

    /// Flips the bits of `mask` in the byte at `offset` of a file, in memory and on the medium.
    ///
    /// # Panics
    /// If the file, or the byte in it, does not exist.
    pub fn corrupt(&self, file: &str, offset: u64, mask: u8) {
        let mut world = self.shared.world();
        let found = find(&world, file).unwrap_or_else(|error| panic!("{error}"));
        world.change(&found, |contents| contents.corrupt(offset, mask));
    }

    /// Returns all files with their lengths, sorted.
    pub fn files(&self) -> Vec<(String, u64)> {
        let world = self.shared.world();
        let files = world.directories.iter().flat_map(|(path, namespace)| {
            let names = namespace.names().iter();
            names.map(move |(name, file)| (format!("{path}/{name}"), file.contents().length()))
        });
        files.collect()
    }

    /// Returns the number of operations started so far, which is the number of the next operation.
    pub fn operations(&self) -> u64 {
        self.shared.world().history.started()
    }

    /// Returns the number of operations of one kind started so far.
    pub fn count(&self, kind: OperationKind) -> u64 {
        self.shared.world().history.count(kind)
    }

    /// Returns the number of operations started and not ended.
    pub fn in_flight(&self) -> usize {
        self.shared.world().in_flight.len()
    }

    /// Returns the last operations as text, one per line, for messages.
    pub fn history(&self) -> String {
        self.shared.world().history.to_string()
    }
}

impl EventSource for SimDisk {
    fn next_event(&self) -> Option<Duration> {
        self.shared.world().next_event()
    }

    fn run_event(&self, now: Duration) {
        let ended = self.shared.world().run(now);
        // Without the lock: a waker may call anything.
        for (sink, transfer) in ended {
            sink.complete(transfer);
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.shared.world();
        formatter
            .debug_struct("SimDisk")
            .field("options", &world.options)
            .field("operations", &world.history.started())
            .field("in_flight", &world.in_flight)
            .finish_non_exhaustive()
    }
}

fn find(world: &World, file: &str) -> io::Result<Arc<SimFile>> {
    let (path, name) = file.rsplit_once('/').ok_or_else(|| not_found(file))?;
    let namespace = world.directories.get(path);
    let found = namespace.and_then(|namespace| namespace.names().get(name));
    found.map(Arc::clone).ok_or_else(|| not_found(file))
}
