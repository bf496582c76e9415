//! Closing keeps all data. The next opening recovers it, also if the power fails right after the
//! end of `close`.

use kvick::checkpoint::Durability;
use kvick::io::sim::Survival;
use kvick::{Config, FasterKv, checkpoint};
use tests::simulated::{Site, World, seeds, two_pages};

fn config() -> Config {
    two_pages().with_keep_checkpoints(4)
}

/// The operations before a `close`. Each leaves the counters of operations as the last checkpoint
/// had them.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    /// Deletes the newest checkpoint after the store took another one.
    Deleted,
    /// Deletes all checkpoints but one.
    Pruned,
    /// Takes a newest checkpoint that survives only the end of the process.
    Weak(checkpoint::Kind),
    /// Takes a checkpoint of the index alone after such a weak one.
    WeakAndIndex,
}

const ALL: [Before; 7] = [
    Before::Nothing,
    Before::Deleted,
    Before::Pruned,
    Before::Weak(checkpoint::Kind::FoldOver),
    Before::Weak(checkpoint::Kind::Snapshot),
    Before::Weak(checkpoint::Kind::Incremental),
    Before::WeakAndIndex,
];

async fn do_before(store: &FasterKv<u64, u64>, before: Before) {
    let sound = "a sound disk";
    let weak = |kind| store.checkpoint().kind(kind).durability(Durability::ProcessCrash);
    match before {
        Before::Nothing => drop(store.checkpoint().await.expect(sound)),
        Before::Deleted => {
            let taken = store.checkpoint().snapshot().await.expect(sound);
            let refused = store.delete_checkpoint(taken.token).await.expect_err("the newest");
            assert!(refused.to_string().contains("take another one first"), "{refused}");
            weak(checkpoint::Kind::Snapshot).await.expect(sound);
            store.delete_checkpoint(taken.token).await.expect("an older one is safe");
        }
        Before::Pruned => {
            store.checkpoint().await.expect(sound);
            store.prune_checkpoints(1).await.expect(sound);
        }
        Before::Weak(kind) => drop(weak(kind).await.expect(sound)),
        Before::WeakAndIndex => {
            weak(checkpoint::Kind::FoldOver).await.expect(sound);
            store.checkpoint().index_only().await.expect(sound);
        }
    }
}

async fn assert_has_all(site: &Site, what: &str) {
    let store = site.open::<u64, u64>(config()).await;
    for key in 0..300 {
        assert_eq!(store.read(&key).await.expect("sound"), Some(2), "{what}: key {key}");
    }
    store.close().await.expect("closes");
}

/// `close` compared only the counters of operations. If the newest checkpoint was deleted or weak,
/// it took none and reported success. The next opening, or the one after a power cut, recovered an
/// older state.
#[test]
fn closing_keeps_what_was_there() {
    seeds(4, |seed| {
        for before in ALL {
            // The operations take place in the life of the changes, or in the next one.
            for reopens in [false, true] {
                let world = World::new(seed);
                let site = world.site.clone();
                world.simulation.run(async {
                    let store = site.open::<u64, u64>(config()).await;
                    for value in 1..=2 {
                        for key in 0..300 {
                            store.upsert(&key, &value).await.expect("a sound disk");
                        }
                        if value == 1 {
                            store.checkpoint().await.expect("a sound disk");
                        }
                    }
                    do_before(&store, before).await;
                    store.close().await.expect("closes");
                    if reopens {
                        let store = site.open::<u64, u64>(config()).await;
                        do_before(&store, before).await;
                        store.close().await.expect("closes");
                    }
                });
                let what = format!("{before:?}, again {reopens}");
                let image = site.disk.crash_with(seed, Survival::NOTHING);
                world.simulation.run(async { assert_has_all(&site, &what).await });
                let after = World::on(seed, image);
                let site = after.site.clone();
                after.simulation.run(async { assert_has_all(&site, &what).await });
            }
        }
    });
}

/// A forgotten session came back with the next opening, since forgetting did not count as a change.
#[test]
fn a_forgotten_session_stays_away() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            let mut session = store.session().expect("open");
            session.upsert(&1, &1).await.expect("a sound disk");
            let id = session.id();
            store.checkpoint().await.expect("a sound disk");
            store.close().await.expect("closes");
            drop(session);
            let store = site.open::<u64, u64>(config()).await;
            if store.recovered_sessions().contains_key(&id) {
                assert!(store.forget_session(id));
            }
            store.close().await.expect("closes");
            let store = site.open::<u64, u64>(config()).await;
            assert!(!store.recovered_sessions().contains_key(&id), "the session came back");
            store.close().await.expect("closes");
        });
    });
}
