//! Micro benchmarks: the cost of the steps of one operation.
//!
//! ```text
//! cargo bench -p benches --bench micro -- [--quick] [FILTER]
//! ```
//!
//! Two stores of words are measured. A small one stays in the second-level cache, and shows the
//! instructions of an operation. A large one shows its cache misses. The ratio of `await` to
//! `try_read` is the cost of the future, over the same steps as a plain call. The ratio of
//! `await_expiring` to `await` is the cost of expiry, and that of `await_never_expiring` the share
//! of the layout in it.

use std::hint::black_box;
use std::time::Duration;

use benches::keys::key_of;
use benches::payload::Payload;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kvick::bench_support::{Probe, Reserve};
use kvick::codec::Expiring;
use kvick::config::{Backend, ByteSize};
use kvick::epoch::Epoch;
use kvick::futures::TryRead;
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Config, FasterKv, Result, Session, Value};

/// The number of keys of one iteration: two batches.
const KEYS: usize = 64;

const SIZES: [(&str, u64); 2] = [("in_cache", 1 << 10), ("in_memory", 1 << 22)];

type Words = FasterKv<u64, u64>;

type ExpiringWords = FasterKv<u64, Expiring<u64>>;

fn words(records: u64) -> Words {
    loaded(records, async |session: &mut Session<u64, u64>, key, value| {
        session.upsert(&key, &value).await.map(drop)
    })
}

fn expiring_words(records: u64, expiry: Expiry) -> ExpiringWords {
    loaded(records, async |session: &mut Session<u64, Expiring<u64>>, key, value| {
        session.upsert_with(&key, &value, expiry).await.map(drop)
    })
}

/// Returns a store in which `set` has set every record.
fn loaded<V: Value>(
    records: u64,
    set: impl AsyncFn(&mut Session<u64, V>, u64, u64) -> Result<()>,
) -> FasterKv<u64, V> {
    let config = Config::default()
        .with_memory(ByteSize::new((records * 96).max(64 << 20)))
        .with_backend(Backend::Memory)
        .with_expected_keys(records);
    block_on(async {
        let store = FasterKv::open("micro", config).await.expect("a store in memory opens");
        let mut session = store.session().expect("a session");
        for index in 0..records {
            set(&mut session, key_of(index), index).await.expect("memory is not full");
        }
        store
    })
}

/// Returns an endless source of keys of existing records, in a pseudo-random order.
fn some_keys(records: u64) -> impl FnMut() -> [u64; KEYS] {
    let mut state = 1u64;
    move || {
        std::array::from_fn(|_| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            key_of((state >> 33) % records)
        })
    }
}

