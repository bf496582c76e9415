//! Contents that are replaced by those of a backup. After a crash or a fault at any step a store
//! has the old contents or the new ones, and no file of the others.

use std::collections::BTreeMap;
use std::io;

use futures::TryStreamExt;
use kvick::config::{ByteSize, DurableBy};
use kvick::reader::StoreReader;
use kvick::{Config, Error, FasterKv, checkpoint};
use tests::polling::AtMost;
use tests::simulated::{Site, World, seeds, two_pages};

type Store = FasterKv<u64, u64>;
type Contents = BTreeMap<u64, u64>;

const KEYS: u64 = 300;
const BACKUP: &str = "backup";

fn config(has_wal: bool) -> Config {
    let config = two_pages().with_checkpoint_on_close(false).with_keep_checkpoints(2);
    if !has_wal {
        return config;
    }
    config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256))
}

async fn set(store: &Store, keys: std::ops::Range<u64>, value: u64) {
    for key in keys {
        store.upsert(&key, &value).await.expect("a sound disk");
    }
}

async fn contents(store: &Store) -> Contents {
    store.scan().try_collect().await.expect("sound")
}

/// Returns the contents of the backup: keys up to twice as many, with the value 2.
fn new_contents() -> Contents {
    (KEYS..2 * KEYS).map(|key| (key, 2)).collect()
}

/// Makes a backup. It is of the store in `db` at an earlier time, or of another store.
async fn make_backup(site: &Site, is_own: bool) {
    let to = || site.disk.directory(BACKUP);
    if is_own {
        let store: Store = site.open(config(false)).await;
        set(&store, KEYS..2 * KEYS, 2).await;
        store.backup_to_directory(to()).await.expect("a sound disk");
        store.close().await.expect("closes");
        return;
    }
    let builder = Store::builder(config(false)).runtime(site.handle.clone()).seed(77);
    let other = builder.directory(site.disk.directory("other")).open_in_directory().await;
    let other = other.expect("a sound disk");
    set(&other, KEYS..2 * KEYS, 2).await;
    let kind = checkpoint::Kind::Incremental;
    let token = other.checkpoint().kind(kind).cookie(b"two".to_vec()).await.expect("sound").token;
    other.backup_to_directory(to()).of(token).await.expect("a sound disk");
    other.close().await.expect("closes");
}

/// Makes a backup, and opens a store with checkpoints and, in its write-ahead log, later changes.
/// Returns the store, its contents, and the newest token.
async fn make(site: &Site, has_wal: bool, is_own: bool) -> (Store, Contents, checkpoint::Token) {
    make_backup(site, is_own).await;
    let store: Store = site.open(config(has_wal)).await;
    store.clear().await.expect("a sound disk");
    set(&store, 0..KEYS, 1).await;
    store.checkpoint().fold_over().await.expect("a sound disk");
    set(&store, KEYS / 2..KEYS + 20, 3).await;
    let last = store.checkpoint().with_index().await.expect("a sound disk").token;
    if has_wal {
        // In the write-ahead log alone.
        set(&store, KEYS..KEYS + 50, 4).await;
        store.sync().await.expect("a sound disk");
    }
    let contents = contents(&store).await;
    (store, contents, last)
}

fn replace(site: &Site, store: Store) -> impl Future<Output = Result<Store, Error>> {
    store.replace_contents_from(site.disk.directory(BACKUP))
}

/// Opens the store, which has the old contents or the new ones, all of them and no file of the
/// others. Returns whether they are new.
async fn check(site: &Site, has_wal: bool, old: &Contents, last: checkpoint::Token) -> bool {
    let store: Store = site.open(config(has_wal)).await;
    let found = contents(&store).await;
    let is_new = found == new_contents();
    assert!(is_new || found == *old, "{} keys: {found:?}", found.len());
    let chosen = store.recovery().and_then(|report| report.chosen).expect("it has one");
    assert!(if is_new { chosen > last } else { chosen <= last }, "{chosen} after {last}");
    let inspection = kvick::inspect(site.disk.directory("db")).await.expect("listed");
    // A power cut may tear the copy of the manifest, on which nothing depends.
    let is_sound = inspection.problems.iter().all(|problem| problem.file == "manifest.copy");
    assert!(is_sound, "{inspection}");
    let names = site.disk.directory("db").list().await.expect("a sound disk");
    let is_numbered = |name: &&String| name.starts_with('c');
    let is_device = |name: &&String| !["lock", "manifest", "manifest.copy"].contains(&&***name);
    let (numbered, devices) =
        (names.iter().filter(is_numbered).count(), names.iter().filter(is_device).count());
    assert_eq!(numbered, if is_new { devices } else { 0 }, "{names:?}");
    // A store like any other.
    set(&store, 0..10, 9).await;
    store.checkpoint().await.expect("a sound disk");
    store.close().await.expect("closes");
    let store: Store = site.open(config(has_wal)).await;
    assert_eq!(store.read(&3).await.expect("sound"), Some(9));
    store.close().await.expect("closes");
    is_new
}

