//! A child process that uses the store or the log of its parent, without the parent's drivers.
//!
//! A child of a process with a store hung in every wait for maintenance: in `checkpoint`, `flush`
//! and `close`, and in a write that needed room. It had the memory of its parent, and none of its
//! threads. Each case here runs in a child of its own.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use kvick::config::{Backend, ByteSize};
use kvick::runtime::{Handle, block_on};
use kvick::{Config, ErrorKind, FasterKv, FasterLog, Result, log};

use crate::alone::alone;
use crate::chain;
use crate::fork;

type Store = FasterKv<u64, u64>;

const KEYS: u64 = 1000;
const BACKENDS: [Backend; 3] = [Backend::Auto, Backend::Threads, Backend::Memory];

fn store_config(backend: Backend) -> Config {
    let config = Config::default().with_backend(backend).with_memory(ByteSize::kib(64));
    config.with_page_size(ByteSize::kib(4)).with_index_buckets(370).with_huge_pages(false)
}

fn log_config(backend: Backend) -> log::Config {
    let config = log::Config::default().with_backend(backend).with_memory(ByteSize::kib(64));
    config.with_page_size(ByteSize::kib(4)).with_huge_pages(false)
}

/// Forks once every other thread sleeps, because a lock that a thread held would stay locked in the
/// child.
fn in_fork(body: impl FnOnce()) {
    while awake() > 1 {
        thread::yield_now();
    }
    fork::in_fork(body);
}

/// Returns the number of threads of this process that do not sleep, including this one.
fn awake() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("readable").flatten();
    let states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    let is_awake = |stat: &String| {
        let (_name, rest) = stat.rsplit_once(')').expect("as proc(5) says");
        !rest.trim_start().starts_with('S')
    };
    states.filter(is_awake).count()
}

/// Checks that the operation failed, and that the error says that the process was forked.
fn refused<T>(outcome: Result<T>) {
    let Err(error) = outcome else { panic!("it succeeded without the threads of the parent") };
    assert!(chain(&error).contains("was forked"), "{error:?}");
}

/// Repeats an operation until it fails.
async fn until_refused(turn: impl AsyncFn(u64) -> Result<()>) {
    for number in 0..100 * KEYS {
        if let Err(error) = turn(number).await {
            return refused(Err::<(), _>(error));
        }
    }
    panic!("64 KiB have room for everything");
}

