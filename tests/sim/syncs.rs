//! A sync that fails once. The kernel reports the failure once, perhaps after the waiting task is
//! gone.

use std::time::Duration;

use futures::future::{Either, select};
use kvick::checkpoint::Checkpoint;
use kvick::io::sim::{OperationKind, Survival};
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::simulated::{Site, World, seeds, two_pages};

const KEYS: u64 = 300;

fn config() -> Config {
    two_pages().with_checkpoint_on_close(false)
}

/// Waits for a flush until its sync has begun, and drops it then, as a timeout does.
async fn drop_a_flush(site: &Site, store: &FasterKv<u64, u64>, evict: bool) {
    let syncs = site.disk.count(OperationKind::Sync);
    let flush = async { if evict { store.flush_and_evict().await } else { store.flush().await } };
    let mut flush = std::pin::pin!(flush);
    while site.disk.count(OperationKind::Sync) == syncs {
        let tick = std::pin::pin!(site.handle.sleep(Duration::from_micros(5)));
        if let Either::Left(_) = select(flush.as_mut(), tick).await {
            return;
        }
    }
}

/// Drops a flush whose sync fails if `fault` is set. Returns the result of the next checkpoint, and
/// the disk after a power cut.
fn checkpoint_after(seed: u64, evict: bool, fault: bool) -> (Result<Checkpoint>, World) {
    let world = World::new(seed);
    let site = world.site.clone();
    let taken = world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        for key in 0..KEYS {
            store.upsert(&key, &(key + 1)).await.expect("a sound disk");
        }
        site.disk.fail_syncs(fault);
        drop_a_flush(&site, &store, evict).await;
        site.handle.sleep(Duration::from_millis(20)).await;
        site.disk.heal();
        let taken = store.checkpoint().await;
        std::mem::forget(store);
        taken
    });
    (taken, World::on(seed, site.disk.crash_with(seed, Survival::NOTHING)))
}

/// The future of the caller made the sync of a flush. If the caller dropped it, no task got the
/// failure. The next sync succeeded and proved nothing: an acknowledged checkpoint was damaged
/// after a power cut.
#[test]
fn a_flush_that_is_given_up_hides_no_failure() {
    seeds(40, |seed| {
        for evict in [false, true] {
            let (taken, _) = checkpoint_after(seed, evict, true);
            let error = taken.expect_err("it is unknown what is durable");
            assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
            assert!(error.to_string().contains("simulated fault"), "{error}");
            let (taken, after) = checkpoint_after(seed, evict, false);
            taken.expect("a sound disk");
            let site = after.site.clone();
            after.simulation.run(async {
                let store = site.open::<u64, u64>(config()).await;
                for key in 0..KEYS {
                    assert_eq!(store.read(&key).await.expect("sound"), Some(key + 1));
                }
                store.close().await.expect("closes");
            });
        }
    });
}
