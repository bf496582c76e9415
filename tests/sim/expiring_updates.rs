//! Updates that decide about value and expiry, by many tasks and over power cuts.
//!
//! Invariants, and the test of each:
//! 1. A decision sees a value and the expiry that belongs to it, and replaces both or neither. It
//!    takes effect once (`a_value_and_its_expiry_change_as_one`).
//! 2. A scan shows the decisions up to one moment (`a_scan_shows_one_moment_of_the_decisions`). The
//!    negative control is `reads_show_no_moment_of_the_decisions`.
//! 3. The write-ahead log repeats the expiry that a decision has set, whatever the clock shows then
//!    (`a_logged_decision_comes_back`).

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use futures::TryStreamExt;
use futures::future::join_all;
use kvick::codec::{Expires, Expiring};
use kvick::config::{ByteSize, DurableBy};
use kvick::session::{Expiry, Update};
use kvick::{Config, FasterKv};
use tests::journal::ALL_KINDS;
use tests::simulated::{Site, World, seeds, two_pages};

const KEYS: u64 = 3;
const TASKS: u64 = 4;
const UPDATES: u64 = 40;
const START: u64 = 1_800_000_000;

/// A form of values that have a number.
struct Form<V: Expires + ?Sized> {
    of: fn(u64) -> V::Owned,
    number: fn(&V::Owned) -> u64,
}

const WORDS: Form<Expiring<u64>> = Form { of: |number| number, number: |word| *word };

const BYTES: Form<Expiring<[u8]>> = Form { of: bytes, number: |value| number_in(value) };

/// Returns bytes that begin with a number, and are sometimes longer than a page.
fn bytes(number: u64) -> Vec<u8> {
    let more = if number.is_multiple_of(5) { 9000 } else { number % 40 };
    let rest = vec![number.to_le_bytes()[0]; usize::try_from(more).expect("small")];
    [number.to_le_bytes().to_vec(), rest].concat()
}

fn number_in(value: &[u8]) -> u64 {
    let (number, rest) = value.split_first_chunk().expect("a number comes first");
    let number = u64::from_le_bytes(*number);
    assert!(rest.iter().all(|byte| *byte == number.to_le_bytes()[0]), "a torn value");
    number
}

/// Returns the expiry of the value with this number. Some that follow one another have the same.
fn expiry_of(number: u64) -> Expiry {
    Expiry::at(UNIX_EPOCH + Duration::from_secs(START + 1_000_000 + number / 3))
}

async fn open<V: Expires + ?Sized>(site: &Site, config: Config) -> FasterKv<u64, V> {
    let handle = site.handle.clone();
    FasterKv::builder(config)
        .runtime(site.handle.clone())
        .directory(site.disk.directory("db"))
        .wal_directory(site.disk.directory("wal"))
        .clock(move || UNIX_EPOCH + Duration::from_secs(START) + handle.now())
        .seed(site.seed)
        .open_in_directory()
        .await
        .expect("the store opens")
}

/// Lets tasks count by updates, beside checkpoints, evictions and compactions.
async fn count<V: Expires + ?Sized>(site: &Site, form: &Form<V>)
where
    V::Owned: Borrow<V::Item>,
{
    let config = two_pages().with_memory(ByteSize::kib(128));
    let store = &open::<V>(site, config).await;
    let tasks = (0..TASKS).map(async |task| {
        let mut random = site.random(task);
        for _ in 0..UPDATES {
            for key in 0..KEYS {
                let counted = store.update_with(&key, |current| {
                    let number = current.map_or(0, |(value, expiry)| {
                        let number = (form.number)(&value);
                        assert_eq!(expiry, expiry_of(number), "of {number}");
                        number
                    });
                    let next = number + 1;
                    Update::Put(((form.of)(next), expiry_of(next)), next)
                });
                counted.await.expect("a sound disk");
                site.handle.sleep(Duration::from_micros(random.below(300))).await;
            }
        }
    });
    let disturbing = async {
        let mut random = site.random(TASKS);
        for _ in 0..12 {
            match random.below(3) {
                0 => {
                    let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                    store.checkpoint().kind(kind).await.map(drop)
                }
                1 => store.flush_and_evict().await,
                _ => store.compact().await.map(drop),
            }
            .expect("a sound disk");
            site.handle.sleep(Duration::from_micros(random.below(2000))).await;
        }
    };
    futures::join!(join_all(tasks), disturbing);
    for key in 0..KEYS {
        let value = store.read(&key).await.expect("a sound disk").expect("it was counted");
        assert_eq!((form.number)(&value), TASKS * UPDATES, "key {key}");
        let expiry = store.expiry(&key).await.expect("a sound disk");
        assert_eq!(expiry, Some(expiry_of(TASKS * UPDATES)), "key {key}");
    }
    store.close().await.expect("closes");
}

#[test]
fn a_value_and_its_expiry_change_as_one() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            if site.seed.is_multiple_of(2) {
                count(&site, &WORDS).await;
            } else {
                count(&site, &BYTES).await;
            }
        });
    });
}

/// A way to look at all keys.
#[derive(Clone, Copy, Debug)]
enum Look {
    Scan,
    /// A mistake: key after key, in the other order, while they change.
    Reads,
}

