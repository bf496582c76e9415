//! Random operations against a model, over the matrix of sizes, backends and runtimes.

use kvick::config::Backend;
use kvick::io::sim::Random;
use kvick::runtime::Handle;
use kvick::{Config, FasterKv, Result};
use tests::configs::{hosts_and_backends, sizes};
use tests::model::{EntryPoints, Mix, Model};
use tests::samples::{SampleKey, SampleValue};

fn on_the_matrix<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    for (host, backend) in hosts_and_backends() {
        for (number, config) in sizes().into_iter().enumerate() {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().to_owned();
            let steps = if backend == Backend::Memory { 1500 } else { 250 };
            let config = config.with_backend(backend);
            let outcome = host.run(async move |handle: Handle| {
                let store = FasterKv::<K, V>::builder(config.clone()).runtime(handle);
                work(store.open(path).await?, steps, seed).await
            });
            let case = format!("size {number}, {backend:?}, {host}, seed {seed}");
            outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
        }
    }
}

async fn work<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    steps: u32,
    seed: u64,
) -> Result<()> {
    let mix = Mix { first_key: 0, keys: 120, longest: 12_000, batches: true, flush: 0.02 };
    let mut entry_points = EntryPoints::new(&store)?;
    let mut model = Model::new(mix, Random::new(seed));
    for _ in 0..steps {
        model.step(&mut entry_points).await?;
    }
    model.check(&mut entry_points).await?;
    store.flush_and_evict().await?;
    model.check(&mut entry_points).await?;
    store.close().await
}

#[test]
fn words_under_numbers() {
    on_the_matrix::<u64, u64>(1);
}

#[test]
fn bytes_under_bytes() {
    on_the_matrix::<[u8], [u8]>(2);
}

#[test]
fn bytes_under_numbers() {
    on_the_matrix::<u64, [u8]>(3);
}

#[test]
fn words_under_texts() {
    on_the_matrix::<str, u64>(4);
}

/// Runs more seeds with stores that never wait for a disk.
#[test]
fn many_seeds_in_memory() {
    for seed in 100..115 {
        for config in sizes() {
            one_in_memory::<u64, u64>(&config, seed);
            one_in_memory::<[u8], [u8]>(&config, seed);
        }
    }
}

fn one_in_memory<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(config: &Config, seed: u64) {
    let store = tests::configs::memory_store::<K, V>(config.clone());
    let outcome = kvick::runtime::block_on(work(store, 1000, seed));
    outcome.unwrap_or_else(|error| panic!("seed {seed}, {config:?}: {error}"));
}
