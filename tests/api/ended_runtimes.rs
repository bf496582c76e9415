//! A store whose real runtime has ended, used from another executor.
//!
//! A program dropped a tokio runtime, as each `#[tokio::test]` does, but kept a store on it in a
//! static. Every task that waited for the maintenance of the store hung. `tests/sim/orphans.rs`
//! covers every moment of such an end on a simulated runtime. Here the runtimes are real, and their
//! threads end while other threads wait.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use kvick::checkpoint::Durability;
use kvick::config::{Backend, DurableBy};
use kvick::{Config, Error, ErrorKind, FasterKv, Result};
use tests::configs::{Host, backends};
use tests::deadline::block_on_within_minutes;
use tests::simulated::two_pages;

type Store = FasterKv<u64, u64>;

const KEYS: u64 = 1000;

fn config(backend: Backend) -> Config {
    two_pages().with_backend(backend)
}

/// Opens a store on `host`, whose runtime has ended at the return. A checkpoint contains all keys,
/// and none of them is in memory.
fn orphan(host: Host, path: &Path, config: Config) -> Store {
    let path = path.to_owned();
    host.run(async move |handle| {
        let store: Store =
            FasterKv::builder(config).runtime(handle).open(path).await.expect("opens");
        for key in 0..KEYS {
            store.upsert(&key, &(key * 3)).await.expect("written");
        }
        store.checkpoint().durability(Durability::PowerCut).await.expect("taken");
        store.flush_and_evict().await.expect("flushed");
        store
    })
}

pub(crate) fn assert_names_the_cause<T>(what: &str, outcome: Result<T>) {
    let Err(error) = outcome else { panic!("{what} succeeded without a runtime") };
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{what}: {error}");
    let text = error.to_string();
    assert!(text.contains("the runtime that it was given to has ended"), "{what}: {text}");
}

/// Writes until the memory is full.
async fn fill(store: &Store) -> Error {
    for key in KEYS..100 * KEYS {
        if let Err(error) = store.upsert(&key, &0).await {
            return error;
        }
    }
    panic!("two pages have room for everything");
}

/// Checks that the store is open nowhere, and that it has the state of its checkpoint.
async fn reopen(path: &Path, config: Config) {
    let store: Store = FasterKv::open(path, config).await.expect("the directory is free");
    for key in 0..KEYS {
        assert_eq!(store.read(&key).await.expect("sound"), Some(key * 3));
    }
    store.close().await.expect("closes");
}

/// Calls `test` for each host that ends, and each backend with files.
pub(crate) fn on_each(test: impl Fn(Host, &Path, Backend)) {
    for host in Host::mortal() {
        for backend in backends() {
            if backend != Backend::Memory && host.has(backend) {
                let place = tempfile::tempdir().expect("a directory");
                test(host, place.path(), backend);
            }
        }
    }
}

#[test]
fn an_orphan_serves_reads_and_names_the_cause_otherwise() {
    on_each(|host, path, backend| {
        let store = orphan(host, path, config(backend));
        block_on_within_minutes("an operation of an orphan", async {
            for key in [0, 7, KEYS - 1] {
                assert_eq!(store.read(&key).await.expect("the device serves"), Some(key * 3));
            }
            let many = store.read_many(&[1, 2, KEYS]).await.expect("the device serves");
            assert_eq!(many, [Some(3), Some(6), None]);
            let mut session = store.session().expect("open");
            assert_names_the_cause("upsert", Err::<(), _>(fill(&store).await));
            assert_names_the_cause("rmw", session.rmw(&3, |_| 1).await);
            assert_names_the_cause("delete", session.delete(&4).await);
            assert_names_the_cause("upsert_many", store.upsert_many(&[(5, 5)]).await);
            assert_names_the_cause("flush", store.flush().await);
            assert_names_the_cause("evict", store.flush_and_evict().await);
            assert_names_the_cause("checkpoint", store.checkpoint().await);
            assert_names_the_cause("prune", store.prune_checkpoints(1).await);
            assert_names_the_cause("health", store.health().cause.map_or(Ok(()), Err));
            // Reading from memory needs no file, so no read can reach the files of another store.
            assert_eq!(store.read(&9).await.expect("the device serves"), Some(27));
            let again = Store::open(path, config(backend)).await;
            assert_eq!(
                again.expect_err("the orphan may still read from there").kind(),
                ErrorKind::InUse
            );

            for _ in 0..2 {
                assert_names_the_cause("close", store.close().await);
            }
            assert_eq!(store.read(&1).await.expect_err("closed").kind(), ErrorKind::Closed);
            // Handles and a session still exist here.
            reopen(path, config(backend)).await;
        });
    });
}