#[test]
fn power_may_be_cut_at_every_step() {
    seeds(4, |seed| {
        let (has_wal, is_own) = (seed % 2 == 1, seed % 4 >= 2);
        let mut seen = [0, 0];
        for polls in 0.. {
            let world = World::new(seed);
            let site = world.site.clone();
            let (old, last, is_done) = world.simulation.run(async {
                let (store, old, last) = make(&site, has_wal, is_own).await;
                let ended = AtMost::new(polls, replace(&site, store)).await;
                let is_done = match ended {
                    Some(replaced) => {
                        let store = replaced.expect("a sound disk");
                        assert_eq!(contents(&store).await, new_contents());
                        true
                    }
                    None => false,
                };
                (old, last, is_done)
            });
            let world = World::on(seed, world.site.disk.crash(seed ^ u64::from(polls)));
            let site = world.site.clone();
            let is_new = world.simulation.run(check(&site, has_wal, &old, last));
            assert!(is_new || !is_done, "what was reported is there");
            seen[usize::from(is_new)] += 1;
            if is_done {
                break;
            }
        }
        assert!(seen[0] > 20 && seen[1] > 1, "{seen:?}");
    });
}

#[test]
fn any_operation_may_fail() {
    seeds(4, |seed| {
        let (has_wal, is_own) = (seed % 2 == 1, seed % 4 >= 2);
        let mut seen = [0, 0];
        for operation in 1..2000 {
            let world = World::new(seed);
            let site = world.site.clone();
            let (old, last, failed) = world.simulation.run(async {
                let (store, old, last) = make(&site, has_wal, is_own).await;
                site.disk.fail_at(site.disk.operations() + operation, io::ErrorKind::Other);
                let replaced = replace(&site, store).await;
                (old, last, replaced.is_err())
            });
            site.disk.heal();
            // The process ends, and the disk goes on.
            drop(world);
            let world = World::on(seed, site.disk.crash(seed ^ operation));
            let site = world.site.clone();
            let is_new = world.simulation.run(check(&site, has_wal, &old, last));
            assert!(is_new || failed, "what was reported is there");
            seen[usize::from(is_new)] += 1;
            if !failed && operation > 100 {
                break;
            }
        }
        assert!(seen[0] > 20 && seen[1] > 0, "{seen:?}");
    });
}

/// A reader that has shown the old contents moves to the new ones.
#[test]
fn a_reader_moves_to_the_new_contents() {
    for is_own in [false, true] {
        let world = World::new(1);
        let site = world.site.clone();
        world.simulation.run(async {
            let (store, old, _) = make(&site, false, is_own).await;
            let builder = StoreReader::<u64, u64>::builder(config(false).with_page_size(None));
            let builder = builder.runtime(site.handle.clone());
            let reader = builder.directory(site.disk.directory("db")).open_in_directory().await;
            let reader = reader.expect("a sound disk");
            let shown: Contents = reader.scan().try_collect().await.expect("sound");
            assert_eq!(shown, old);
            let store = replace(&site, store).await.expect("a sound disk");
            assert!(reader.refresh().await.expect("a sound disk"));
            let shown: Contents = reader.scan().try_collect().await.expect("sound");
            assert_eq!(shown, new_contents());
            // Again, and backups of replaced contents have plain files.
            let again = || site.disk.directory("again");
            store.backup_to_directory(again()).await.expect("a sound disk");
            set(&store, 0..KEYS, 5).await;
            let store = store.replace_contents_from(again()).await.expect("a sound disk");
            assert_eq!(contents(&store).await, new_contents());
            assert!(reader.refresh().await.expect("a sound disk"));
            assert_eq!(reader.count().await.expect("sound"), KEYS);
            store.close().await.expect("closes");
        });
    }
}
