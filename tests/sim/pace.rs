//! Writers at full speed within a budget: rounds of compaction slow them down, and do not stop
//! them.
//!
//! Negative controls, made by hand: without the pace the longest wait is longer than a mean round;
//! it is longer than a third of it if kept pages count as free, or shorter rounds at once.

use std::time::Duration;

use kvick::Config;
use kvick::config::ByteSize;
use tests::simulated::{World, seeds};

const KEYS: u64 = 20_000;
const VALUE: [u8; 100] = [7; 100];

/// Writers used up all pages, and then stood still to the end of the round, again and again.
#[test]
fn no_writer_stands_still_for_a_round() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = Config::default().with_memory(ByteSize::mib(1));
            let config = config.with_page_size(ByteSize::kib(16)).with_keep_checkpoints(1);
            let config = config.with_segment_size(ByteSize::kib(128)).with_huge_pages(false);
            let store = site.open::<u64, [u8]>(config.with_disk(ByteSize::mib(9))).await;
            let mut random = site.random(1);
            for key in 0..KEYS {
                store.upsert(&key, &VALUE).await.expect("there is space");
            }
            // The first rounds learn how long rounds are.
            for _ in 0..3 * KEYS {
                store.upsert(&random.below(KEYS), &VALUE).await.expect("there is space");
            }
            let (begun, rounds) = (site.handle.now(), store.stats().space.rounds);
            let (mut last, mut longest) = (begun, Duration::ZERO);
            for _ in 0..6 * KEYS {
                store.upsert(&random.below(KEYS), &VALUE).await.expect("there is space");
                let now = site.handle.now();
                (last, longest) = (now, longest.max(now - last));
            }
            let rounds = u32::try_from(store.stats().space.rounds - rounds).expect("few");
            let round = (last - begun) / rounds;
            assert!(longest < round / 3, "{longest:?}; a round in {round:?}, {rounds} rounds");
            store.close().await.expect("closes");
        });
    });
}
