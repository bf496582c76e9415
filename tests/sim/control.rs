//! Negative controls: the checks that pass elsewhere must catch disks and models with deliberate
//! faults.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kvick::io::{AlignedBuf, BoxFuture, Completion, Device, DeviceOptions, Directory, Transfer};
use kvick::{ErrorKind, FasterKv};
use tests::model::{EntryPoints, Mix, Model};
use tests::simulated::{Site, World, seeds, two_pages};
use tests::wrapping::open_wrapped;

/// The fault of a disk, which begins when the test sets `is_active`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    /// A read returns the neighbour of the sought bytes, whose checksum is right for its own place.
    ReadsElsewhere,
    /// A write reports success, and writes to another place.
    WritesElsewhere,
    /// A write reports success, and writes nothing, even if it failed.
    WritesNothing,
    /// A sync reports success, and makes nothing durable.
    SyncsNothing,
    /// A sync of the directory reports success, and makes no name durable.
    ForgetsNames,
}

/// A directory whose devices have the fault.
#[derive(Debug)]
struct LyingDirectory {
    inner: Arc<dyn Directory>,
    lie: Lie,
    is_active: Arc<AtomicBool>,
}

#[derive(Debug)]
struct LyingDevice {
    inner: Arc<dyn Device>,
    lie: Lie,
    is_active: Arc<AtomicBool>,
}

impl LyingDevice {
    fn is_lying(&self) -> bool {
        // Relaxed: the simulation has one thread.
        self.is_active.load(Ordering::Relaxed)
    }
}

fn done(buf: Option<AlignedBuf>) -> Completion {
    Completion::ready(Transfer { result: Ok(()), buf })
}

impl Device for LyingDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        match self.lie {
            Lie::ReadsElsewhere if self.is_lying() => self.inner.read_at(offset ^ 4096, buf),
            _ => self.inner.read_at(offset, buf),
        }
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        match self.lie {
            // The write goes to a segment that no other write reaches.
            Lie::WritesElsewhere if self.is_lying() => self.inner.write_at(offset + (1 << 30), buf),
            Lie::WritesNothing if self.is_lying() => done(Some(buf)),
            _ => self.inner.write_at(offset, buf),
        }
    }

    fn sync(&self) -> Completion {
        match self.lie {
            Lie::SyncsNothing if self.is_lying() => done(None),
            _ => self.inner.sync(),
        }
    }

    kvick::io::forward_device!(discard_below, truncate, geometry, locate, bytes_stored);
}

impl Directory for LyingDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        open_wrapped(&*self.inner, name, options, |inner| {
            let (lie, is_active) = (self.lie, Arc::clone(&self.is_active));
            LyingDevice { inner, lie, is_active }
        })
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        let is_ignored = matches!(self.lie, Lie::SyncsNothing | Lie::ForgetsNames);
        // Relaxed: the simulation has one thread.
        if is_ignored && self.is_active.load(Ordering::Relaxed) {
            return Box::pin(async { Ok(()) });
        }
        self.inner.sync()
    }

    kvick::io::forward_directory!(
        list,
        read_file,
        write_file,
        rename,
        exchange,
        remove_file,
        lock,
        describe
    );
}

/// Returns a directory with the fault from the start.
pub(super) fn lying(inner: Arc<dyn Directory>, lie: Lie) -> Arc<dyn Directory> {
    Arc::new(LyingDirectory { inner, lie, is_active: Arc::new(AtomicBool::new(true)) })
}

/// Opens a store on a disk that has no fault until `is_active` is set.
pub(super) async fn open(site: &Site, lie: Lie) -> (FasterKv<u64, u64>, Arc<AtomicBool>) {
    let is_active = Arc::new(AtomicBool::new(false));
    let directory =
        LyingDirectory { inner: site.disk.directory("db"), lie, is_active: Arc::clone(&is_active) };
    let store = FasterKv::builder(two_pages().with_checkpoint_on_close(false))
        .runtime(site.handle.clone())
        .directory(Arc::new(directory))
        .seed(site.seed)
        .open_in_directory();
    (store.await.expect("the store opens"), is_active)
}

/// Reads 400 keys of a store on a faulty disk. Returns the numbers of right and of failed reads.
fn answers(seed: u64, lie: Option<Lie>) -> [u32; 2] {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let (store, is_active) = open(&site, lie.unwrap_or(Lie::ReadsElsewhere)).await;
        is_active.store(matches!(lie, Some(Lie::WritesElsewhere)), Ordering::Relaxed);
        for key in 0..400 {
            store.upsert(&key, &(key + 1)).await.expect("writes succeed");
        }
        store.flush_and_evict().await.expect("writes succeed");
        is_active.store(lie.is_some(), Ordering::Relaxed);
        let [mut right, mut refused] = [0, 0];
        for key in 0..400 {
            match store.read(&key).await {
                Ok(found) => {
                    assert_eq!(found, Some(key + 1), "wrong data");
                    right += 1;
                }
                Err(error) => {
                    let kind = error.kind();
                    assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Io), "{error}");
                    refused += 1;
                }
            }
        }
        [right, refused]
    })
}

#[test]
fn a_disk_that_lies_is_caught_each_time() {
    seeds(40, |seed| {
        assert_eq!(answers(seed, None), [400, 0]);
        assert_eq!(answers(seed, Some(Lie::ReadsElsewhere)), [0, 400]);
        assert_eq!(answers(seed, Some(Lie::WritesElsewhere)), [0, 400]);
    });
}

#[test]
fn a_model_that_is_wrong_is_caught() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let check = AssertUnwindSafe(|| {
            world.simulation.run(async {
                let store = site.open::<u64, u64>(two_pages()).await;
                let mix = Mix { first_key: 0, keys: 20, longest: 0, batches: true, flush: 0.02 };
                let mut entry_points = EntryPoints::new(&store).expect("the store is open");
                let mut model = Model::new(mix, site.random(3));
                for _ in 0..100 {
                    model.step(&mut entry_points).await.expect("a sound disk");
                }
                model.check(&mut entry_points).await.expect("a sound disk");
                model.lose_one();
                model.check(&mut entry_points).await.expect("a sound disk");
            });
        });
        let caught = catch_unwind(check).expect_err("the check finds the lost key");
        let text = caught.downcast_ref::<String>().expect("an assertion failed");
        assert!(text.contains("key "), "something else failed: {text}");
    });
}
