//! Logs whose runtime ends at any step, alone and in a group, while tasks wait for them.
//!
//! The faults were those of stores (`orphans.rs`). A task that waited for a commit, space, the next
//! entry or `close` waited for ever. Another log could open the directory under the first one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kvick::config::Backend;
use kvick::log::Scan;
use kvick::runtime::Task;
use kvick::{Error, ErrorKind, FasterLog, Result, log};
use tests::mortal::{Death, Mortal};
use tests::simulated::{Site, World, four_log_pages, seeds};

const STEPS: u64 = 3000;

/// An operation on a log that waits.
type Wait = fn(FasterLog) -> BoxFuture<'static, Result<()>>;
type Waiter = (&'static str, Task<Error>);
/// The entries that a task has seen as durable.
type Durable = Arc<Mutex<Vec<(log::Address, Vec<u8>)>>>;

fn config(site: &Site) -> log::Config {
    match site.seed % 3 {
        0 => four_log_pages(),
        1 => four_log_pages().with_commit_every(Duration::from_millis(2)),
        _ => four_log_pages().with_commits_in_flight(3),
    }
}

async fn open(site: &Site, runtime: &Mortal, in_group: bool) -> Result<FasterLog> {
    let directory = site.disk.directory("log");
    if in_group {
        let group = log::Group::on(config(site).with_backend(Backend::Memory), runtime.handle())?;
        return group.open_in(directory, config(site)).await;
    }
    FasterLog::builder(config(site))
        .runtime(runtime.handle())
        .directory(directory)
        .seed(site.seed)
        .open_in_directory()
        .await
}

fn spawn(
    site: &Site,
    name: &'static str,
    ends: impl Future<Output = Result<()>> + Send + 'static,
) -> Waiter {
    let ends = async { ends.await.expect_err("the task continues until it is refused") };
    (name, site.handle.spawn(name, ends))
}

/// Starts one task of each kind. Each waits for something, again and again, until it is refused.
fn start(site: &Site, log: &FasterLog, durable: &Durable) -> Vec<Waiter> {
    let logs = || log.clone();
    let (log, reported) = (logs(), Arc::clone(durable));
    let append_durably = async move {
        for number in 0_u64.. {
            let entry = number.to_le_bytes().repeat(20);
            let address = log.append_durable(&entry).await?;
            reported.lock().expect("no panic under the lock").push((address, entry));
        }
        Ok(())
    };
    let mut waiters = vec![spawn(site, "append durably", append_durably)];
    let all: [(&'static str, Wait); 8] = [
        ("append", |log| Box::pin(async move { append(&log, &[7; 100]).await })),
        ("append in pieces", |log| Box::pin(async move { append(&log, &[8; 6000]).await })),
        ("commit", |log| {
            Box::pin(async move {
                loop {
                    log.commit().await?;
                    log.append(b"to be committed").await?;
                }
            })
        }),
        ("commit with a cookie", |log| {
            Box::pin(async move {
                loop {
                    log.commit().cookie(b"cookie").await?;
                }
            })
        }),
        ("wait for a commit", |log| {
            Box::pin(async move {
                loop {
                    let end = log.tail_address();
                    log.wait_for_commit(end).await?;
                }
            })
        }),
        ("tail", |log| Box::pin(async move { read(log.follow_from(log::Address::FIRST)).await })),
        ("tail of what is not committed", |log| {
            Box::pin(async move { read(log.follow().uncommitted()).await })
        }),
        ("iterator", |log| {
            Box::pin(async move {
                let mut iterator = log.iterator("it")?;
                while let Some(entry) = iterator.next().await {
                    iterator.complete_until(entry?.next).await?;
                }
                Ok(())
            })
        }),
    ];
    waiters.extend(all.map(|(name, wait)| spawn(site, name, wait(logs()))));
    waiters
}

async fn append(log: &FasterLog, entry: &[u8]) -> Result<()> {
    loop {
        log.append(entry).await?;
    }
}

async fn read(mut entries: Scan) -> Result<()> {
    while let Some(entry) = entries.next().await {
        entry?;
    }
    Ok(())
}

fn assert_names_the_cause(name: &str, error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{name}: {error}");
    let text = error.to_string();
    assert!(text.contains("the runtime that it was given to has ended"), "{name}: {text}");
}

/// Runs a log until its runtime ends after `steps` polls, and checks the end.
async fn one_life(site: Site, steps: u64, death: Death, in_group: bool) {
    let runtime = Mortal::new(site.handle.clone(), steps, death);
    let durable = Durable::default();
    let log = match open(&site, &runtime, in_group).await {
        Ok(log) => log,
        Err(error) => {
            assert!(error.to_string().contains("has ended"), "{error}");
            return reopen(&site, &[]).await;
        }
    };
    for (name, task) in start(&site, &log, &durable) {
        assert_names_the_cause(name, &task.await.expect("no panic"));
    }
    assert!(runtime.is_dead());
    // Entries in memory or on the device can still be read.
    let last = durable.lock().expect("no panic under the lock").last().cloned();
    if let Some((address, entry)) = last {
        let found = log.read(address).await.expect("a sound disk");
        assert_eq!(found.as_deref(), Some(&entry[..]), "{address:?}");
    }
    let again = site.try_open_log(config(&site)).await;
    assert_eq!(again.expect_err("the directory is in use").kind(), ErrorKind::InUse);
    let parked = {
        let mut parked = Box::pin(log.close());
        assert!(parked.as_mut().now_or_never().is_none_or(|closed| closed.is_err()));
        parked
    };
    for closed in [log.close().await, log.clone().close().await] {
        assert_names_the_cause("close", &closed.expect_err("nothing was committed"));
    }
    drop(parked);
    assert_eq!(log.append(b"").await.expect_err("closed").kind(), ErrorKind::Closed);
    let durable = std::mem::take(&mut *durable.lock().expect("no panic under the lock"));
    reopen(&site, &durable).await;
}

/// Opens the log again while handles of the first one exist. All durable entries must be recovered.
async fn reopen(site: &Site, durable: &[(log::Address, Vec<u8>)]) {
    let log = site.open_log(config(site)).await;
    for (address, entry) in durable {
        let found = log.read(*address).await.expect("a sound disk");
        assert_eq!(found.as_deref(), Some(&entry[..]), "{address:?}");
    }
    log.close().await.expect("a sound disk");
    log.close().await.expect("closed once more");
}

fn run(seed: u64, steps: u64, death: Death, in_group: bool) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(one_life(site, steps, death, in_group));
}

#[test]
fn a_log_whose_runtime_ends_fails_all_tasks() {
    seeds(20, |seed| {
        let steps = World::new(seed).site.random(41).below(STEPS);
        run(seed, steps, Death::Drops, false);
    });
}

#[test]
fn a_log_of_a_group_whose_runtime_ends_fails_all_tasks() {
    seeds(10, |seed| {
        let steps = World::new(seed).site.random(42).below(STEPS);
        run(seed, steps, Death::Drops, true);
    });
}

/// The test above, at each of the first steps.
#[test]
fn a_log_whose_runtime_ends_early_fails_all_tasks() {
    for steps in 0..60 {
        run(1, steps, Death::Drops, steps.is_multiple_of(2));
    }
}

/// The control: if the runtime leaks its tasks, the waiting tasks get no error. The simulation must
/// report them.
#[test]
fn a_runtime_that_leaks_its_tasks_is_caught() {
    for seed in 0..8 {
        let forgotten = || run(seed, 1000, Death::Forgets, seed.is_multiple_of(2));
        let panic = catch_unwind(AssertUnwindSafe(forgotten)).expect_err("a task waits for ever");
        let text = panic.downcast_ref::<String>().expect("a panic of the simulation");
        assert!(text.contains("deadlock") && text.contains("commit"), "{text}");
    }
}

/// A follower looks for commits again and again. Without a clock it would never do anything else.
#[test]
fn a_follower_without_a_clock_ends() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let log = site.open_log(four_log_pages()).await;
        log.append_durable(b"entry").await.expect("a sound disk");
        let runtime = Mortal::new(site.handle.clone(), u64::MAX, Death::Drops);
        let follower = log::Follower::open_in(site.disk.directory("log"), runtime.handle()).await;
        let follower = follower.expect("a sound disk");
        let mut entries = follower.follow_from(log::Address::FIRST, Duration::from_millis(1));
        assert!(entries.next().await.expect("one entry").is_ok());
        runtime.end();
        let error = entries.next().await.expect("an error").expect_err("no clock");
        assert!(error.to_string().contains("clock of a follower"), "{error}");
        assert!(entries.next().await.is_none());
        log.close().await.expect("a sound disk");
    });
}
