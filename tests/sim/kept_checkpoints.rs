//! Kept checkpoints of a running store, shown in its own process.
//!
//! Invariants, and the test of each:
//! 1. A reader shows exactly the state of its checkpoint, and no read of it fails, whatever the
//!    store does meanwhile: changes in place, flushes, compaction, the removal of the checkpoint
//!    (`a_kept_checkpoint_is_shown_beside_the_work_of_the_store`).
//! 2. The files of the checkpoint stay while it is shown, and go with the next checkpoint after
//!    that (`files_stay_while_they_are_shown`).
//!
//! The negative control of the first one is `the_present_is_no_kept_checkpoint`.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::StreamExt;
use kvick::io::sim::Random;
use kvick::reader::StoreReader;
use kvick::{ErrorKind, FasterKv, Result, checkpoint};
use tests::journal::{Journal, Record};
use tests::simulated::{Site, World, seeds, two_pages};

use crate::store_readers::{JOURNALS, KEYS, Seen, look, write};

type Store = FasterKv<u64, u64>;
type Reader = StoreReader<u64, u64>;

/// What has happened in all runs.
#[derive(Debug, Default)]
struct Tally {
    shown: Cell<u32>,
    /// The checkpoint was no longer kept at the end.
    outlived: Cell<u32>,
    moved: Cell<u32>,
}

fn add(count: &Cell<u32>, more: bool) {
    count.set(count.get() + u32::from(more));
}

/// Scans with pauses.
async fn scan_slowly(site: &Site, reader: &Reader, random: &mut Random) -> Result<Seen> {
    let (sessions, mut content) = (reader.sessions(), BTreeMap::new());
    let mut scan = reader.scan();
    while let Some(pair) = scan.next().await {
        let (key, value) = pair?;
        assert_eq!(content.insert(key, value), None, "key {key} is shown once");
        if random.chance(0.02) {
            site.handle.sleep(Duration::from_micros(random.below(2000))).await;
        }
    }
    Ok(Seen { sessions, content })
}

/// The contents that are shown for a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Kept,
    /// A mistake: the keys and values of the present.
    Present,
}

/// Reads the keys and values of the present.
async fn read_present(store: &Store) -> BTreeMap<u64, u64> {
    let mut content = BTreeMap::new();
    for key in 0..KEYS {
        let value = store.read(&key).await.expect("a sound disk");
        content.extend(value.map(|value| (key, value)));
    }
    content
}

/// Shows kept checkpoints, one after the other.
async fn show(site: &Site, store: &Store, (shown, tally): (Shown, &Tally)) -> Vec<Seen> {
    let (mut random, mut seen) = (site.random(9), Vec::new());
    for _ in 0..8 {
        site.handle.sleep(Duration::from_micros(random.below(3000))).await;
        let kept = store.checkpoints();
        let Some(info) = kept.get(random.index(kept.len().max(1))) else {
            continue;
        };
        let reader = match store.at(info.token).await {
            Ok(reader) => reader,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
                continue;
            }
        };
        for _ in 0..1 + random.below(3) {
            let found = if shown == Shown::Present {
                Ok(Seen { sessions: reader.sessions(), content: read_present(store).await })
            } else if random.chance(0.5) {
                look(&reader, &mut random).await
            } else {
                scan_slowly(site, &reader, &mut random).await
            };
            seen.push(found.expect("its files stay"));
            let token = reader.checkpoint().token;
            add(&tally.shown, true);
            add(&tally.outlived, store.checkpoints().iter().all(|info| info.token != token));
            if random.chance(0.3) {
                add(&tally.moved, reader.refresh().await.expect("its files stay"));
            }
        }
    }
    seen
}

/// Shows kept checkpoints beside the work of the store. Returns what was shown, and the operations.
fn run(seed: u64, shown: (Shown, &Tally)) -> (Vec<Seen>, Vec<Record>) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let keep = 1 + u32::try_from(site.random(3).below(2)).expect("small");
        let config = site.small_config().with_checkpoint_on_close(false);
        let store = site.open::<u64, u64>(config.with_keep_checkpoints(keep)).await;
        let mut random = site.random(7);
        let mut journals = Journal::several(&store, &site, JOURNALS);
        let is_over = Cell::new(false);
        let showing = async {
            let seen = show(&site, &store, shown).await;
            is_over.set(true);
            seen
        };
        let writing = write(&store, &mut journals, &mut random, &is_over);
        let (seen, ()) = futures::join!(showing, writing);
        let records: Vec<Record> = journals.into_iter().map(Journal::end).collect();
        store.close().await.expect("closes");
        (seen, records)
    })
}

#[test]
fn a_kept_checkpoint_is_shown_beside_the_work_of_the_store() {
    let tally = Tally::default();
    let is_chosen = std::env::var_os("SEED").is_some();
    seeds(40, |seed| {
        let (seen, records) = run(seed, (Shown::Kept, &tally));
        seen.iter().for_each(|seen| seen.check(&records));
    });
    let [shown, outlived, moved] = [&tally.shown, &tally.outlived, &tally.moved].map(Cell::get);
    assert!(is_chosen || shown > 120 && outlived > 25 && moved > 9, "{tally:?}");
}

/// The negative control: the check finds contents that are not those of the checkpoint.
#[test]
fn the_present_is_no_kept_checkpoint() {
    let (shown, caught) = (Cell::new(0), Cell::new(0));
    for seed in 0..8 {
        let (seen, records) = run(seed, (Shown::Present, &Tally::default()));
        for seen in seen {
            let check = AssertUnwindSafe(|| seen.check(&records));
            add(&shown, true);
            add(&caught, catch_unwind(check).is_err());
        }
    }
    let (shown, caught) = (shown.get(), caught.get());
    assert!(shown > 10 && caught * 2 > shown, "{caught} of {shown}");
}

#[test]
fn files_stay_while_they_are_shown() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store: Store = site.open(two_pages().with_keep_checkpoints(1)).await;
            let fill = async |value: u64| {
                for key in 0..3000 {
                    store.upsert(&key, &value).await.expect("a sound disk");
                }
            };
            let files = async || {
                let names = site.disk.directory("db").list().await.expect("a sound disk");
                names.into_iter().collect::<BTreeSet<String>>()
            };
            fill(1).await;
            let first = store.checkpoint().kind(checkpoint::Kind::Snapshot).await;
            let first = first.expect("a sound disk").token;
            let needed = store.files_of(first).await.expect("a sound disk");
            let needed: BTreeSet<String> = needed.into_iter().map(|file| file.name).collect();
            let reader = store.at(first).await.expect("a sound disk");
            for value in 2..4 {
                fill(value).await;
                store.compact().await.expect("a sound disk");
                store.checkpoint().await.expect("a sound disk");
            }
            assert_eq!(store.checkpoints().len(), 1);
            assert!(needed.is_subset(&files().await), "{needed:?}");
            assert!(store.stats().space.pinned_bytes > 0);
            let again = store.at(first).await.expect_err("it is not kept any more");
            assert_eq!(again.kind(), ErrorKind::InvalidArgument, "{again}");
            for key in 0..3000 {
                assert_eq!(reader.read(&key).await.expect("its files stay"), Some(1));
            }
            drop(reader);
            store.checkpoint().await.expect("a sound disk");
            assert!(needed.is_disjoint(&files().await), "{needed:?}");
            store.close().await.expect("closes");
        });
    });
}
