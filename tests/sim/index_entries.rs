//! Entries of the index of keys that were deleted.

use std::time::Duration;

use kvick::config::ByteSize;
use kvick::{Config, FasterKv};
use tests::simulated::{World, seeds};

const KEYS: u64 = 30_000;

/// Some of these keys share a prefix of the hash. The entry of such a prefix stayed when all of its
/// keys were deleted in place: 8 of 9 million entries were of no key.
#[test]
fn keys_of_one_chain_leave_no_entry() {
    seeds(2, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let config = Config::default()
                .with_memory(ByteSize::mib(4))
                .with_mutable_fraction(0.9)
                .with_index_buckets(8)
                .with_huge_pages(false);
            let store: FasterKv<u64, u64> = site.open(config).await;
            for key in 0..KEYS {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            let shared = KEYS - store.stats().index.entries;
            assert!(shared > 300, "few keys share a prefix: {shared}");
            // In no order of the log.
            for key in (0..KEYS / 2).chain((KEYS / 2..KEYS).rev()) {
                store.delete(&key).await.expect("a sound disk");
            }
            site.handle.sleep(Duration::from_secs(1)).await;
            // What is removed waits for some more.
            let left = store.stats().index.entries;
            assert!(left < 64, "entries of no key: {left}");
            store.close().await.expect("closes");
        });
    });
}
