//! The memory of an open store: its bounds, its parts, and its change in both directions.

use std::sync::Arc;

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::configs::memory_store;

const KEYS: u64 = 40_000;

fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::mib(1))
        .with_page_size(ByteSize::kib(16))
        .with_expected_keys(KEYS / 4)
        .with_huge_pages(false)
}

/// Asserts that the pages in memory are within the share of the frames, and all parts within the
/// budget.
fn check(store: &FasterKv<u64, u64>) {
    let stats = store.stats();
    assert!(stats.log.mutable + stats.log.read_only <= stats.memory.frames, "{stats}");
    let parts = stats.memory.index + stats.memory.frames + stats.memory.sessions;
    assert!(parts + stats.memory.buffers <= stats.memory.budget, "{stats}");
}

async fn write(store: &FasterKv<u64, u64>, keys: std::ops::Range<u64>) -> Result<()> {
    let pairs: Vec<(u64, u64)> = keys.map(|key| (key, key + 1)).collect();
    store.upsert_many(&pairs).await
}

async fn read(store: &FasterKv<u64, u64>, keys: std::ops::Range<u64>) -> Result<()> {
    let keys: Vec<u64> = keys.collect();
    let found = store.read_many(&keys).await?;
    assert!(keys.iter().zip(found).all(|(key, found)| found == Some(key + 1)));
    Ok(())
}

#[test]
fn memory_follows_the_budget_both_ways() -> Result<()> {
    let store = memory_store::<u64, u64>(config());
    block_on(async {
        write(&store, 0..KEYS / 2).await?;
        store.set_memory(ByteSize::mib(4)).await?;
        assert_eq!(store.stats().memory.budget, 4 << 20);
        write(&store, KEYS / 2..KEYS).await?;
        let in_memory = || store.stats().log.mutable + store.stats().log.read_only;
        assert!(in_memory() > 1 << 19, "more than before: {}", in_memory());
        check(&store);
        store.set_memory(ByteSize::kib(768)).await?;
        check(&store);
        assert!(in_memory() < 512 << 10, "less than before: {}", in_memory());
        read(&store, 0..KEYS).await?;
        write(&store, 0..KEYS / 2).await?;
        store.set_memory(ByteSize::mib(1)).await?;
        check(&store);
        read(&store, 0..KEYS).await?;
        store.close().await
    })
}

/// The index of a store took 12 bytes for each key, whatever the budget was: five million keys in
/// 8 MiB took 60 MiB. Now it has as many entries as its prefixes, and their number fits.
#[test]
fn any_number_of_keys_stays_within_the_budget() -> Result<()> {
    let config = config().with_memory(ByteSize::mib(2)).with_expected_keys(None);
    let store = memory_store::<u64, u64>(config);
    block_on(async {
        for round in 0..8 {
            write(&store, round * KEYS..(round + 1) * KEYS).await?;
            check(&store);
        }
        let index = store.stats().index;
        assert_eq!(index.prefixes, 1 << 17);
        assert!(index.entries > 100_000 && index.entries <= index.prefixes, "{index:?}");
        read(&store, 0..KEYS / 4).await?;
        check(&store);
        store.close().await
    })
}

#[test]
fn a_budget_has_bounds_that_its_errors_name() -> Result<()> {
    let store = memory_store::<u64, u64>(config().with_memory_max(ByteSize::mib(2)));
    block_on(async {
        write(&store, 0..KEYS).await?;
        let before = store.stats().memory;
        let floor = before.floor;
        for (memory, part) in [
            (ByteSize::new((2 << 20) + 1), "must be at most 2MiB, which was reserved"),
            (ByteSize::new(floor / 2), "must be at least "),
            (ByteSize::new(1), "an eighth, at least 32KiB, for pages"),
        ] {
            let error = store.set_memory(memory).await.expect_err("out of bounds");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(store.stats().memory.budget, before.budget, "a refusal changes nothing");
        store.set_memory(ByteSize::new(floor)).await?;
        check(&store);
        read(&store, 0..KEYS).await?;
        store.close().await?;
        let error = store.set_memory(ByteSize::mib(2)).await.expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Closed);
        Ok(())
    })
}