/// An operation of a child on the store of its parent, with a name.
type StoreCase = (&'static str, fn(&Store));

const STORE_CASES: [StoreCase; 10] = [
    ("write", |store| {
        block_on(until_refused(async |key| store.upsert(&(KEYS + key), &1).await.map(drop)))
    }),
    ("write in a session", |store| {
        let mut session = store.session().expect("open");
        block_on(async {
            for key in 0..100 * KEYS {
                if let Err(error) = session.upsert(&(KEYS + key), &1).await {
                    return refused(Err::<(), _>(error));
                }
            }
        });
        refused(block_on(session.wait_durable()));
    }),
    ("modify what is not in memory", |store| {
        block_on(until_refused(async |key| {
            store.rmw(&key, |value| value.unwrap_or(0)).await.map(drop)
        }));
    }),
    ("write many", |store| {
        let pairs: Vec<_> = (0..100 * KEYS).map(|key| (key, key)).collect();
        refused(block_on(store.upsert_many(&pairs)));
    }),
    ("flush", |store| refused(block_on(store.flush()))),
    ("evict", |store| refused(block_on(store.flush_and_evict()))),
    ("checkpoint", |store| {
        refused(block_on(async { store.checkpoint().await }));
        refused(store.checkpoint().start());
        assert_eq!(store.health().cause.expect("known").kind(), ErrorKind::Poisoned);
    }),
    ("prune", |store| refused(block_on(store.prune_checkpoints(1)))),
    ("wait", |store| {
        let mut session = store.session().expect("open");
        let _ = block_on(session.upsert(&1, &1));
        refused(block_on(session.wait_durable()));
    }),
    ("close", |store| {
        refused(block_on(store.close()));
        refused(block_on(store.close()));
        assert_eq!(block_on(store.read(&1)).expect_err("closed").kind(), ErrorKind::Closed);
    }),
];

/// Checks that the store has its content, and that it still writes.
fn assert_store_goes_on(store: &Store, round: u64) {
    block_on(async {
        for key in 1..KEYS {
            assert_eq!(store.read(&key).await.expect("sound"), Some(key * 3), "key {key}");
        }
        store.upsert(&0, &round).await.expect("written");
        store.flush_and_evict().await.expect("written");
        assert_eq!(store.read(&0).await.expect("sound"), Some(round));
    });
}

#[test]
fn a_store_in_a_forked_child_says_so() {
    alone("forked::a_store_in_a_forked_child_says_so", || {
        for backend in BACKENDS {
            let place = tempfile::tempdir().expect("a directory for scratch");
            let open = || Store::open(place.path(), store_config(backend));
            let store = block_on(open()).expect("opens");
            block_on(async {
                for key in 0..KEYS {
                    store.upsert(&key, &(key * 3)).await.expect("written");
                }
                store.checkpoint().await.expect("taken");
            });
            for ((name, case), round) in STORE_CASES.into_iter().zip(0..) {
                println!("{backend:?}: {name}");
                assert_store_goes_on(&store, round);
                in_fork(|| case(&store));
            }
            if backend != Backend::Memory {
                in_fork(|| {
                    for key in 1..100 {
                        refused(block_on(store.read(&key)));
                    }
                    refused(block_on(store.read_many(&[1, 2, 3])));
                    let again = block_on(open()).expect_err("the parent has it open");
                    assert_eq!(again.kind(), ErrorKind::InUse);
                });
            }
            assert_store_goes_on(&store, 100);
            in_fork(|| a_child_has_stores_of_its_own(place.path()));
            // The last handle is dropped, first in the child and then here.
            block_on(async { store.checkpoint().await }).expect("taken");
            in_fork(move || drop(store));
            if backend != Backend::Memory {
                let store = block_on(when_free(open));
                assert_store_goes_on(&store, 101);
                block_on(store.close()).expect("closes");
            }
        }
    });
}

/// Opens as soon as the previous store has freed the directory.
async fn when_free<T>(open: impl AsyncFn() -> Result<T>) -> T {
    loop {
        match open().await {
            Ok(opened) => return opened,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "{error}"),
        }
    }
}

fn a_child_has_stores_of_its_own(place: &Path) {
    block_on(async {
        let own = place.join("own");
        let store = Store::open(&own, store_config(Backend::Auto)).await.expect("opens");
        for key in 0..KEYS {
            store.upsert(&key, &key).await.expect("written");
        }
        store.close().await.expect("closes");
    });
}

