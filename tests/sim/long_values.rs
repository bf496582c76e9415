//! Values in pieces, while the log below them goes.
//!
//! Invariants, and the test of each:
//! 1. Compaction copies a piece once, however often the list of its value changes meanwhile
//!    (`a_renewed_value_is_copied_once`).

use std::time::{Duration, UNIX_EPOCH};

use kvick::codec::Expiring;
use kvick::config::ByteSize;
use kvick::session::Expiry;
use kvick::FasterKv;
use tests::simulated::{Site, World, seeds, two_pages};

/// Many pieces, in pages of 4 KiB.
const LONG: usize = 200 << 10;

fn far(seconds: u64) -> Expiry {
    Expiry::at(UNIX_EPOCH + Duration::from_secs(2_000_000_000 + seconds))
}

async fn open(site: &Site) -> FasterKv<u64, Expiring<[u8]>> {
    let clock = {
        let handle = site.handle.clone();
        move || UNIX_EPOCH + Duration::from_secs(1_800_000_000) + handle.now()
    };
    let builder = FasterKv::builder(two_pages().with_memory(ByteSize::kib(128)));
    let builder = builder.runtime(site.handle.clone()).clock(clock).seed(site.seed);
    let builder = builder.directory(site.disk.directory("db"));
    builder.open_in_directory().await.expect("the store opens")
}

/// A task renews the expiry of a value as often as it can. Each renewal made compaction copy all
/// pieces again, so it ended only when the renewals did.
#[test]
fn a_renewed_value_is_copied_once() {
    seeds(4, |seed| {
        for in_place in [false, true] {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async move {
                let store = open(&site).await;
                store.upsert_with(&1, &vec![7; LONG], far(0)).await.expect("a sound disk");
                store.upsert_with(&2, &[8; 100], far(0)).await.expect("a sound disk");
                let renewals = {
                    let (store, handle) = (store.clone(), site.handle.clone());
                    site.handle.spawn("renewals", async move {
                        for number in 1..2000 {
                            // The same expiry changes nothing.
                            let expiry = far(if in_place { 0 } else { number });
                            assert!(store.set_expiry(&1, expiry).await.expect("a sound disk"));
                            handle.sleep(Duration::from_micros(50)).await;
                        }
                    })
                };
                let compacted = store.compact().await.expect("a sound disk");
                let copied = compacted.copied_bytes;
                assert!(copied < 2 * LONG as u64, "{copied} bytes of {LONG}");
                renewals.await.expect("the task ends well");
                let found = store.read(&1).await.expect("a sound disk");
                assert!(found.is_some_and(|value| value == vec![7; LONG]));
                store.close().await.expect("closes");
            });
        }
    });
}
