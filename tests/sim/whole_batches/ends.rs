//! Batches whose future is dropped, or whose runtime ends, after any number of polls.

use super::{Mode, Store, batch_of, check, number_of, open};
use kvick::Session;
use kvick::config::{ByteSize, DurableBy};
use kvick::{Config, ErrorKind, FasterKv};
use std::cell::Cell;
use tests::mortal::{Death, Mortal};
use tests::polling::AtMost;
use tests::simulated::{Site, World, after_each_number_of_polls, seeds, two_pages};

/// The longest values that a batch here has: all of its records nearly fill half a page.
const LONG: usize = 450;

fn config(is_logged: bool) -> Config {
    let config = two_pages().with_checkpoint_on_close(false);
    if !is_logged {
        return config;
    }
    let config = config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256));
    config.with_commit_every(None)
}

/// The keys of the batches, and another one.
const KEYS: [u64; 5] = [1, 2, 3, 4, 5];

async fn values(store: &Store) -> Vec<Option<u8>> {
    let values = store.read_many(&KEYS).await.expect("a sound disk");
    values.into_iter().map(|value| value.map(|value| value[0])).collect()
}

async fn write(session: &mut Session<u64, [u8]>, number: u8) -> kvick::Result<()> {
    let changes: Vec<_> = KEYS[..4].iter().map(|key| (*key, Some(vec![number; LONG]))).collect();
    session.write_batch(&batch_of(&changes), &[number]).await
}

/// A dropped batch has happened with its offset, or not. Nothing of it comes after later
/// operations of its session.
#[test]
fn a_dropped_batch_has_happened_or_not() {
    seeds(8, |seed| {
        let is_logged = seed.is_multiple_of(2);
        let waited = Cell::new(false);
        after_each_number_of_polls(seed, 1..400, async |site, polls| {
            let store: Store = site.open(config(is_logged)).await;
            let mut session = store.session_named("input").expect("new");
            for number in 1..=4 {
                write(&mut session, number).await.expect("a sound disk");
            }
            let ended = AtMost::new(polls, write(&mut session, 5)).await;
            let last = session.offset().expect("set").bytes[0];
            assert_eq!(ended.is_some(), last == 5, "dropped after {polls} polls: {last}");
            waited.set(waited.get() | ended.is_none());
            assert_eq!(session.serial(), 4 * u64::from(last));
            let expected = vec![Some(last); 4];
            assert_eq!(values(&store).await, [expected.clone(), vec![None]].concat());
            session.upsert(&1, &[9]).await.expect("a sound disk");
            session.upsert(&5, &[9]).await.expect("a sound disk");
            store.flush_and_evict().await.expect("a sound disk");
            let later = [vec![Some(9)], expected[1..].to_vec(), vec![Some(9)]].concat();
            assert_eq!(values(&store).await, later);
            drop(session);
            if is_logged {
                store.close().await.expect("closes");
                let store: Store = site.open(config(true)).await;
                assert_eq!(values(&store).await, later, "as the log has it");
                let session = store.session_named("input").expect("it waits");
                assert_eq!(session.offset().expect("set").bytes, [last]);
                drop(session);
                store.close().await.expect("closes");
            } else {
                store.close().await.expect("closes");
            }
            ended.is_some_and(|ended| ended.is_ok())
        });
        assert!(waited.get(), "each batch was ready at once");
    });
}

/// Writes batches until the runtime of the store has ended, and looks at the disk.
fn end_after(seed: u64, polls: u64, mode: Mode) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let runtime = Mortal::new(site.handle.clone(), polls, Death::Drops);
        let store = FasterKv::builder(super::config(&site, mode))
            .runtime(runtime.handle())
            .directory(site.disk.directory("db"))
            .seed(seed);
        let wal = site.disk.directory("wal");
        let store = if mode.is_logged { store.wal_directory(wal) } else { store };
        let Ok(store) = store.open_in_directory().await else { return };
        if let Ok(mut session) = store.session_named("0") {
            let from = number_of(&session);
            for number in from + 1.. {
                let batch = batch_of(&super::changes(seed, 0, number));
                let offset = number.to_le_bytes();
                if let Err(error) = session.write_batch(&batch, &offset).await {
                    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
                    assert_eq!(number_of(&session), number - 1, "a refused batch has happened");
                    break;
                }
                if number.is_multiple_of(5) {
                    drop(store.checkpoint().await);
                }
            }
        }
        store.close().await.expect_err("nothing was saved");
    });
    check_after(seed, &site, mode);
}

fn check_after(seed: u64, site: &Site, mode: Mode) {
    let world = World::on(seed, site.disk.crash(seed));
    let site = world.site.clone();
    world.simulation.run(async {
        let store = open(&site, mode).await;
        check(&store, seed, &super::Promises::new()).await;
        store.close().await.expect("a sound disk");
    });
}

#[test]
fn a_runtime_that_ends_leaves_no_part_of_a_batch() {
    for is_logged in [true, false] {
        let mode = Mode { is_logged, is_single: false };
        for polls in 0..300 {
            end_after(polls % 5, 7 * polls, mode);
        }
    }
}
