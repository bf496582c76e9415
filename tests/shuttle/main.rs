//! Whole operations under random schedules: `RUSTFLAGS="--cfg shuttle" cargo test --test shuttle`.
//!
//! Any other thread may continue at every atomic step of the store. The device is memory. The
//! maintenance of the store is one more task under the same scheduler.
#![cfg(shuttle)]

mod compaction;
mod expiry;
mod promotion;
mod scans;
mod wal;

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kvick::io::{BoxFuture, MemoryDirectory};
use kvick::runtime::{Handle, Runtime};
use kvick::{FasterKv, Key, Session, Stage, Value, WeakSpots, checkpoint};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use tests::history::{Action, Event, add, is_linearizable, less};
use tests::numbers::{Growing, Number};
use tests::samples::SampleValue;
use tests::simulated::two_pages;

/// The number of schedules of a search with one scheduler.
const SCHEDULES: usize = 2000;
/// The number of schedules for each scheduler in a search with four schedulers.
const SCHEDULES_OF_FOUR: usize = 1000;

/// A runtime whose tasks are tasks of shuttle. Its time stands still, and a sleep yields to other
/// tasks.
#[derive(Debug)]
struct OnShuttle;

impl Runtime for OnShuttle {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        drop(shuttle::future::spawn(future));
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(shuttle::future::yield_now())
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

async fn open<K: Key + ?Sized, V: Value + ?Sized>() -> FasterKv<K, V> {
    open_in(&MemoryDirectory::new(), 1).await
}

async fn open_in<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &MemoryDirectory,
    seed: u64,
) -> FasterKv<K, V> {
    let store = FasterKv::builder(two_pages().with_checkpoint_on_close(false))
        .runtime(Handle::custom(Arc::new(OnShuttle)))
        .directory(Arc::new(directory.clone()))
        .seed(seed)
        .open_in_directory();
    store.await.expect("a store in memory opens")
}

fn shuttle_config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    // The default is too small for the frames of a test build.
    config.stack_size = 1 << 20;
    config
}

/// Searches with an even mixture of threads.
fn random_schedules(run: impl Fn() + Send + Sync + 'static) {
    shuttle::Runner::new(RandomScheduler::new(SCHEDULES), shuttle_config()).run(run);
}

/// Searches with few changes of threads, each after a long stretch. These find a task that pauses
/// for long in the middle of an operation, which an even mixture hardly ever does.
fn many_schedules(run: impl Fn() + Send + Sync + 'static) {
    let config = shuttle_config();
    let run = Arc::new(run);
    for preemptions in 2..5 {
        let (scheduler, run) =
            (PctScheduler::new(preemptions, SCHEDULES_OF_FOUR), Arc::clone(&run));
        shuttle::Runner::new(scheduler, config.clone()).run(move || run());
    }
    let scheduler = RandomScheduler::new(SCHEDULES_OF_FOUR);
    shuttle::Runner::new(scheduler, config).run(move || run());
}

type Work<V> = fn(Session<u64, V>) -> Pin<Box<dyn Future<Output = Session<u64, V>> + Send>>;

/// Runs `work` on two threads with key 1 while a third flushes the log. Returns the value of the
/// key.
fn two_against_a_flush<V: SampleValue + ?Sized>(work: Work<V>, evict: bool) -> Option<V::Owned> {
    let store = block_on(open::<u64, V>());
    // Sessions are created and dropped outside of the threads, because a lock of std guards their
    // registry.
    let sessions = [0, 1].map(|_| store.session().expect("open"));
    let threads = sessions.map(|session| shuttle::thread::spawn(move || block_on(work(session))));
    let flushed =
        block_on(async { if evict { store.flush_and_evict().await } else { store.flush().await } });
    flushed.expect("sound memory");
    let sessions = threads.map(|thread| thread.join().expect("no panic"));
    let found = block_on(store.read(&1)).expect("sound memory");
    drop(sessions);
    block_on(store.close()).expect("closes");
    found
}

fn count_twice<V: SampleValue + ?Sized>(
    mut session: Session<u64, V>,
) -> Pin<Box<dyn Future<Output = Session<u64, V>> + Send>> {
    Box::pin(async move {
        for _ in 0..2 {
            session.rmw(&1, V::counted).await.expect("sound memory");
        }
        session
    })
}

