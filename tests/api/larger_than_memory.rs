//! A store with twenty times as much data as memory, on every backend.

use futures::stream::{self, StreamExt, TryStreamExt};
use kvick::config::{Backend, ByteSize};
use kvick::futures::TryRead;
use kvick::{Config, FasterKv, Result};
use tests::configs::hosts_and_backends;

const KEYS: u64 = 20_000;

fn config(backend: Backend) -> Config {
    Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(256))
        .with_backend(backend)
        .with_huge_pages(false)
}

fn on_every_backend(
    body: fn(FasterKv<u64, u64>) -> futures::future::BoxFuture<'static, Result<()>>,
) {
    for (host, backend) in hosts_and_backends() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        let outcome = host.run(async move |handle| {
            let store = FasterKv::builder(config(backend)).runtime(handle).open(path).await?;
            body(store.clone()).await?;
            store.close().await
        });
        outcome.unwrap_or_else(|error: kvick::Error| panic!("{backend:?}, {host}: {error}"));
    }
}

#[test]
fn everything_is_there() {
    on_every_backend(|store| Box::pin(everything(store)));
}

async fn everything(store: FasterKv<u64, u64>) -> Result<()> {
    let mut session = store.session()?;
    for key in 0..KEYS {
        session.upsert(&key, &(key * 3)).await?;
    }
    // A few thousand reads run, 64 of them at a time.
    stream::iter((0..KEYS).step_by(7))
        .map(|key| {
            let store = &store;
            async move {
                let found = store.read(&(key * 11 % KEYS)).await?;
                assert_eq!(found, Some(key * 11 % KEYS * 3));
                Ok::<_, kvick::Error>(())
            }
        })
        .buffer_unordered(64)
        .try_collect::<Vec<()>>()
        .await?;
    for first in (0..KEYS).step_by(500) {
        let keys: Vec<u64> = (first..first + 600).collect();
        let found = session.read_many(&keys).await?;
        for (key, value) in keys.iter().zip(found) {
            assert_eq!(value, (*key < KEYS).then_some(key * 3), "key {key}");
        }
    }
    Ok(())
}

#[test]
fn everything_can_change() {
    on_every_backend(|store| Box::pin(changes(store)));
}

async fn changes(store: FasterKv<u64, u64>) -> Result<()> {
    let keys: Vec<u64> = (0..KEYS / 4).collect();
    for _ in 0..2 {
        for some in keys.chunks(256) {
            store.rmw_many(some, |_, value| value.unwrap_or(0) + 1).await?;
        }
    }
    let mut session = store.session()?;
    for key in keys.iter().step_by(2) {
        session.delete(key).await?;
    }
    for some in keys.chunks(300) {
        let found = session.read_many(some).await?;
        for (key, value) in some.iter().zip(found) {
            assert_eq!(value, (key % 2 == 1).then_some(2), "key {key}");
        }
    }
    Ok(())
}

#[test]
fn some_reads_are_ready_and_some_are_not() {
    on_every_backend(|store| Box::pin(both(store)));
}

async fn both(store: FasterKv<u64, u64>) -> Result<()> {
    for key in 0..KEYS {
        store.upsert(&key, &key).await?;
    }
    let [mut ready, mut pending] = [0, 0];
    for key in (0..KEYS).rev().take(50).chain(0..50) {
        let found = match store.try_read(&key) {
            TryRead::Ready(found) => {
                ready += 1;
                found?
            }
            TryRead::Pending(read) => {
                pending += 1;
                read.await?
            }
        };
        assert_eq!(found, Some(key));
    }
    // The index takes most of so little memory.
    assert!(ready > 0 && pending >= 50, "the new in memory, the old on the device: {ready}");
    let stats = store.stats();
    assert!(stats.log.on_device > 5 * store.config().memory.bytes(), "{stats:?}");
    assert!(stats.device.bytes_stored >= stats.log.on_device, "{stats:?}");
    Ok(())
}
