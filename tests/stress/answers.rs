//! Histories of operations on real threads: some order of the operations must explain each history.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kvick::config::{Acknowledge, ByteSize, DurableBy};
use kvick::io::sim::Random;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result};
use tests::configs::memory_store;
use tests::history::{Action, Event, add, is_linearizable, less};
use tests::numbers::{Growing, Number};
use tests::polling::AtMost;
use tests::simulated::small_configs;

const THREADS: u64 = 4;
const KEYS: u64 = 3;
const STEPS: u32 = 60;

/// A store, a clock of ticks, and the history of each key.
struct Recorder<V: Number> {
    store: FasterKv<u64, V>,
    /// The first of the keys of new operations.
    base: AtomicU64,
    /// The share of operations that are reads in any case.
    reads: f64,
    ticks: AtomicU64,
    histories: Mutex<BTreeMap<u64, Vec<Event>>>,
}

impl<V: Number> Recorder<V> {
    fn tick(&self) -> u64 {
        // SeqCst: all threads agree on one order of the ticks.
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Runs one random operation and records it. Some operations are dropped before their end.
    fn step(&self, random: &mut Random) {
        let key = self.base.load(Ordering::Relaxed) + random.below(KEYS);
        let drawn = if random.chance(self.reads) { Action::Read(None) } else { draw(random) };
        let polls = if random.chance(0.05) { 1 + u32::from(random.chance(0.5)) } else { u32::MAX };
        let called = self.tick();
        let answered = block_on(AtMost::new(polls, self.carry_out(key, drawn)));
        let event = match answered {
            Some(answered) => Event {
                action: answered.expect("sound memory"),
                called,
                returned: Some(self.tick()),
            },
            None => Event { action: drawn, called, returned: None },
        };
        let mut histories = self.histories.lock().expect("no task panics under it");
        histories.entry(key).or_default().push(event);
    }

    /// Returns the action with its result.
    async fn carry_out(&self, key: u64, action: Action) -> Result<Action> {
        let store = &self.store;
        Ok(match action {
            Action::Read(_) => Action::Read(store.read(&key).await?.map(V::get)),
            Action::Upsert(value, _) => {
                Action::Upsert(value, store.upsert(&key, &V::of(value)).await?.known())
            }
            Action::Add(amount, _) => {
                Action::Add(amount, store.rmw(&key, add(amount)).await?.get())
            }
            Action::Delete(_) => Action::Delete(store.delete(&key).await?.known()),
            Action::Take(_) => Action::Take(store.take(&key).await?.map(V::get)),
            Action::Replace(value, _) => {
                Action::Replace(value, store.replace(&key, &V::of(value)).await?.map(V::get))
            }
            Action::Remove(value, _) => {
                Action::Remove(value, store.compare_and_delete(&key, &V::of(value)).await?)
            }
            Action::Less(_) => Action::Less(store.update(&key, less::<V>).await?),
            Action::Insert(value, _) => {
                Action::Insert(value, store.insert_if_absent(&key, &V::of(value)).await?)
            }
            Action::Swap(old, new, _) => Action::Swap(
                old,
                new,
                store.compare_and_swap(&key, &V::of(old), &V::of(new)).await?,
            ),
            Action::UpsertWith(..) | Action::Expiry(_) | Action::SetExpiry(..) => {
                unreachable!("these keys never expire")
            }
        })
    }
}

fn draw(random: &mut Random) -> Action {
    // Few different values, so that compare and swap often finds its expected value.
    let (one, other) = (random.below(4), random.below(4));
    match random.below(18) {
        0..4 => Action::Read(None),
        4..6 => Action::Upsert(one, None),
        6..8 => Action::Add(1, 0),
        8 => Action::Delete(None),
        12 | 13 => Action::Take(None),
        14 => Action::Replace(one, None),
        15 => Action::Remove(one, false),
        16 | 17 => Action::Less(None),
        9 => Action::Insert(one, false),
        _ => Action::Swap(one, other, false),
    }
}

impl<V: Number> Recorder<V> {
    fn new(config: Config, reads: f64) -> Self {
        Self {
            store: memory_store(config),
            base: AtomicU64::new(0),
            reads,
            ticks: AtomicU64::new(0),
            histories: Mutex::default(),
        }
    }

