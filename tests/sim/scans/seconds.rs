//! The second that decides which keys a scan shows.

use std::time::{Duration, UNIX_EPOCH};

use futures::{FutureExt, StreamExt, TryStreamExt};
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

fn at(second: u64) -> Expiry {
    Expiry::at(UNIX_EPOCH + Duration::from_secs(SECOND + second))
}

/// The parts took the second in which the first was polled. A key that was renewed between the
/// moment and that second was in no part, although it never was absent. A whole scan has the second
/// of its moment, too.
#[test]
fn scans_have_the_second_of_their_moment() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = open(&site).await;
        for key in 0..1000 {
            store.upsert_with(&key, &key, at(10 + key % 3 * 10)).await.expect("a sound disk");
        }
        // A third of the keys has expired at the moment.
        site.handle.sleep(Duration::from_secs(15)).await;
        let mut whole = store.scan();
        assert!(whole.next().now_or_never().is_none(), "it waits for its moment");
        let parts = store.scan_in_parts(3);
        site.handle.sleep(Duration::from_secs(4)).await;
        for key in (0..1000).filter(|key| key % 3 == 1) {
            assert!(store.set_expiry(&key, at(100)).await.expect("a sound disk"));
        }
        site.handle.sleep(Duration::from_secs(6)).await;
        let mut found = Vec::new();
        for part in parts {
            found.extend(part.try_collect::<Vec<_>>().await.expect("a sound disk"));
            site.handle.sleep(Duration::from_secs(10)).await;
        }
        // The others show, whenever a part is polled.
        let whole: Vec<_> = whole.try_collect().await.expect("a sound disk");
        assert_eq!(whole.len(), 666, "a whole scan");
        assert!(whole.iter().all(|(key, _value)| key % 3 > 0), "an expired key shows");
        assert!(found.iter().all(|(key, _value)| key % 3 > 0), "an expired key shows");
        assert_eq!(found.len(), 666);
        store.close().await.expect("closes");
    });
}