/// An operation of a child on the log of its parent, with a name.
type LogCase = (&'static str, fn(&FasterLog));

/// Reads until the log fails because it has no drivers.
async fn read_to_the_end(mut entries: impl StreamExt<Item = Result<log::Entry>> + Unpin) {
    loop {
        match entries.next().await.expect("it ends with an error") {
            Ok(_) => {}
            Err(error) => return refused(Err::<(), _>(error)),
        }
    }
}

const LOG_CASES: [LogCase; 10] = [
    ("append", |log| block_on(until_refused(async |_| log.append(&[1; 100]).await.map(drop)))),
    ("append pages", |log| {
        block_on(until_refused(async |_| log.append(&[1; 9000]).await.map(drop)));
    }),
    ("append durably", |log| {
        refused(block_on(log.append_durable(b"entry")));
        refused(block_on(log.append_durable(b"entry")));
    }),
    ("commit", |log| {
        refused(block_on(async { log.commit().await }));
        refused(block_on(async { log.commit().cookie(b"cookie").await }));
        refused(log.commit().start());
    }),
    ("wait", |log| {
        let end = log.tail_address();
        let _ = block_on(log.append(b"entry"));
        refused(block_on(log.wait_for_commit(end)));
    }),
    ("tail", |log| block_on(read_to_the_end(log.follow()))),
    ("tail of what is not committed", |log| block_on(read_to_the_end(log.follow().uncommitted()))),
    ("truncate", |log| {
        refused(block_on(log.truncate_suffix(log.begin_address())));
        refused(block_on(log.truncate_until(log.tail_address())));
    }),
    ("complete", |log| refused(block_on(log.complete()))),
    ("close", |log| {
        refused(block_on(log.close()));
        refused(block_on(log.close()));
        assert_eq!(block_on(log.append(b"")).expect_err("closed").kind(), ErrorKind::Closed);
    }),
];

/// Checks that the log has 300 more entries in each round, and no entry of its children.
async fn assert_log_goes_on(log: &FasterLog, round: usize) {
    let entries: Vec<_> = log.scan(..).try_collect().await.expect("sound");
    assert_eq!(entries.len(), round * 300);
    for number in 0..300_u64 {
        log.append(&number.to_le_bytes().repeat(10)).await.expect("appended");
    }
    log.commit().await.expect("committed");
}

fn try_log_in_children(log: &FasterLog, backend: Backend) {
    for ((name, case), round) in LOG_CASES.into_iter().zip(0..) {
        println!("{backend:?}: {name}");
        block_on(assert_log_goes_on(log, round));
        in_fork(|| case(log));
    }
    if backend != Backend::Memory {
        in_fork(|| refused(block_on(log.read(log::Address::FIRST))));
    }
    block_on(assert_log_goes_on(log, LOG_CASES.len()));
}

#[test]
fn a_log_in_a_forked_child_says_so() {
    alone("forked::a_log_in_a_forked_child_says_so", || {
        for backend in BACKENDS {
            let place = tempfile::tempdir().expect("a directory for scratch");
            let log = block_on(FasterLog::open(place.path(), log_config(backend)));
            let log = log.expect("opens");
            try_log_in_children(&log, backend);
            in_fork(move || drop(log));
            if backend != Backend::Memory {
                let open = || FasterLog::open(place.path(), log_config(backend));
                let log = block_on(when_free(open));
                block_on(assert_log_goes_on(&log, LOG_CASES.len() + 1));
                block_on(log.close()).expect("closes");
            }
        }
    });
}

#[test]
fn a_group_in_a_forked_child_says_so() {
    alone("forked::a_group_in_a_forked_child_says_so", || {
        for backend in BACKENDS {
            let place = tempfile::tempdir().expect("a directory for scratch");
            let group = log::Group::new(log_config(backend)).expect("starts");
            let log = block_on(group.open(place.path().join("a"))).expect("opens");
            try_log_in_children(&log, backend);
            in_fork(|| refused(block_on(group.open(place.path().join("b")))));
            let other = block_on(group.open(place.path().join("b"))).expect("opens");
            block_on(other.append_durable(b"entry")).expect("durable");
            block_on(log.close()).expect("closes");
        }
    });
}

/// A follower reads without a thread, and needs a thread only for its clock.
#[test]
fn a_follower_in_a_forked_child_has_no_clock() {
    alone("forked::a_follower_in_a_forked_child_has_no_clock", || {
        let place = tempfile::tempdir().expect("a directory for scratch");
        block_on(async {
            let log = FasterLog::open(place.path(), log_config(Backend::Auto)).await;
            let log = log.expect("opens");
            log.append_durable(b"entry").await.expect("durable");
            let clock = Handle::background().expect("a thread");
            let follower = log::Follower::open_with(place.path(), clock).await.expect("follows");
            let every = Duration::from_secs(3600);
            let begun = || {
                let mut tail = follower.follow_from(log::Address::FIRST, every);
                assert!(block_on(tail.next()).expect("one entry").is_ok());
                tail
            };
            let mut waits = begun();
            assert!(waits.next().now_or_never().is_none());
            in_fork(|| {
                block_on(follower.refresh()).expect("it needs no thread");
                for mut tail in [begun(), waits] {
                    let error = block_on(tail.next()).expect("an error").expect_err("no clock");
                    assert!(error.to_string().contains("clock of a follower"), "{error}");
                }
            });
            assert!(begun().next().now_or_never().is_none(), "the parent has its clock");
            log.close().await.expect("closes");
        });
    });
}