impl Look {
    /// Returns the numbers of the keys, in their order.
    async fn numbers<V: Expires + ?Sized>(
        self,
        site: &Site,
        store: &FasterKv<u64, V>,
        form: &Form<V>,
    ) -> Vec<u64> {
        let mut found = BTreeMap::new();
        match self {
            Self::Scan => found = store.scan().try_collect().await.expect("a sound disk"),
            Self::Reads => {
                for key in (0..KEYS).rev() {
                    let value = store.read(&key).await.expect("a sound disk");
                    found.extend(value.map(|value| (key, value)));
                    site.handle.sleep(Duration::from_micros(100)).await;
                }
            }
        }
        (0..KEYS).map(|key| found.get(&key).map_or(0, form.number)).collect()
    }
}

/// One task counts all keys in turn, beside checkpoints and evictions. Returns the looks at them,
/// and those that show no single moment.
fn looks<V: Expires + ?Sized>(seed: u64, form: &Form<V>, look: Look) -> [u32; 2]
where
    V::Owned: Borrow<V::Item>,
{
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = open::<V>(&site, two_pages().with_memory(ByteSize::kib(128))).await;
        let is_over = Cell::new(false);
        let counting = async {
            let mut random = site.random(1);
            for number in 1..=UPDATES {
                for key in 0..KEYS {
                    let counted = store.update_with(&key, |_current| {
                        Update::Put(((form.of)(number), expiry_of(number)), ())
                    });
                    counted.await.expect("a sound disk");
                    site.handle.sleep(Duration::from_micros(random.below(300))).await;
                }
                match random.below(8) {
                    0 => drop(store.checkpoint().await.expect("a sound disk")),
                    1 => store.flush_and_evict().await.expect("a sound disk"),
                    _ => {}
                }
            }
            is_over.set(true);
        };
        let looking = async {
            let (mut random, mut seen) = (site.random(2), [0, 0]);
            while !is_over.get() {
                let numbers = look.numbers(&site, &store, form).await;
                let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
                let is_one = numbers.is_sorted_by(|one, next| one >= next) && first <= last + 1;
                seen = [seen[0] + 1, seen[1] + u32::from(!is_one)];
                site.handle.sleep(Duration::from_micros(random.below(500))).await;
            }
            seen
        };
        let ((), seen) = futures::join!(counting, looking);
        store.close().await.expect("closes");
        seen
    })
}

fn looks_of_all(look: Look) -> [u32; 2] {
    let sum = Cell::new([0, 0]);
    seeds(6, |seed| {
        let found = if seed.is_multiple_of(2) {
            looks(seed, &WORDS, look)
        } else {
            looks(seed, &BYTES, look)
        };
        sum.set([0, 1].map(|at: usize| sum.get()[at] + found[at]));
    });
    sum.get()
}

#[test]
fn a_scan_shows_one_moment_of_the_decisions() {
    let [looks, torn] = looks_of_all(Look::Scan);
    assert!(looks > 20 && torn == 0, "{torn} of {looks} scans");
}

/// The negative control: the check finds values that were not there at one moment.
#[test]
fn reads_show_no_moment_of_the_decisions() {
    let [looks, torn] = looks_of_all(Look::Reads);
    assert!(torn > 10, "{torn} of {looks} looks");
}

fn logged() -> Config {
    two_pages()
        .with_memory(ByteSize::mib(1))
        .with_durability(DurableBy::Wal)
        .with_wal_memory(ByteSize::kib(256))
        .with_checkpoint_on_close(false)
}

/// Decides about keys whose values have this form. Returns what is there afterwards.
async fn decide<V: Expires + ?Sized>(site: &Site, form: &Form<V>) -> Vec<Option<Expiry>>
where
    V::Owned: Borrow<V::Item>,
{
    let store = open::<V>(site, logged()).await;
    let after = |seconds| Expiry::after(Duration::from_secs(seconds));
    for key in 0..10 {
        store.upsert_with(&key, (form.of)(key).borrow(), after(50)).await.expect("a sound disk");
    }
    store.checkpoint().await.expect("a sound disk");
    for key in 0..10 {
        site.handle.sleep(Duration::from_millis(1700)).await;
        let decided = store.update_with(&key, |current| match current {
            Some((_, last)) if key % 2 == 0 => Update::Put(((form.of)(key + 10), last), ()),
            Some(_) => Update::Put(((form.of)(key + 10), after(100 + key)), ()),
            None => unreachable!("no key expires within 50 seconds"),
        });
        decided.durable().await.expect("durable");
    }
    let mut expiries = Vec::new();
    for key in 0..10 {
        expiries.push(store.expiry(&key).await.expect("a sound disk"));
    }
    expiries
}

#[test]
fn a_logged_decision_comes_back() {
    fn test<V: Expires + ?Sized>(seed: u64, form: &Form<V>)
    where
        V::Owned: Borrow<V::Item>,
    {
        let world = World::new(seed);
        let expected = world.simulation.run(decide(&world.site, form));
        assert!(expected.iter().all(|expiry| expiry.is_some_and(|it| it.time().is_some())));
        let world = World::on(seed, world.site.disk.crash(seed));
        let site = world.site.clone();
        world.simulation.run(async {
            let store = open::<V>(&site, logged()).await;
            for (key, expiry) in (0..).zip(&expected) {
                let value = store.read(&key).await.expect("a sound disk").expect("it is there");
                assert_eq!((form.number)(&value), key + 10);
                assert_eq!(store.expiry(&key).await.expect("a sound disk"), *expiry, "key {key}");
            }
            store.close().await.expect("closes");
        });
    }
    seeds(4, |seed| {
        test(seed, &WORDS);
        test(seed, &BYTES);
    });
}
