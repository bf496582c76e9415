//! Closures of the user within operations. A closure may begin other operations, take any time, and
//! lose to concurrent writers. Only operations that need its result wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::futures::TryRead;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result};
use tests::configs::memory_store;
use tests::polling::poll_once;
use tests::stepped::Stepped;

/// The number of threads: more than the places for concurrent polls on one handle.
const THREADS: u64 = 100;
/// The time after which the test reports a hanging operation. Nothing else depends on it.
const FOR_EVER: Duration = Duration::from_secs(60);

fn words() -> FasterKv<u64, u64> {
    let config = Config::default().with_memory(ByteSize::mib(1)).with_huge_pages(false);
    memory_store(config)
}

/// Threads that are each inside a closure of their own operation on the handle.
struct InClosures {
    threads: Vec<thread::JoinHandle<Result<()>>>,
    arrived: Receiver<()>,
    leave: Vec<Sender<()>>,
}

impl InClosures {
    /// Returns once every thread is inside its closure. Each thread calls `within` before it
    /// leaves.
    fn enter(store: &FasterKv<u64, u64>, within: fn(&FasterKv<u64, u64>)) -> Self {
        let (arrive, arrived) = channel();
        let (mut threads, mut leave) = (Vec::new(), Vec::new());
        for key in 0..THREADS {
            let (let_go, may_go) = channel();
            leave.push(let_go);
            let (store, inner, arrive) = (store.clone(), store.clone(), arrive.clone());
            let thread = thread::Builder::new().name(format!("closure-{key}"));
            let running = thread.spawn(move || {
                let mut has_waited = false;
                let update = |value: Option<u64>| {
                    // A closure that was overtaken runs again.
                    if !has_waited {
                        has_waited = true;
                        arrive.send(()).expect("the test waits for all threads");
                        may_go.recv().expect("the test releases every thread");
                        within(&inner);
                    }
                    value.unwrap_or(0) + 1
                };
                block_on(store.rmw(&key, update)).map(drop)
            });
            threads.push(running.expect("the system starts a thread"));
        }
        for _ in 0..THREADS {
            arrived.recv_timeout(FOR_EVER).expect("a thread did not reach its closure");
        }
        Self { threads, arrived, leave }
    }

    fn leave(self) -> Result<()> {
        for let_go in &self.leave {
            let_go.send(()).expect("the thread waits");
        }
        // A hanging task keeps its end of the channel.
        let ended = self.arrived.recv_timeout(FOR_EVER);
        assert!(ended.is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Disconnected));
        self.threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    }
}

/// With sixteen or more threads, operations within closures waited forever for the places of the
/// outer operations. Even operations that must never wait did so.
#[test]
fn operations_within_closures_wait_for_no_place() -> Result<()> {
    let store = words();
    block_on(store.upsert(&1000, &7))?;
    let in_closures = InClosures::enter(&store, |store| {
        let TryRead::Ready(Ok(Some(7))) = store.try_read(&1000) else { panic!("it is in memory") };
        // A closure contains an operation with a closure.
        let nested = store.rmw(&1001, |count| {
            let read = block_on(store.read(&1000)).expect("open");
            assert_eq!(read, Some(7));
            block_on(store.upsert(&1002, &1)).expect("open");
            count.unwrap_or(0) + 1
        });
        block_on(nested).expect("open");
    });
    in_closures.leave()?;
    assert_eq!(block_on(store.read(&1001))?, Some(THREADS));
    for key in 0..THREADS {
        assert_eq!(block_on(store.read(&key))?, Some(1));
    }
    block_on(store.close())
}

