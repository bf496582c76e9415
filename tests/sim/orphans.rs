//! A store whose runtime ends at any step, while tasks wait for it.
//!
//! A tokio runtime was dropped, as at the end of each `#[tokio::test]`, and a store that it
//! maintained lived on in a static. Each task that waited for a checkpoint, a flush, space or
//! `close` waited for ever. The task had also released the lock. The directory was opened again,
//! and the first store returned `None` for keys that it had.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kvick::checkpoint::Durability;
use kvick::runtime::{Handle, Task};
use kvick::{Config, Error, ErrorKind, FasterKv, Result, Session, checkpoint, session};
use tests::mortal::{Death, Mortal};
use tests::simulated::{Site, World, seeds, two_pages};

/// The number of keys of the writer, which exceed the memory.
const KEYS: u64 = 700;
const STEPS: u64 = 4000;

/// A number of turns that no waiting task reaches before its runtime ends.
const MOST_TURNS: u64 = 100_000;

/// The error with which a waiting task gave up.
type Waiter = (&'static str, Task<Error>);

struct Job {
    site: Site,
    runtime: Mortal,
    store: FasterKv<u64, u64>,
    /// The newest serial number of the writer that a task has seen as durable.
    durable: Arc<AtomicU64>,
}

impl Job {
    async fn open(site: &Site, steps: u64, death: Death) -> Result<Self> {
        let runtime = Mortal::new(site.handle.clone(), steps, death);
        let config = if site.seed.is_multiple_of(2) {
            two_pages().with_checkpoint_every(Duration::from_millis(3))
        } else {
            two_pages()
        };
        let store = FasterKv::builder(config)
            .runtime(runtime.handle())
            .directory(site.disk.directory("db"))
            .seed(site.seed)
            .open_in_directory()
            .await?;
        Ok(Self { site: site.clone(), runtime, store, durable: Arc::default() })
    }

    fn spawn(
        &self,
        name: &'static str,
        ends: impl Future<Output = Error> + Send + 'static,
    ) -> Waiter {
        (name, self.site.handle.spawn(name, ends))
    }

    /// Starts one task of each kind. Each waits for something, again and again, until it is
    /// refused.
    fn start(&self, session: Session<u64, u64>) -> Vec<Waiter> {
        let store = || (self.store.clone(), self.site.handle.clone());
        let durable = Arc::clone(&self.durable);
        vec![
            self.spawn("write", write(session, durable)),
            self.spawn(
                "modify",
                until_refused(store(), async |store, turn| {
                    store.rmw(&(turn % 90), |value| value.unwrap_or(0)).await.map(drop)
                }),
            ),
            self.spawn("flush", until_refused(store(), async |store, _| store.flush().await)),
            self.spawn(
                "evict",
                until_refused(store(), async |store, turn| {
                    store.upsert(&(100_000 + turn), &turn).await?;
                    store.flush_and_evict().await
                }),
            ),
            self.spawn(
                "fold over",
                until_refused(store(), async |store, _| {
                    checkpoint(store, checkpoint::Kind::FoldOver).await
                }),
            ),
            self.spawn(
                "snapshot",
                until_refused(store(), async |store, _| {
                    checkpoint(store, checkpoint::Kind::Incremental).await
                }),
            ),
            self.spawn("watch", until_refused(store(), async |store, _| watch(store).await)),
            self.spawn(
                "prune",
                until_refused(store(), async |store, _| store.prune_checkpoints(2).await),
            ),
        ]
    }
}

/// Repeats `turn` until it is refused permanently.
async fn until_refused(
    (store, handle): (FasterKv<u64, u64>, Handle),
    turn: impl AsyncFn(&FasterKv<u64, u64>, u64) -> Result<()>,
) -> Error {
    for number in 0.. {
        if let Err(error) = turn(&store, number).await {
            return error;
        }
        if number > MOST_TURNS {
            // The task that would refuse has been leaked.
            std::future::pending::<()>().await;
        }
        handle.sleep(Duration::from_micros(50)).await;
    }
    unreachable!("the store refuses it in the end")
}

/// Writes `n` under the key `n % KEYS` with the operation `n` of the session.
async fn write(mut session: Session<u64, u64>, durable: Arc<AtomicU64>) -> Error {
    loop {
        let number = session.serial() + 1;
        if let Err(error) = session.upsert(&(number % KEYS + 1000), &number).await {
            return error;
        }
        if number.is_multiple_of(300) {
            match session.wait_durable().await {
                Ok(()) => durable.store(number, Ordering::Relaxed),
                Err(error) => return error,
            };
        }
    }
}

async fn checkpoint(store: &FasterKv<u64, u64>, kind: checkpoint::Kind) -> Result<()> {
    store.checkpoint().kind(kind).durability(Durability::PowerCut).await.map(drop)
}

/// Follows the progress of a checkpoint to its end. If another one is in progress, waits for its
/// turn instead.
async fn watch(store: &FasterKv<u64, u64>) -> Result<()> {
    let checkpoint = match store.checkpoint().without_index().start() {
        Err(error) if error.kind() == ErrorKind::Busy => {
            return store.checkpoint().without_index().await.map(drop);
        }
        started => started?,
    };
    checkpoint.progress().for_each(|_| std::future::ready(())).await;
    checkpoint.await.map(drop)
}

fn assert_names_the_cause(name: &str, error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{name}: {error}");
    let text = error.to_string();
    assert!(text.contains("the runtime that it was given to has ended"), "{name}: {text}");
}

/// Returns the value of a key after `serial` operations of the session.
fn expected(key: u64, serial: u64) -> Option<u64> {
    let last = serial.checked_sub((serial + KEYS - key) % KEYS)?;
    (last > 0).then_some(last)
}

/// Runs a store until its runtime ends after `steps` polls, and checks the end.
async fn one_life(site: Site, steps: u64, death: Death) {
    let job = match Job::open(&site, steps, death).await {
        Ok(job) => job,
        Err(error) => {
            assert!(error.to_string().contains("has ended"), "{error}");
            return reopen(&site, None, 0).await;
        }
    };
    let session = job.store.session().expect("open");
    let id = session.id();
    for (name, task) in job.start(session) {
        let error = task.await.expect("no panic");
        assert_names_the_cause(name, &error);
    }
    assert!(job.runtime.is_dead());
    let Job { store, durable, .. } = job;
    // Reads from memory and from the device continue.
    for key in 0..90 {
        assert!(matches!(store.read(&key).await, Ok(Some(0) | None)), "key {key}");
    }
    let again = site.try_open::<u64, u64>(two_pages()).await;
    assert_eq!(again.expect_err("the directory is in use").kind(), ErrorKind::InUse);
    let mut given_up = Box::pin(store.close());
    assert!(given_up.as_mut().now_or_never().is_none_or(|closed| closed.is_err()));
    let other = store.clone();
    for closed in [store.close().await, other.close().await] {
        assert_names_the_cause("close", &closed.expect_err("nothing was saved"));
    }
    let error = store.read(&1).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    drop(given_up);
    reopen(&site, Some(id), durable.load(Ordering::Relaxed)).await;
}

/// Opens the store again while handles of the first one exist. All durable operations must be
/// recovered.
async fn reopen(site: &Site, writer: Option<session::Id>, durable: u64) {
    let store: FasterKv<u64, u64> = site.open(two_pages()).await;
    let point = writer.and_then(|id| store.recovered_sessions().remove(&id));
    let serial = point.map_or(0, |point| point.until);
    assert!(serial >= durable, "{durable} operations were durable, {serial} are there");
    for key in 0..KEYS {
        let value = store.read(&(key + 1000)).await.expect("a sound disk");
        assert_eq!(value, expected(key, serial), "key {key} after {serial} operations");
    }
    store.close().await.expect("a sound disk");
}

fn run(seed: u64, steps: u64, death: Death) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(one_life(site, steps, death));
}

