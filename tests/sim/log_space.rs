//! A disk that is full under a log: who waits for it is told, readers go on, and all is well once
//! there is space.

use std::time::Duration;

use kvick::ErrorKind;
use tests::simulated::{World, seeds};

use crate::log_excuses::Excuses;
use crate::log_work::{Ending, Scene};

#[test]
fn a_full_disk_stops_a_log_until_there_is_space() {
    let full = std::cell::Cell::new(0);
    seeds(300, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        full.set(
            full.get()
                + world.simulation.run(async {
                    let log = site.open_log(site.small_log_config()).await;
                    let excuses = Excuses::faulty();
                    let scene = Scene::new(site.clone(), log.clone(), excuses.clone());
                    let space = 2048 + site.random(5).below(40_000);
                    site.disk.set_capacity(Some(space));
                    scene.work(Ending::Open, false).await;
                    assert_eq!(excuses.cause(), None, "a full disk poisons nobody");
                    site.disk.set_capacity(None);
                    let (begun, end) = (site.handle.now(), log.end());
                    let commit = loop {
                        match log.commit().await {
                            Ok(commit) => break commit,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}")
                            }
                        }
                        let waited = site.handle.now() - begun;
                        assert!(waited < Duration::from_secs(2), "still full after {waited:?}");
                        site.handle.sleep(Duration::from_millis(50)).await;
                    };
                    // Everything that was appended is there, also what met the full disk.
                    assert!(commit.until >= end);
                    let again = scene.again(Excuses::default());
                    again.work(Ending::Closed, false).await;
                    let (ledger, known) = (scene.ledger.lock().clone(), scene.known.lock().clone());
                    let log = site.open_log(site.small_log_config()).await;
                    ledger.verify(&log, &known).await;
                    log.close().await.expect("a sound disk");
                    excuses.full()
                }),
        );
    });
    println!("{} times somebody was told that the disk is full", full.get());
    assert!(full.get() > 0, "there was always space");
}