fn reads(criterion: &mut Criterion) {
    for (size, records) in SIZES {
        let store = words(records);
        let mut session = store.session().expect("a session");
        let mut group = criterion.benchmark_group(format!("read/{size}"));
        group.throughput(Throughput::Elements(KEYS as u64));
        group.bench_function("await", |bencher| {
            bencher.iter_batched(
                some_keys(records),
                |keys| await_each(&mut session, &keys),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("try_read", |bencher| {
            bencher.iter_batched(
                some_keys(records),
                |keys| call_each(&mut session, &keys),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("await_on_handle", |bencher| {
            bencher.iter_batched(
                some_keys(records),
                |keys| await_each_on(&store, &keys),
                BatchSize::SmallInput,
            );
        });
        for batch in [8, 32, 64] {
            group.bench_function(BenchmarkId::new("read_many", batch), |bencher| {
                bencher.iter_batched(
                    some_keys(records),
                    |keys| await_batches(&mut session, &keys, batch),
                    BatchSize::SmallInput,
                );
            });
        }
        for (name, expiry) in [
            ("await_expiring", Expiry::after(Duration::from_secs(24 * 3600))),
            ("await_never_expiring", Expiry::never()),
        ] {
            let store = expiring_words(records, expiry);
            let mut session = store.session().expect("a session");
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    some_keys(records),
                    |keys| await_each(&mut session, &keys),
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

fn await_each<V: Value<Owned = u64>>(session: &mut Session<u64, V>, keys: &[u64]) -> u64 {
    block_on(async {
        let mut sum = 0u64;
        for key in keys {
            let value = session.read(key).await.expect("a hit cannot fail");
            sum = sum.wrapping_add(value.expect("every key is there"));
        }
        sum
    })
}

fn await_each_on(store: &Words, keys: &[u64]) -> u64 {
    block_on(async {
        let mut sum = 0u64;
        for key in keys {
            let value = store.read(key).await.expect("a hit cannot fail");
            sum = sum.wrapping_add(value.expect("every key is there"));
        }
        sum
    })
}

/// The same loop as [`await_each`], under the same executor, around plain calls.
fn call_each(session: &mut Session<u64, u64>, keys: &[u64]) -> u64 {
    block_on(async {
        let mut sum = 0u64;
        for key in keys {
            let TryRead::Ready(value) = session.try_read(key) else {
                panic!("every record is in memory");
            };
            let value = value.expect("a hit cannot fail");
            sum = sum.wrapping_add(value.expect("every key is there"));
        }
        sum
    })
}

fn await_batches(session: &mut Session<u64, u64>, keys: &[u64], batch: usize) -> u64 {
    block_on(async {
        let mut sum = 0u64;
        for batch in keys.chunks(batch) {
            for value in session.read_many(batch).await.expect("a hit cannot fail") {
                sum = sum.wrapping_add(value.expect("every key is there"));
            }
        }
        sum
    })
}

fn writes(criterion: &mut Criterion) {
    for (size, records) in SIZES {
        let store = words(records);
        let mut session = store.session().expect("a session");
        let mut group = criterion.benchmark_group(format!("write/{size}"));
        group.throughput(Throughput::Elements(KEYS as u64));
        group.bench_function("upsert", |bencher| {
            bencher.iter_batched(
                some_keys(records),
                |keys| {
                    block_on(async {
                        for key in &keys {
                            session.upsert(key, key).await.expect("an update in place");
                        }
                    });
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function("rmw", |bencher| {
            bencher.iter_batched(
                some_keys(records),
                |keys| {
                    block_on(async {
                        for key in &keys {
                            let next =
                                |previous: Option<u64>| previous.map_or(0, |count| count ^ 1);
                            session.rmw(key, next).await.expect("an update in place");
                        }
                    });
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function("upsert_many/32", |bencher| {
            bencher.iter_batched(
                || some_keys(records)().map(|key| (key, key)),
                |pairs| {
                    block_on(async {
                        for batch in pairs.chunks(32) {
                            session.upsert_many(batch).await.expect("updates in place");
                        }
                    });
                },
                BatchSize::SmallInput,
            );
        });
    }
}

/// Appends new records: the tail moves, and the log flushes and evicts old pages.
fn appends(criterion: &mut Criterion) {
    let config = Config::default().with_memory(ByteSize::mib(64)).with_backend(Backend::Null);
    let store: FasterKv<u64, [u8]> =
        block_on(FasterKv::open("micro", config)).expect("a store in memory opens");
    let mut session = store.session().expect("a session");
    let mut value = <[u8]>::buffer(100);
    let mut index = 0;
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("100_bytes", |bencher| {
        bencher.iter(|| {
            block_on(async {
                for _ in 0..KEYS {
                    index += 1;
                    <[u8]>::stamp(&mut value, key_of(index), 1);
                    // Few keys keep the index small while the log grows.
                    session.upsert(&(index % 4096), &value[..]).await.expect("memory turns over");
                }
            });
        });
    });
}

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.bench_function("u64", |bencher| {
        bencher.iter(|| {
            let bytes = u64::encode(black_box(&42)).expect("a word has an encoding");
            u64::decode(black_box(bytes.as_ref())).expect("it was encoded above")
        });
    });
    group.bench_function("pair_of_words", |bencher| {
        bencher.iter(|| {
            let bytes = <(u64, u64)>::encode(black_box(&(1, 2))).expect("a pair has an encoding");
            <(u64, u64)>::decode(black_box(bytes.as_ref())).expect("it was encoded above")
        });
    });
    let text = "a key of the usual length";
    group.bench_function("str_view", |bencher| {
        bencher.iter(|| {
            let bytes = str::encode(black_box(text)).expect("text has an encoding");
            str::view(black_box(bytes)).expect("it was encoded above").len()
        });
    });
}

/// Measures the steps of an operation separately.
fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parts");
    let epoch = Epoch::new();
    let mut participant = epoch.register();
    group.bench_function("epoch/enter_and_leave", |bencher| {
        bencher.iter(|| participant.protected(|guard| _ = black_box(guard)));
    });
    group.bench_function("epoch/bump_and_scan", |bencher| {
        bencher.iter(|| epoch.is_drained(epoch.bump()));
    });
    for (size, records) in SIZES {
        let probe = Probe::new(records);
        let mut key = 0_u64;
        group.bench_function(BenchmarkId::new("probe", size), |bencher| {
            bencher.iter(|| {
                key = key.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                probe.find((key >> 33) % records)
            });
        });
    }
    let tail = Reserve::new();
    group.bench_function("tail/reserve_24_bytes", |bencher| bencher.iter(|| tail.reserve(24)));
    group.finish();
}

/// Measures the cost of many open sessions. A first figure is the cost of one more session. The
/// others are the cut of a checkpoint after an operation of all sessions, and after one of a single
/// session.
fn sessions(criterion: &mut Criterion) {
    let store = words(1 << 10);
    for open in [1_000, 10_000, 100_000] {
        let mut sessions: Vec<_> = (0..open).map(|_| store.session().expect("a session")).collect();
        let mut group = criterion.benchmark_group(format!("sessions/{open}"));
        group.sample_size(10);
        group.bench_function("one_more", |bencher| {
            bencher.iter(|| store.session().expect("a session"));
        });
        for (name, busy) in [("cut/all_busy", open), ("cut/one_busy", 1)] {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    (0..times).map(|_| cut(&store, &mut sessions[..busy])).sum()
                });
            });
        }
        group.finish();
    }
}

fn cut(store: &Words, busy: &mut [Session<u64, u64>]) -> Duration {
    block_on(async {
        for session in busy {
            session.upsert(&key_of(1), &1).await.expect("an update in place");
        }
        let taken = store.checkpoint().snapshot().without_index().await;
        taken.expect("memory is sound").times.cut
    })
}

criterion_group!(micro, parts, reads, writes, appends, codecs, sessions);
criterion_main!(micro);
