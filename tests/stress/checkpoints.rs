//! Threads that read and count in place during checkpoints of every kind. No value is torn or lost,
//! and the recovered counts agree with the commit points.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Session, checkpoint};
use tests::samples::SampleValue;

const THREADS: usize = 3;
const KEYS: u64 = 300;
const STEPS: u64 = 20_000;

#[test]
fn words_are_counted_across_versions() {
    counted_across_versions::<u64>();
}

#[test]
fn bytes_are_counted_across_versions() {
    counted_across_versions::<[u8]>();
}

fn open<V: SampleValue + ?Sized>(directory: &MemoryDirectory) -> FasterKv<u64, V> {
    let config = Config::default()
        .with_memory(ByteSize::mib(4))
        .with_huge_pages(false)
        .with_checkpoint_on_close(false);
    let builder = FasterKv::builder(config).directory(Arc::new(directory.clone()));
    block_on(builder.open_in_directory()).expect("a store in memory opens")
}

fn counted_across_versions<V: SampleValue + ?Sized>() {
    let directory = MemoryDirectory::new();
    let store = open::<V>(&directory);
    let working = AtomicBool::new(true);
    let (points, sessions) = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|number| {
                let session = store.session().expect("open");
                // A session with an identity is in the checkpoints.
                let _id = session.id();
                scope.spawn(move || count::<V>(session, number as u64))
            })
            .collect();
        let taker = scope.spawn(|| {
            let mut points = BTreeMap::new();
            let mut taken = false;
            while working.load(Ordering::Relaxed) || !taken {
                taken = true;
                for kind in [
                    checkpoint::Kind::Snapshot,
                    checkpoint::Kind::Incremental,
                    checkpoint::Kind::FoldOver,
                ] {
                    let taken = block_on(store.checkpoint().kind(kind).into_future());
                    points.extend(taken.expect("sound memory").sessions);
                }
            }
            points
        });
        let ends: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        // The flag is also cleared after a panic, because the scope would wait forever otherwise.
        working.store(false, Ordering::Relaxed);
        let points = taker.join().expect("no panic");
        let sessions = ends.into_iter().map(|end| end.expect("no panic"));
        (points, sessions.collect::<Vec<_>>())
    });
    assert_eq!(total(&store), THREADS as u64 * STEPS, "the live counters");
    let covered: u64 = points.values().map(|point| point.until).sum();
    drop(sessions);
    block_on(store.close()).expect("closes");
    let store = open::<V>(&directory);
    assert_eq!(total(&store), covered, "the recovered counters of {points:?}");
    block_on(store.close()).expect("closes");
}

fn count<V: SampleValue + ?Sized>(mut session: Session<u64, V>, number: u64) -> Session<u64, V> {
    for step in 0..STEPS {
        let key = (step * 7 + number * 13) % KEYS;
        block_on(session.rmw(&key, V::counted)).expect("sound memory");
        // Each value that a reader sees is whole.
        let look = |view: V::View<'_>| V::count(&V::seen(view));
        let seen = block_on(session.read_with(&(step % KEYS), look)).expect("sound memory");
        assert!(seen.is_none_or(|count| count <= THREADS as u64 * STEPS));
    }
    session
}

fn total<V: SampleValue + ?Sized>(store: &FasterKv<u64, V>) -> u64 {
    let counts = (0..KEYS).map(|key| {
        let found = block_on(store.read(&key)).expect("sound memory");
        found.as_ref().map_or(0, V::count)
    });
    counts.sum()
}
