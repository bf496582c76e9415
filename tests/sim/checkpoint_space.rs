//! Checkpoints on a disk that is full or stalled.

use std::time::Duration;

use kvick::checkpoint::Checkpoint;
use kvick::{Config, ErrorKind, FasterKv, Result, checkpoint};
use tests::journal::{ALL_KINDS, Journal};
use tests::simulated::{Site, World, seeds};

fn config(site: &Site) -> Config {
    site.small_config().with_checkpoint_on_close(false)
}

async fn work(journal: &mut Journal, steps: u32) -> Result<()> {
    for _ in 0..steps {
        journal.step().await?;
    }
    Ok(())
}

async fn take(store: &FasterKv<u64, u64>, kind: checkpoint::Kind) -> Result<Checkpoint> {
    store.checkpoint().kind(kind).await
}

/// Returns the files of checkpoints that the manifest does not name.
async fn debris(site: &Site) -> Vec<String> {
    let manifest = site.disk.directory("db").read_file("manifest").await.expect("there");
    let manifest = String::from_utf8(manifest).expect("text");
    let files = site.disk.files().into_iter().map(|(file, _)| file);
    files
        .filter(|file| {
            let token = file.split_once('-').and_then(|(_, rest)| rest.split('.').next());
            let is_debris = |token| !manifest.contains(&format!("token = {token}\n"));
            token.is_some_and(is_debris) || file.ends_with("manifest.new")
        })
        .collect()
}

/// A checkpoint that does not fit returns an error and leaves no file, however little space there
/// is. With more space the next one succeeds without a restart.
#[test]
fn a_checkpoint_that_does_not_fit_leaves_nothing() {
    seeds(6, |seed| {
        let mut refused = 0;
        for kind in ALL_KINDS {
            for space in [0, 300, 512, 1024, 1536, 2048, 3000, 4096, 6000, 8192, 12_000] {
                let world = World::new(seed);
                let site = world.site.clone();
                refused += world.simulation.run(without_space(site, kind, space));
            }
        }
        assert!(refused > 0, "there was always space");
    });
}

/// Takes checkpoints on a disk with `space` bytes. Returns how many were refused.
async fn without_space(site: Site, kind: checkpoint::Kind, space: u64) -> u32 {
    let store = site.open::<u64, u64>(config(&site)).await;
    let mut journal = Journal::new(&store, 0, site.random(3)).expect("open");
    work(&mut journal, 150).await.expect("a sound disk");
    let first = take(&store, checkpoint::Kind::Snapshot).await.expect("a sound disk");
    work(&mut journal, 100).await.expect("a sound disk");
    site.disk.set_capacity(Some(site.disk.bytes_used() + space));
    let mut refused = 0;
    for _ in 0..2 {
        match take(&store, kind).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{kind:?} {space}: {error}");
                assert!(error.is_retryable(), "{error}");
                assert_eq!(debris(&site).await, [""; 0], "{kind:?} in {space} bytes");
                refused += 1;
            }
        }
        journal.check(|_| false).await;
    }
    site.disk.set_capacity(None);
    // The store retries pages that a full disk refused within half a second.
    site.handle.sleep(Duration::from_secs(1)).await;
    work(&mut journal, 100).await.expect("there is space again");
    let last = take(&store, kind).await.expect("there is space again");
    assert!(last.token > first.token);
    if kind == checkpoint::Kind::IndexOnly {
        take(&store, checkpoint::Kind::FoldOver).await.expect("there is space");
    }
    assert_eq!(debris(&site).await, [""; 0]);
    let record = journal.end();
    drop(store);
    site.handle.sleep(Duration::from_secs(1)).await;
    let store = site.open::<u64, u64>(config(&site)).await;
    assert_eq!(record.check(&store).await, record.serial());
    refused
}

/// The disk stalls for a minute. Operations in memory continue during every kind of checkpoint, and
/// at each of its steps.
#[test]
fn operations_in_memory_go_on_while_the_disk_stands_still() {
    seeds(4, |seed| {
        for kind in ALL_KINDS {
            for pause in [0, 100, 500, 1000, 2000, 4000] {
                let world = World::new(seed);
                let site = world.site.clone();
                world.simulation.run(stalled(site, kind, Duration::from_micros(pause)));
            }
        }
    });
}

async fn stalled(site: Site, kind: checkpoint::Kind, pause: Duration) {
    let config = tests::simulated::small_configs()[1].clone().with_checkpoint_on_close(false);
    let store = site.open::<u64, u64>(config).await;
    let mut session = store.session().expect("open");
    for key in 0..100 {
        session.upsert(&key, &key).await.expect("a sound disk");
    }
    take(&store, checkpoint::Kind::Snapshot).await.expect("a sound disk");
    for key in 0..100 {
        session.upsert(&key, &(key + 1)).await.expect("a sound disk");
    }
    let taking = store.checkpoint().kind(kind).start().expect("free");
    site.handle.sleep(pause).await;
    site.disk.stall();
    let begun = site.handle.now();
    for round in 0..60 {
        for key in 0..100 {
            session.rmw(&key, |value| value.unwrap_or(0) + 1).await.expect("in memory");
        }
        for key in 0..100 {
            let found = session.read(&key).await.expect("in memory");
            assert_eq!(found, Some(key + 2 + round));
        }
        site.handle.sleep(Duration::from_secs(1)).await;
    }
    let stood = site.handle.now() - begun;
    // Epochs drain in milliseconds, and no other step may take time.
    assert!(stood < Duration::from_secs(61), "{stood:?}");
    site.disk.release();
    taking.await.expect("a sound disk");
    let last = take(&store, checkpoint::Kind::Incremental).await.expect("a sound disk");
    assert!(last.times.cut < Duration::from_millis(50), "{:?}", last.times);
    drop(session);
    drop(store);
}

/// A sync or a rename that fails for lack of space leaves the durable state unknown. The error must
/// not suggest a retry.
#[test]
fn poison_is_never_called_retryable() {
    seeds(1, |seed| {
        for number in 0..60 {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config(&site)).await;
                store.upsert(&1, &1).await.expect("a sound disk");
                let at = site.disk.operations() + number;
                site.disk.fail_at(at, std::io::ErrorKind::StorageFull);
                let Err(error) = store.checkpoint().snapshot().await else { return };
                site.handle.sleep(Duration::from_secs(1)).await;
                let again = store.checkpoint().snapshot().await;
                assert!(!error.is_retryable() || again.is_ok(), "operation {number}: {error}");
            });
        }
    });
}