#[test]
fn a_store_whose_runtime_ends_fails_all_tasks() {
    seeds(20, |seed| {
        let steps = World::new(seed).site.random(40).below(STEPS);
        run(seed, steps, Death::Drops);
    });
}

/// The test above, at each of the first steps.
#[test]
fn a_store_whose_runtime_ends_early_fails_all_tasks() {
    for steps in 0..60 {
        run(1, steps, Death::Drops);
    }
}

/// The control: if the runtime leaks its tasks, the waiting tasks get no error. The simulation must
/// report them.
#[test]
fn a_runtime_that_leaks_its_tasks_is_caught() {
    let hung = catch_unwind(AssertUnwindSafe(|| run(0, 1000, Death::Forgets)));
    let panic = hung.expect_err("a task waits for ever");
    let text = panic.downcast_ref::<String>().expect("a panic of the simulation");
    assert!(text.contains("deadlock") && text.contains("flush"), "{text}");
}

/// The last handle of a store whose runtime has ended releases the directory without `close`.
#[test]
fn the_last_handle_of_an_orphan_frees_its_directory() {
    let world = World::new(3);
    let site = world.site.clone();
    world.simulation.run(async move {
        let job = Job::open(&site, u64::MAX, Death::Drops).await.expect("a sound disk");
        let session = job.store.session().expect("open");
        job.runtime.end();
        site.handle.sleep(Duration::from_millis(1)).await;
        drop(job);
        let again = site.try_open::<u64, u64>(two_pages()).await;
        assert_eq!(again.expect_err("a session is left").kind(), ErrorKind::InUse);
        drop(session);
        reopen(&site, None, 0).await;
    });
}

/// A caller dropped `close`, and the next `close` returned `Ok` while the directory was in use. Of
/// two concurrent calls the second returned `Ok` at once.
#[test]
fn all_calls_of_close_wait_for_one_end() {
    seeds(60, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let config: Config = site.small_config();
            let store: FasterKv<u64, u64> = site.open(config.clone()).await;
            for key in 0..site.random(5).below(200) {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            site.disk.fail_syncs(seed.is_multiple_of(3));
            let mut parked = Box::pin(store.close());
            let _polled = parked.as_mut().now_or_never();
            let closing = (0..4).map(|_| {
                let (store, site) = (store.clone(), site.clone());
                let config = config.clone();
                site.handle.clone().spawn("close", async move {
                    let closed = store.close().await.map_err(|error| error.to_string());
                    // Only one task can have the store open.
                    let opened = site.try_open::<u64, u64>(config).await;
                    let is_free = opened.is_ok()
                        || opened.as_ref().is_err_and(|error| error.kind() != ErrorKind::InUse);
                    (closed, is_free)
                })
            });
            let ends = futures::future::join_all(closing.collect::<Vec<_>>()).await;
            let ends: Vec<_> = ends.into_iter().map(|end| end.expect("no panic")).collect();
            assert!(ends.iter().all(|(closed, _)| *closed == ends[0].0), "{ends:?}");
            assert!(ends.iter().any(|(_, is_free)| *is_free), "in use: {ends:?}");
            assert_eq!(store.close().await.map_err(|error| error.to_string()), ends[0].0);
            site.disk.heal();
        });
    });
}
