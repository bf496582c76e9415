//! Scans beside the rounds that a space ratio wants. There is always a scan in progress, and no
//! writer waits for space.
//!
//! Invariants, and the test of each:
//! 1. Scans that overlap all the time do not keep rounds off (`scans_that_overlap_let_rounds_in`).
//! 2. A scan that is leaked does so for a while only (`a_leaked_scan_lets_rounds_in`).
//! 3. A task that begins a scan within a scan does not wait for itself
//!    (`a_task_scans_while_a_round_is_due`).

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::{Either, join_all, select};
use kvick::FasterKv;
use kvick::config::ByteSize;
use tests::simulated::{Site, World, two_pages};

use super::pressed::scan_slowly;

const KEYS: u64 = 300;
const VALUE: [u8; 200] = [7; 200];

/// Runs `test` with a store of 300 keys, some of which are overwritten each second, with a space
/// ratio of 2.
fn run(seed: u64, test: impl AsyncFn(&Site, &FasterKv<u64, [u8]>)) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let config = two_pages().with_segment_size(ByteSize::kib(8)).with_keep_checkpoints(1);
        let store = site.open::<u64, [u8]>(config.with_space_ratio(2.0)).await;
        let writer = async {
            for key in 0.. {
                store.upsert(&(key % KEYS), &VALUE).await.expect("a sound disk");
                if key > KEYS && key % 50 == 0 {
                    site.handle.sleep(Duration::from_secs(1)).await;
                }
            }
        };
        select(pin!(test(&site, &store)), pin!(writer)).await;
        store.close().await.expect("closes");
    });
}

/// Scans one after the other, from `begin` on, with a pause after each key.
async fn scan_often(site: &Site, store: &FasterKv<u64, [u8]>, [begin, pause]: [Duration; 2]) {
    site.handle.sleep(begin).await;
    loop {
        scan_slowly(site, store, pause).await;
    }
}

/// Returns the rounds in twenty minutes beside `scanners`.
async fn rounds_beside(
    (site, store): (&Site, &FasterKv<u64, [u8]>),
    scanners: impl Iterator<Item = impl Future<Output = ()>>,
) -> u64 {
    let before = store.stats().space.rounds;
    let time = pin!(site.handle.sleep(Duration::from_mins(20)));
    match select(time, pin!(join_all(scanners))).await {
        Either::Left(((), _)) => store.stats().space.rounds - before,
        Either::Right(_) => unreachable!("they go on"),
    }
}

#[test]
fn scans_that_overlap_let_rounds_in() {
    // Of 12 seconds, and of 2 minutes.
    for times in [[4_000, 40], [40_000, 400]] {
        let [apart, pause] = times.map(Duration::from_millis);
        run(1, async |site, store| {
            let scanners = (0..3).map(|number| scan_often(site, store, [apart * number, pause]));
            let rounds = rounds_beside((site, store), scanners).await;
            assert!(rounds > 5, "{rounds} rounds with pauses of {pause:?}");
            let used = store.stats().space.used_bytes;
            assert!(used < 2 << 20, "{used} bytes");
        });
    }
}

#[test]
fn a_leaked_scan_lets_rounds_in() {
    run(2, async |site, store| {
        let second = Duration::from_secs(1);
        let mut scan = store.scan();
        assert!(scan.try_next().await.expect("a sound disk").is_some());
        std::mem::forget(scan);
        let others =
            (0..2).map(|number| scan_often(site, store, [6 * second * number, second / 20]));
        let rounds = rounds_beside((site, store), others).await;
        assert!(rounds > 5, "{rounds} rounds");
    });
}

#[test]
fn a_task_scans_while_a_round_is_due() {
    run(3, async |site, store| {
        let other = scan_often(site, store, [Duration::ZERO, Duration::from_millis(300)]);
        let own = async {
            site.handle.sleep(Duration::from_secs(10)).await;
            let begun = site.handle.now();
            let (mut scan, mut keys) = (store.scan(), 0);
            while scan.try_next().await.expect("the scan goes on").is_some() {
                keys += 1;
                if keys % 10 == 0 {
                    let begun = site.handle.now();
                    assert_eq!(store.count().await.expect("a sound disk"), KEYS);
                    let waited = site.handle.now() - begun;
                    assert!(waited < Duration::from_secs(12), "{waited:?} at key {keys}");
                }
            }
            let waited = site.handle.now() - begun;
            assert!(waited < Duration::from_mins(3), "{waited:?}");
        };
        select(pin!(own), pin!(other)).await;
    });
}