#[test]
fn the_last_handle_of_an_orphan_frees_its_directory() {
    on_each(|host, path, backend| {
        let store = orphan(host, path, config(backend));
        block_on_within_minutes("opening where an orphan was", async {
            drop(store);
            reopen(path, config(backend)).await;
        });
    });
}

/// The directory of the write-ahead log stayed locked while a session lived.
#[test]
fn an_orphan_frees_the_directory_of_its_write_ahead_log() {
    on_each(|host, path, backend| {
        let config = config(backend).with_durability(DurableBy::Wal);
        let store = orphan(host, path, config.clone());
        block_on_within_minutes("opening where an orphan was", async {
            let session = store.session().expect("open");
            assert_names_the_cause("close", store.close().await);
            reopen(path, config.clone()).await;
            drop((store, session));
            drop(orphan(host, path, config.clone()));
            reopen(path, config).await;
        });
    });
}

/// The first sleep of the maintenance poisoned a store on a tokio runtime without a time driver.
/// The error said "one of its drivers panicked" without the message of that panic.
#[test]
fn a_runtime_that_cannot_sleep_is_named_as_the_cause() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    let runtime = runtime.expect("tokio starts");
    let handle = kvick::runtime::Handle::tokio(runtime.handle().clone());
    let config = config(Backend::Memory).with_checkpoint_every(Duration::from_secs(3600));
    let opening = Store::builder(config).runtime(handle).open("not a path");
    // The maintenance may sleep before the opening has ended.
    let error = block_on_within_minutes("opening and a write", async {
        let store = match opening.await {
            Ok(store) => store,
            Err(error) => return error,
        };
        loop {
            if let Err(error) = store.upsert(&1, &1).await {
                break error;
            }
            thread::yield_now();
        }
    });
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    assert!(error.to_string().contains("timers are disabled"), "{error}");
}

/// A name, and an operation that a task repeats until the runtime has ended.
type Operation = (&'static str, fn(Store) -> Error);

fn until_refused(turn: impl AsyncFn(u64) -> Result<()>) -> Error {
    block_on_within_minutes("a waiter", async {
        for number in 0.. {
            match turn(number).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Busy => thread::yield_now(),
                Err(error) => return error,
            }
        }
        unreachable!("the operation fails at some time")
    })
}

const OPERATIONS: [Operation; 6] = [
    ("write", |store| {
        until_refused(async |number| store.upsert(&(KEYS + number), &1).await.map(drop))
    }),
    ("modify", |store| {
        until_refused(async |number| {
            store.rmw(&(number % KEYS), |value| value.unwrap_or(0)).await.map(drop)
        })
    }),
    ("flush", |store| {
        until_refused(async |number| {
            store.upsert(&number, &(number * 3)).await?;
            store.flush().await
        })
    }),
    ("evict", |store| until_refused(async |_| store.flush_and_evict().await)),
    ("checkpoint", |store| until_refused(async |_| store.checkpoint().await.map(drop))),
    ("watch", |store| {
        until_refused(async |_| {
            let checkpoint = store.checkpoint().start()?;
            checkpoint.progress().for_each(|_| std::future::ready(())).await;
            checkpoint.await.map(drop)
        })
    }),
];

#[test]
fn the_end_of_a_runtime_ends_every_wait() {
    on_each(|host, path, backend| {
        let path = path.to_owned();
        let (waiters, store) = host
            .run(async move |handle| {
                let store: Store =
                    FasterKv::builder(config(backend)).runtime(handle.clone()).open(path).await?;
                for key in 0..KEYS {
                    store.upsert(&key, &(key * 3)).await?;
                }
                let (begun, has_begun) = mpsc::channel();
                let waiters = OPERATIONS.map(|(name, operation)| {
                    let (store, begun) = (store.clone(), begun.clone());
                    let work = move || {
                        begun.send(()).expect("the test waits for every thread");
                        (name, operation(store))
                    };
                    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread")
                });
                // The runtime continues until every thread has begun.
                let mut begun = 0;
                while begun < OPERATIONS.len() {
                    begun += has_begun.try_iter().count();
                    handle.sleep(Duration::from_millis(1)).await;
                }
                Ok::<_, Error>((waiters, store))
            })
            .expect("a sound disk");
        for waiter in waiters {
            let (name, error) = waiter.join().expect("no panic");
            assert_names_the_cause(name, Err::<(), _>(error));
        }
        let closed = block_on_within_minutes("close", store.close());
        assert_names_the_cause("close", closed);
    });
}