fn no_update_is_lost<V: SampleValue + ?Sized>(evict: bool) {
    let schedule = move || {
        let found = two_against_a_flush::<V>(count_twice::<V>, evict);
        assert_eq!(found.as_ref().map(V::count), Some(4));
    };
    many_schedules(schedule);
}

#[test]
fn no_word_update_is_lost() {
    no_update_is_lost::<u64>(false);
    no_update_is_lost::<u64>(true);
}

#[test]
fn no_update_of_bytes_is_lost() {
    no_update_is_lost::<[u8]>(false);
    no_update_is_lost::<[u8]>(true);
}

/// Two sessions count during checkpoints. A recovered store has exactly the counts of the commit
/// points, and the running store has all counts.
fn a_checkpoint_is_a_prefix<V: SampleValue + ?Sized>(kind: checkpoint::Kind) {
    many_schedules(move || {
        let directory = MemoryDirectory::new();
        let store = block_on(open_in::<u64, V>(&directory, 1));
        let sessions = [0, 1].map(|_| store.session().expect("open"));
        let _ids = sessions.each_ref().map(|session| session.id());
        let count = |session| shuttle::thread::spawn(move || block_on(count_twice::<V>(session)));
        let threads = sessions.map(count);
        let mut points = BTreeMap::new();
        for _ in 0..2 {
            let checkpoint = store.checkpoint().kind(kind).without_index();
            points.extend(block_on(checkpoint.into_future()).expect("sound memory").sessions);
        }
        let sessions = threads.map(|thread| thread.join().expect("no panic"));
        let live = block_on(store.read(&1)).expect("sound memory");
        assert_eq!(live.as_ref().map(V::count), Some(4));
        let covered: u64 = points.values().map(|point| point.until).sum();
        drop(sessions);
        block_on(store.close()).expect("closes");
        let store = block_on(open_in::<u64, V>(&directory, 2));
        let found = block_on(store.read(&1)).expect("sound memory");
        assert_eq!(found.as_ref().map_or(0, V::count), covered, "{points:?}");
        block_on(store.close()).expect("closes");
    });
}

#[test]
fn a_checkpoint_of_words_is_a_prefix() {
    a_checkpoint_is_a_prefix::<u64>(checkpoint::Kind::FoldOver);
    a_checkpoint_is_a_prefix::<u64>(checkpoint::Kind::Incremental);
}

#[test]
fn a_checkpoint_of_bytes_is_a_prefix() {
    a_checkpoint_is_a_prefix::<[u8]>(checkpoint::Kind::FoldOver);
    a_checkpoint_is_a_prefix::<[u8]>(checkpoint::Kind::Incremental);
}

/// A reader reads a frozen value in place. Meanwhile the capture ends, the value thaws, and a task
/// changes it. A check of the reader found that the value was not immutable any more, and panicked,
/// because the frozen range had become smaller.
#[test]
fn what_is_read_in_place_may_thaw_meanwhile() {
    many_schedules(|| {
        let store = block_on(open::<u64, [u8]>());
        let mut reading = store.session().expect("open");
        let counting = store.session().expect("open");
        block_on(store.upsert(&1, b"+")).expect("sound memory");
        let reader = shuttle::thread::spawn(move || {
            for _ in 0..3 {
                let look = |view: &[u8]| <[u8]>::count(&view.to_vec());
                let seen = block_on(reading.read_with(&1, look)).expect("sound memory");
                assert!(seen.is_some_and(|count| (1..=3).contains(&count)));
            }
            reading
        });
        let counter = shuttle::thread::spawn(move || block_on(count_twice::<[u8]>(counting)));
        let taken = block_on(store.checkpoint().snapshot().without_index().into_future());
        taken.expect("sound memory");
        drop((reader.join().expect("no panic"), counter.join().expect("no panic")));
        block_on(store.close()).expect("closes");
    });
}

/// Yields to other threads until the freeze has reached `stage`, but not for too long.
fn yield_until(stage: Stage) {
    (0..300).take_while(|_| WeakSpots::stage() < stage).for_each(|_| shuttle::thread::yield_now());
}