/// The index took 9 bytes beyond the memory for each key that it was not made for.
#[test]
fn pages_make_room_for_the_index_and_for_sessions() -> Result<()> {
    let store = memory_store::<u64, u64>(config());
    block_on(async {
        write(&store, 0..KEYS / 8).await?;
        let before = store.stats().memory;
        let sessions: Vec<_> = (0..100).map(|_| store.session()).collect::<Result<_>>()?;
        write(&store, KEYS / 8..KEYS).await?;
        // Pages follow the index a moment later.
        store.set_memory(ByteSize::mib(1)).await?;
        let after = store.stats().memory;
        assert!(after.index > before.index + (100 << 10), "{after:?}");
        assert!(after.sessions > before.sessions + (20 << 10), "{after:?}");
        let grown = after.index + after.sessions - before.index - before.sessions;
        assert!(after.frames + grown <= before.frames + (16 << 10), "{before:?} {after:?}");
        check(&store);
        drop(sessions);
        store.close().await
    })
}

/// An entry stands for its prefix, so the index of a store grows up to the prefixes of its
/// creation, whatever the budget is now. The statistics say so.
#[test]
fn a_floor_above_the_budget_tells_of_a_large_index() -> Result<()> {
    let config = config().with_memory(ByteSize::mib(16)).with_expected_keys(None);
    let store = memory_store::<u64, u64>(config);
    block_on(async {
        store.set_memory(ByteSize::mib(1)).await?;
        check(&store);
        write(&store, 0..4 * KEYS).await?;
        // Pages follow the index a moment later.
        store.set_memory(ByteSize::mib(1)).await.expect_err("below the floor");
        let memory = store.stats().memory;
        assert!(memory.index > 1 << 20 && memory.floor > memory.budget, "{memory:?}");
        read(&store, 0..4 * KEYS).await?;
        store.set_memory(ByteSize::new(memory.floor + memory.floor / 8)).await?;
        check(&store);
        store.close().await
    })
}

/// The index of the expected keys, the buffers and an eighth for pages took more than the memory.
#[test]
fn a_new_store_has_room_for_the_keys_that_it_expects() -> Result<()> {
    let mut opened = 0;
    for memory in (16..32).map(|part| ByteSize::kib(64 * part)) {
        let config = config().with_memory(memory).with_expected_keys(2 * KEYS);
        let builder =
            FasterKv::<u64, u64>::builder(config).directory(Arc::new(MemoryDirectory::new()));
        let store = match block_on(builder.open_in_directory()) {
            Ok(store) => store,
            Err(error) => {
                assert!(error.to_string().contains("for expected_keys = 80000"), "{error}");
                assert_eq!(opened, 0, "more memory is enough, too");
                continue;
            }
        };
        opened += 1;
        let full = store.stats().memory;
        assert!(full.floor <= full.budget, "{full:?}");
        block_on(async {
            write(&store, 0..2 * KEYS).await?;
            let full = store.stats().memory;
            assert!(full.floor <= full.budget, "{full:?}");
            store.close().await
        })?;
    }
    assert!((1..16).contains(&opened), "{opened} of 16 sizes");
    Ok(())
}

#[test]
fn a_store_opens_with_any_memory() -> Result<()> {
    let directory = MemoryDirectory::new();
    let open = async |memory| {
        let config = config().with_memory(memory);
        let builder = FasterKv::<u64, u64>::builder(config).directory(Arc::new(directory.clone()));
        builder.open_in_directory().await
    };
    block_on(async {
        let store = open(ByteSize::mib(1)).await?;
        write(&store, 0..KEYS).await?;
        store.set_memory(ByteSize::mib(8)).await?;
        store.close().await?;
        for memory in [ByteSize::kib(768), ByteSize::mib(16), ByteSize::mib(1)] {
            let store = open(memory).await?;
            assert_eq!(store.stats().memory.budget, memory.bytes(), "as configured");
            read(&store, 0..KEYS).await?;
            store.set_memory(memory).await?;
            check(&store);
            store.close().await?;
        }
        Ok(())
    })
}