/// A task whose operation needed a place waited inside its poll until the closures of other threads
/// ended. This wait blocked its executor.
#[test]
fn long_closures_stop_no_other_task() -> Result<()> {
    let store = words();
    let in_closures = InClosures::enter(&store, |_| {});
    block_on(async {
        let keys: Vec<u64> = (2000..2100).collect();
        store.rmw_many(&keys, |_, count| count.unwrap_or(0) + 1).await?;
        assert!(store.read_many(&keys).await?.iter().all(|count| *count == Some(1)));
        store.upsert_many(&[(2000, 5), (2001, 6)]).await?;
        assert!(store.compare_and_swap(&2000, &5, &7).await?);
        store.delete(&2001).await?;
        assert_eq!(store.read(&2000).await?, Some(7));
        Ok::<_, kvick::Error>(())
    })?;
    in_closures.leave()?;
    let places = store.stats().seats;
    assert!(places < usize::try_from(THREADS).expect("small"), "{places} places stay");
    block_on(store.close())
}

/// A read-modify-write that lost to other writers ran its closure again under the same guard, up to
/// 64 times. Tasks that wait for guards then waited for all these runs. Here the driver must write
/// and evict pages to make room, while the closure plays all other appending tasks.
#[test]
fn a_wait_for_guards_lasts_for_one_run_of_a_closure() -> Result<()> {
    let memory = ByteSize::kib(256);
    let config = Config::default().with_memory(memory).with_index_buckets(64);
    let runtime = Stepped::default();
    let opening = FasterKv::<u64, u64>::builder(config.with_huge_pages(false))
        .runtime(runtime.handle())
        .directory(Arc::new(MemoryDirectory::new()))
        .open_in_directory();
    let store = runtime.run(opening)?;
    let inner = store.clone();
    let (mut runs, mut appended) = (0, 0_u64);
    // This is more records than the memory holds, beside the index.
    let enough = memory.bytes() / 24;
    // The drivers do all that they can without the end of this run.
    let drive = || (0..100).for_each(|_| runtime.step());
    let losing = |value: Option<u64>| {
        runs += 1;
        if appended < enough && runs < 60 {
            drive();
            // Another writer is faster, and other tasks append while there is room.
            let overtaken = poll_once(&mut inner.upsert(&1, &runs));
            assert!(matches!(overtaken, Poll::Ready(Ok(_))), "each run has room: {overtaken:?}");
            let has_room = |key: &u64| poll_once(&mut inner.upsert(key, &7)).is_ready();
            let first = 100 + appended;
            appended += (first..first + 2000).take_while(has_room).count() as u64;
            drive();
        }
        value.unwrap_or(0) + 1
    };
    runtime.run(store.upsert(&1, &0))?;
    runtime.run(store.rmw(&1, losing))?;
    assert!(appended >= enough, "room for {appended} records in {runs} runs");
    assert_eq!(runtime.run(store.read(&1))?, Some(runs), "made of the last value");
    runtime.run(store.close())
}

/// The same for a batch: each key is modified once, even if other tasks write between the attempts.
#[test]
fn batches_that_are_overtaken_modify_each_key_once() -> Result<()> {
    let store = words();
    let inner = store.clone();
    let keys: Vec<u64> = (0..100).collect();
    let applied = AtomicU64::new(0);
    let mut lost = [0_u32; 100];
    block_on(async {
        let mut session = store.session()?;
        let update = |place: usize, value: Option<u64>| {
            // Another writer overtakes every third key twice, and key 50 more often than an attempt
            // restarts.
            let often = if place == 50 { 100 } else { 2 };
            if place % 3 == 2 && lost[place] < often {
                lost[place] += 1;
                block_on(inner.rmw(&keys[place], |value| value.unwrap_or(0) + 1000)).expect("open");
            }
            // Relaxed: one thread.
            applied.fetch_add(1, Ordering::Relaxed);
            value.unwrap_or(0) + 1
        };
        session.rmw_many(&keys, update).await?;
        assert_eq!(session.serial(), 100, "each key has one number");
        Ok::<_, kvick::Error>(())
    })?;
    for (place, key) in keys.iter().enumerate() {
        let expected = 1 + 1000 * u64::from(lost[place]);
        assert_eq!(block_on(store.read(key))?, Some(expected), "key {key}");
    }
    assert!(applied.load(Ordering::Relaxed) > 200);
    block_on(store.close())
}