/// Finds the record frozen, and copies it while it thaws.
async fn copy_while_it_thaws<V: SampleValue + ?Sized>(session: &mut Session<u64, V>) {
    yield_until(Stage::Frozen);
    let slowly = |value: Option<V::Owned>| {
        yield_until(Stage::Thawing);
        (0..drawn(30)).for_each(|_| shuttle::thread::yield_now());
        V::counted(value)
    };
    session.rmw(&1, slowly).await.expect("sound memory");
}

/// Arrives after the thaw has begun, finds the index entry, and pauses.
async fn come_while_it_thaws<V: SampleValue + ?Sized>(session: &mut Session<u64, V>) {
    yield_until(Stage::Thawing);
    session.rmw(&1, V::counted).await.expect("sound memory");
}

/// The task that freezes memory, and lets it thaw.
#[derive(Clone, Copy, Debug)]
enum Freezer {
    Snapshot,
    Scan,
}

/// A snapshot or a scan ends while one session copies the frozen record. Another session has found
/// the index entry that still leads to this record.
fn count_while_it_thaws<V: SampleValue + ?Sized>(freezer: Freezer, one_drain: bool) {
    WeakSpots { one_drain, pauses: 60, ..WeakSpots::NONE }.set();
    let store = block_on(open::<u64, V>());
    let [mut first, mut copies, mut comes] = [0; 3].map(|_| store.session().expect("open"));
    block_on(first.rmw(&1, V::counted)).expect("sound memory");
    let threads = [
        shuttle::thread::spawn(move || {
            block_on(copy_while_it_thaws(&mut copies));
            copies
        }),
        shuttle::thread::spawn(move || {
            block_on(come_while_it_thaws(&mut comes));
            comes
        }),
    ];
    match freezer {
        Freezer::Snapshot => {
            let taken = block_on(store.checkpoint().snapshot().without_index().into_future());
            taken.expect("sound memory");
        }
        Freezer::Scan => assert_eq!(block_on(store.count()).expect("sound memory"), 1),
    }
    let sessions = threads.map(|thread| thread.join().expect("no panic"));
    WeakSpots::NONE.set();
    let live = block_on(store.read(&1)).expect("sound memory");
    drop((first, sessions));
    block_on(store.close()).expect("closes");
    assert_eq!(live.as_ref().map(V::count), Some(3), "an update is lost");
}

fn schedules_of_a_thaw<V: SampleValue + ?Sized>(freezer: Freezer, one_drain: bool) {
    random_schedules(move || count_while_it_thaws::<V>(freezer, one_drain));
}

/// A thaw drained the epoch only once. A task entered after that, and found the index entry before
/// the last copy was linked. It changed the old record in place, although no entry led to it any
/// more. One of a thousand acknowledged increments was lost.
#[test]
fn no_update_is_lost_when_a_snapshot_thaws() {
    schedules_of_a_thaw::<u64>(Freezer::Snapshot, false);
    schedules_of_a_thaw::<[u8]>(Freezer::Snapshot, false);
}

#[test]
fn no_update_is_lost_when_a_scan_thaws() {
    schedules_of_a_thaw::<u64>(Freezer::Scan, false);
    schedules_of_a_thaw::<[u8]>(Freezer::Scan, false);
}

/// The negative control: one drain is not enough.
#[test]
#[should_panic(expected = "an update is lost")]
fn one_drain_is_too_few_for_words() {
    schedules_of_a_thaw::<u64>(Freezer::Snapshot, true);
}

/// The negative control, for values under a lock.
#[test]
#[should_panic(expected = "an update is lost")]
fn one_drain_is_too_few_for_bytes() {
    schedules_of_a_thaw::<[u8]>(Freezer::Snapshot, true);
}

/// The negative control, for the thaw of a scan.
#[test]
#[should_panic(expected = "an update is lost")]
fn one_drain_is_too_few_for_scans() {
    schedules_of_a_thaw::<u64>(Freezer::Scan, true);
}