    /// Asserts that some order of the operations explains the history of each key.
    fn explain(self, seed: u64) {
        let histories = self.histories.into_inner().expect("no task panicked");
        for (key, history) in histories {
            assert!(is_linearizable(&history), "key {key}, seed {seed}: {history:#?}");
        }
        block_on(self.store.close()).expect("closes");
    }
}

/// Runs one round of all threads on a new store, while its log moves.
fn explain_a_round<V: Number>(config: Config, seed: u64) {
    explain_with_reads::<V>(config, 0.0, seed);
}

/// Runs such a round with some more reads. Returns the number of hits of the read cache.
fn explain_with_reads<V: Number>(config: Config, reads: f64, seed: u64) -> u64 {
    let recorder = Recorder::<V>::new(config, reads);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let recorder = &recorder;
            scope.spawn(move || {
                let mut random = Random::new(seed * THREADS + number);
                for step in 0..STEPS {
                    recorder.step(&mut random);
                    if number == 0 && step % 3 == 0 {
                        block_on(recorder.store.flush_and_evict()).expect("sound memory");
                    }
                }
            });
        }
    });
    let hits = recorder.store.stats().hits.read_cache;
    recorder.explain(seed);
    hits
}

/// The keys that make the index grow and shrink, beside those of the histories.
const CROWD: u64 = 290_000;
/// The number of parts in which they come and go.
const PARTS: u64 = 20;

/// Records histories of ever new keys, while the index grows from 16 buckets to 20,000 and shrinks
/// again.
fn explain_beside_growth<V: Number>(seed: u64) {
    let config = Config::default()
        .with_memory(ByteSize::mib(64))
        .with_index_min(ByteSize::kib(2))
        .with_huge_pages(false);
    let recorder = Recorder::<V>::new(config, 0.0);
    let buckets = || recorder.store.stats().index.buckets;
    for part in 0..2 * PARTS {
        recorder.base.fetch_add(KEYS, Ordering::Relaxed);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let recorder = &recorder;
                scope.spawn(move || {
                    let mut random = Random::new((seed * PARTS + part) * THREADS + number);
                    (0..STEPS).for_each(|_| recorder.step(&mut random));
                });
            }
            block_on(come_or_go(&recorder.store, part)).expect("sound memory");
        });
        if part == PARTS - 1 {
            assert!(buckets() >= 20_000, "{} buckets", buckets());
        }
    }
    // The driver makes the index smaller, and needs no operation for that. Keys that share an entry
    // leave it there.
    while buckets() > 4000 {
        thread::yield_now();
    }
    recorder.explain(seed);
}

/// Inserts a part of the crowd, or in the second half of the parts deletes one.
async fn come_or_go<V: Number>(store: &FasterKv<u64, V>, part: u64) -> Result<()> {
    let first = (1 << 32) + part % PARTS * (CROWD / PARTS);
    for key in first..first + CROWD / PARTS {
        if part < PARTS {
            store.upsert(&key, &V::of(0)).await?;
        } else {
            store.delete(&key).await?;
        }
    }
    Ok(())
}

/// The driver missed a demand that came between its last merge and its next wait. Tasks did not ask
/// again, so the index kept its 20,824 buckets for 18,430 entries.
#[test]
fn histories_beside_an_index_that_grows_can_be_explained() {
    explain_beside_growth::<u64>(1);
}

#[test]
fn every_history_can_be_explained() {
    for seed in 0..40 {
        for config in small_configs() {
            explain_a_round::<u64>(config.clone(), seed);
            explain_a_round::<Growing>(config, seed);
        }
    }
}

/// The keys are read many times on the device between two writes, so the read cache has them.
#[test]
fn histories_with_a_read_cache_can_be_explained() {
    let config = Config::default()
        .with_memory(ByteSize::kib(128))
        .with_page_size(ByteSize::kib(4))
        .with_read_cache(ByteSize::kib(4))
        .with_huge_pages(false);
    let mut hits = 0;
    for seed in 0..100 {
        hits += explain_with_reads::<u64>(config.clone(), 0.8, seed);
        hits += explain_with_reads::<Growing>(config.clone(), 0.8, seed);
    }
    assert!(hits > 1000, "{hits} hits of the cache");
}

/// A durable write that is dropped while it waits for its commit has taken effect.
#[test]
fn histories_with_a_write_ahead_log_can_be_explained() {
    for seed in 0..20 {
        for config in small_configs() {
            let config = config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256));
            let durable = config.clone().with_acknowledge(Acknowledge::Durable);
            explain_a_round::<u64>(config.clone(), seed);
            explain_a_round::<u64>(durable.clone(), seed);
            explain_a_round::<Growing>(config, seed);
            explain_a_round::<Growing>(durable, seed);
        }
    }
}
