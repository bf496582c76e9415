//! The second that decides which keys a scan shows.

use std::time::{Duration, UNIX_EPOCH};

use futures::TryStreamExt;
use kvick::FasterKv;
use kvick::codec::Expiring;
use kvick::session::Expiry;
use tests::simulated::{Site, World, two_pages};

const SECOND: u64 = 1_800_000_000;

async fn open(site: &Site) -> FasterKv<u64, Expiring<u64>> {
    let handle = site.handle.clone();
    let clock = move || UNIX_EPOCH + Duration::from_secs(SECOND) + handle.now();
    let builder = FasterKv::builder(two_pages()).runtime(site.handle.clone()).seed(site.seed);
    let builder = builder.clock(clock).directory(site.disk.directory("db"));
    builder.open_in_directory().await.expect("the store opens")
}

/// The parts took the second of their creation. A scan may have its moment much later, when a lap
/// of compaction has ended, and keys showed that had expired.
#[test]
fn all_parts_have_the_second_of_the_first() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = open(&site).await;
        for key in 0..1000 {
            let expiry = Expiry::at(UNIX_EPOCH + Duration::from_secs(SECOND + 10 + key % 3 * 10));
            store.upsert_with(&key, &key, expiry).await.expect("a sound disk");
        }
        let parts = store.scan_in_parts(3);
        site.handle.sleep(Duration::from_secs(15)).await;
        let mut found = Vec::new();
        for part in parts {
            found.extend(part.try_collect::<Vec<_>>().await.expect("a sound disk"));
            site.handle.sleep(Duration::from_secs(10)).await;
        }
        // None of a third of the keys, and all others, whenever a part is polled.
        assert!(found.iter().all(|(key, _value)| key % 3 > 0), "an expired key shows");
        assert_eq!(found.len(), 666);
        store.close().await.expect("closes");
    });
}