/// One session counts slowly while another takes the value. Every count is in the taken value, or
/// in the value at the end.
fn take_from_a_counter<V: SampleValue + ?Sized>(no_drain: bool) {
    WeakSpots { no_drain, pauses: 3, ..WeakSpots::NONE }.set();
    let store = block_on(open::<u64, V>());
    let [mut counts, mut takes] = [0; 2].map(|_| store.session().expect("open"));
    block_on(store.rmw(&1, V::counted)).expect("sound memory");
    let counter = shuttle::thread::spawn(move || {
        for _ in 0..2 {
            let slowly = |value: Option<V::Owned>| {
                (0..drawn(60)).for_each(|_| shuttle::thread::yield_now());
                V::counted(value)
            };
            block_on(counts.rmw(&1, slowly)).expect("sound memory");
        }
        counts
    });
    let taken = block_on(takes.take(&1)).expect("sound memory");
    let counts = counter.join().expect("no panic");
    WeakSpots::NONE.set();
    let left = block_on(store.read(&1)).expect("sound memory");
    drop((counts, takes));
    block_on(store.close()).expect("closes");
    let sum: u64 = [taken, left].iter().flatten().map(V::count).sum();
    assert_eq!(sum, 3, "a count is lost");
}

fn schedules_of_a_take<V: SampleValue + ?Sized>(no_drain: bool) {
    random_schedules(move || take_from_a_counter::<V>(no_drain));
}

#[test]
fn no_update_is_lost_to_a_take() {
    schedules_of_a_take::<u64>(false);
    schedules_of_a_take::<[u8]>(false);
}

/// The negative control: a frozen word still changes until the writers that missed it have left.
#[test]
#[should_panic(expected = "a count is lost")]
fn a_word_is_not_final_before_the_drain() {
    schedules_of_a_take::<u64>(true);
}

/// The clock of all threads. It is no atomic of shuttle, so that a tick is not a point for a
/// switch.
type Ticks = Arc<std::sync::atomic::AtomicU64>;

fn tick(ticks: &Ticks) -> u64 {
    // Relaxed: shuttle runs one thread at a time.
    ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Runs some operations of one thread on key 1, and returns them with their results.
async fn act<V: Number>(session: &mut Session<u64, V>, ticks: &Ticks) -> kvick::Result<Vec<Event>> {
    let mut events = Vec::new();
    for _ in 0..4 {
        let called = tick(ticks);
        let (one, other) = (drawn(3), drawn(3));
        let action = match drawn(10) {
            0 => Action::Upsert(one, session.upsert(&1, &V::of(one)).await?.known()),
            1 => Action::Add(1, session.rmw(&1, add(1)).await?.get()),
            2 => Action::Delete(session.delete(&1).await?.known()),
            3 => Action::Insert(one, session.insert_if_absent(&1, &V::of(one)).await?),
            4 => {
                let (old, new) = (V::of(one), V::of(other));
                Action::Swap(one, other, session.compare_and_swap(&1, &old, &new).await?)
            }
            5 => Action::Take(session.take(&1).await?.map(V::get)),
            6 => Action::Replace(one, session.replace(&1, &V::of(one)).await?.map(V::get)),
            7 => Action::Remove(one, session.compare_and_delete(&1, &V::of(one)).await?),
            8 => Action::Less(session.update(&1, less::<V>).await?),
            _ => Action::Read(session.read(&1).await?.map(V::get)),
        };
        events.push(Event { action, called, returned: Some(tick(ticks)) });
    }
    Ok(events)
}

fn drawn(bound: u64) -> u64 {
    use shuttle::rand::Rng;
    shuttle::rand::thread_rng().gen_range(0..bound)
}

fn histories_can_be_explained<V: Number>() {
    many_schedules(|| {
        let store = block_on(open::<u64, V>());
        let ticks = Ticks::default();
        let threads = [0, 1, 2].map(|_| {
            let (mut session, ticks) = (store.session().expect("open"), Arc::clone(&ticks));
            shuttle::thread::spawn(move || {
                let events = block_on(act::<V>(&mut session, &ticks)).expect("sound memory");
                (session, events)
            })
        });
        for _ in 0..2 {
            block_on(store.flush_and_evict()).expect("sound memory");
        }
        let ends = threads.map(|thread| thread.join().expect("no panic"));
        let history: Vec<Event> = ends.iter().flat_map(|(_, events)| events).copied().collect();
        assert!(is_linearizable(&history), "{history:#?}");
        drop(ends);
        block_on(store.close()).expect("closes");
    });
}

#[test]
fn every_history_of_words_can_be_explained() {
    histories_can_be_explained::<u64>();
}

#[test]
fn every_history_of_bytes_can_be_explained() {
    histories_can_be_explained::<Growing>();
}
