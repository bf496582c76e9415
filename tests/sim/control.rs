//! Negative controls: disks and models that are wrong on purpose must be caught by the same checks
//! that pass elsewhere.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kvick::io::{AlignedBuf, BoxFuture, Completion, Device, DeviceOptions, Directory, Transfer};
use kvick::{ErrorKind, FasterKv};
use tests::model::{Doors, Mix, Model};
use tests::simulated::{Site, World, seeds, two_pages};

/// What a wrong disk does once it is told to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    /// Reads the neighbour of what was asked for, whose checksum is right for its own place.
    ReadsElsewhere,
    /// Says that a write is done, and does another in its place.
    WritesElsewhere,
    /// Says that a write is done, also if it failed: it never is.
    WritesNothing,
    /// Says that what was written is durable, and does nothing.
    SyncsNothing,
    /// Says that names are durable, and does nothing.
    ForgetsNames,
}

/// A directory whose devices lie.
#[derive(Debug)]
struct LyingDirectory {
    inner: Arc<dyn Directory>,
    lie: Lie,
    told: Arc<AtomicBool>,
}

#[derive(Debug)]
struct LyingDevice {
    inner: Arc<dyn Device>,
    lie: Lie,
    told: Arc<AtomicBool>,
}

impl LyingDevice {
    fn is_told(&self) -> bool {
        // Relaxed: the simulation has one thread.
        self.told.load(Ordering::Relaxed)
    }
}

fn done(buf: Option<AlignedBuf>) -> Completion {
    Completion::ready(Transfer { result: Ok(()), buf })
}

impl Device for LyingDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        match self.lie {
            Lie::ReadsElsewhere if self.is_told() => self.inner.read_at(offset ^ 4096, buf),
            _ => self.inner.read_at(offset, buf),
        }
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        match self.lie {
            // Into a segment that nothing else is ever in.
            Lie::WritesElsewhere if self.is_told() => self.inner.write_at(offset + (1 << 30), buf),
            Lie::WritesNothing if self.is_told() => done(Some(buf)),
            _ => self.inner.write_at(offset, buf),
        }
    }

    fn sync(&self) -> Completion {
        match self.lie {
            Lie::SyncsNothing if self.is_told() => done(None),
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
        let name = name.to_owned();
        Box::pin(async move {
            let inner = self.inner.open_device(&name, options).await?;
            let (lie, told) = (self.lie, Arc::clone(&self.told));
            let device: Arc<dyn Device> = Arc::new(LyingDevice { inner, lie, told });
            Ok(device)
        })
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        let is_ignored = matches!(self.lie, Lie::SyncsNothing | Lie::ForgetsNames);
        // Relaxed: the simulation has one thread.
        if is_ignored && self.told.load(Ordering::Relaxed) {
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

/// A store on a disk that tells the truth until `told`.
pub(super) async fn open(site: &Site, lie: Lie) -> (FasterKv<u64, u64>, Arc<AtomicBool>) {
    let told = Arc::new(AtomicBool::new(false));
    let directory =
        LyingDirectory { inner: site.disk.directory("db"), lie, told: Arc::clone(&told) };
    let store = FasterKv::builder(two_pages().with_checkpoint_on_close(false))
        .runtime(site.handle.clone())
        .directory(Arc::new(directory))
        .seed(site.seed)
        .open_in_directory();
    (store.await.expect("the store opens"), told)
}

/// The answers of a store on a disk that lies: how many are right, and how many are refused.
fn answers(seed: u64, lie: Option<Lie>) -> [u32; 2] {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let (store, told) = open(&site, lie.unwrap_or(Lie::ReadsElsewhere)).await;
        told.store(matches!(lie, Some(Lie::WritesElsewhere)), Ordering::Relaxed);
        for key in 0..400 {
            store.upsert(&key, &(key + 1)).await.expect("writes succeed");
        }
        store.flush_and_evict().await.expect("writes succeed");
        told.store(lie.is_some(), Ordering::Relaxed);
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
                let mut doors = Doors::new(&store).expect("the store is open");
                let mut model = Model::new(mix, site.random(3));
                for _ in 0..100 {
                    model.step(&mut doors).await.expect("a sound disk");
                }
                model.check(&mut doors).await.expect("a sound disk");
                model.lose_one();
                model.check(&mut doors).await.expect("a sound disk");
            });
        });
        let caught = catch_unwind(check).expect_err("the lost key is missed");
        let text = caught.downcast_ref::<String>().expect("an assertion failed");
        assert!(text.contains("key "), "something else failed: {text}");
    });
}
