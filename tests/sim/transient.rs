//! The system refuses one operation of an opening. The opening gives up no data for that, with any
//! settings. The store opens with all data, or fails, and the next opening has all data.

use std::io;

use kvick::checkpoint::Durability;
use kvick::io::sim::{SimDisk, Survival};
use kvick::{Config, ErrorKind, checkpoint};
use tests::crowd::{CROWD, pass_through};
use tests::simulated::{Site, World, seeds, two_pages};

/// A number that exceeds the operations of an opening.
const OPERATIONS: u64 = 200;
/// The errors of the system, in turn.
const KINDS: [io::ErrorKind; 3] =
    [io::ErrorKind::Other, io::ErrorKind::OutOfMemory, io::ErrorKind::StorageFull];
const KEYS: u64 = 400;

/// The newest checkpoint, and the permission for an opening to fall back.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: checkpoint::Kind,
    durability: Durability,
    allow_fallback: bool,
}

impl Case {
    fn config(self) -> Config {
        let config = two_pages().with_checkpoint_on_close(false).with_keep_checkpoints(4);
        config.with_allow_fallback(self.allow_fallback)
    }
}

fn cases() -> Vec<Case> {
    use checkpoint::Kind::{FoldOver, Incremental, Snapshot};
    let mut cases = Vec::new();
    for kind in [FoldOver, Snapshot, Incremental] {
        for durability in [Durability::PowerCut, Durability::ProcessCrash] {
            for allow_fallback in [false, true] {
                cases.push(Case { kind, durability, allow_fallback });
            }
        }
    }
    cases
}

async fn fill(site: &Site, case: Case) -> checkpoint::Token {
    let store = site.open::<u64, u64>(case.config()).await;
    let mut newest = None;
    for value in 1..=3 {
        for key in 0..KEYS {
            store.upsert(&key, &value).await.expect("a sound disk");
        }
        pass_through(&store, CROWD, KEYS).await.expect("a sound disk");
        // Each checkpoint has its own files, so the one before cannot pass for the newest.
        let durability = if value == 3 { case.durability } else { Durability::PowerCut };
        let kind = if value == 1 { checkpoint::Kind::Snapshot } else { case.kind };
        let taken = store.checkpoint().kind(kind).durability(durability).await;
        newest = Some(taken.expect("a sound disk").token);
    }
    store.close().await.expect("closes");
    newest.expect("three were taken")
}

/// Opens the store with one failure, and again without. Returns whether the failure came before the
/// end.
async fn opened_in_spite_of(
    site: &Site,
    case: Case,
    (number, kind): (u64, io::ErrorKind),
    newest: checkpoint::Token,
) -> bool {
    site.disk.fail_at(number, kind);
    let what = format!("{case:?}, {kind:?} at operation {number}");
    let first = site.try_open::<u64, u64>(case.config()).await;
    site.disk.heal();
    let was_met = first.is_err() || site.disk.operations() > number;
    let store = match first {
        Ok(store) => store,
        Err(error) => {
            let is_reported = matches!(
                error.kind(),
                ErrorKind::Io | ErrorKind::StorageFull | ErrorKind::Unavailable
            );
            assert!(is_reported, "{what}: {error}");
            let second = site.try_open::<u64, u64>(case.config()).await;
            second.unwrap_or_else(|error| panic!("{what}, then {error}"))
        }
    };
    let report = store.recovery().expect("there was a store");
    assert_eq!(report.chosen, Some(newest), "{what}: {report:?}");
    assert!(report.rejected.is_empty(), "{what}: {report:?}");
    assert_eq!(report.sessions.len(), 3 * CROWD, "{what}");
    for key in 0..KEYS {
        let found = store.read(&key).await.expect("a sound disk");
        assert_eq!(found, Some(3), "{what}: key {key}");
    }
    store.close().await.expect("closes");
    was_met
}

/// A process that was short of descriptors for a moment took the error for damage of the newest
/// checkpoint. It fell back to the one before, deleted the files of the newest, and truncated the
/// log that only the newest needed. For a checkpoint weaker than a power cut no setting was needed.
#[test]
fn no_checkpoint_is_given_up_for_a_failure_of_the_system() {
    seeds(1, |seed| {
        for (first, case) in cases().into_iter().enumerate() {
            let world = World::new(seed);
            let site = world.site.clone();
            let newest = world.simulation.run(async { fill(&site, case).await });
            let met = (0..OPERATIONS).zip(KINDS.into_iter().cycle().skip(first));
            let met = met.take_while(|failure| {
                let world = World::on(seed, site.disk.crash_with(seed, Survival::EVERYTHING));
                let site = world.site.clone();
                let opened = opened_in_spite_of(&site, case, *failure, newest);
                world.simulation.run(opened)
            });
            let count = met.count();
            assert!((5..200).contains(&count), "{count} operations to open");
        }
    });
}

/// A rejected checkpoint is evidence: its files stay until the end of the next opening.
#[test]
fn a_rejected_checkpoint_stays_until_the_next_opening() {
    seeds(3, |seed| {
        let case = Case {
            kind: checkpoint::Kind::Snapshot,
            durability: Durability::PowerCut,
            allow_fallback: true,
        };
        let world = World::new(seed);
        let site = world.site.clone();
        let newest = world.simulation.run(async { fill(&site, case).await });
        let part = format!("db/part-{newest}.000000");
        let has_part = |disk: &SimDisk| disk.files().iter().any(|(file, _)| *file == part);
        site.disk.corrupt(&part, 100, 1);
        let life = async |value: u64| {
            let store = site.open::<u64, u64>(case.config()).await;
            let rejected = store.recovery().expect("there was a store").rejected.len();
            store.upsert(&1, &value).await.expect("a sound disk");
            store.checkpoint().await.expect("a sound disk");
            let has_part = has_part(&site.disk);
            store.close().await.expect("closes");
            (rejected, has_part)
        };
        let lives = world.simulation.run(async { [life(7).await, life(8).await] });
        assert_eq!(lives, [(1, true), (0, false)]);
    });
}
