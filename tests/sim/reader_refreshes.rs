//! Refreshes of readers that are dropped, that pass over damage, or cannot read the manifest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvick::io::sim::OperationKind;
use kvick::io::{BoxFuture, Device, DeviceOptions, Directory};
use kvick::reader::StoreReader;
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::anew::Anew;
use tests::polling::AtMost;
use tests::simulated::{Site, World, two_pages};

type Store = FasterKv<u64, u64>;
type Reader = StoreReader<u64, u64>;

const KEYS: u64 = 2000;

async fn open(directory: Arc<dyn Directory>, site: &Site, config: Config) -> Result<Reader> {
    let builder = Reader::builder(config.with_page_size(None)).runtime(site.handle.clone());
    builder.seed(site.seed).directory(directory).open_in_directory().await
}

async fn set_all(store: &Store, value: u64) {
    for key in 0..KEYS {
        store.upsert(&key, &value).await.expect("a sound disk");
    }
}

fn config() -> Config {
    two_pages().with_keep_checkpoints(2).with_checkpoint_on_close(false)
}

fn reads(site: &Site) -> u64 {
    site.disk.count(OperationKind::Read)
}

/// The task that loads the index ends with the refresh that waits for it.
#[test]
fn a_refresh_that_is_dropped_reads_no_more() {
    let mut dropped = 0;
    for polls in 1.. {
        let world = World::new(1);
        let site = world.site.clone();
        let is_over = world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            set_all(&store, 1).await;
            store.checkpoint().fold_over().await.expect("a sound disk");
            let reader = open(site.disk.directory("db"), &site, config()).await.expect("sound");
            set_all(&store, 2).await;
            store.checkpoint().fold_over().with_index().await.expect("a sound disk");
            let ended = AtMost::new(polls, reader.refresh()).await;
            let before = reads(&site);
            site.handle.sleep(Duration::from_secs(1)).await;
            if ended.is_none() {
                dropped += 1;
                assert_eq!(reads(&site), before, "after {polls} polls");
            }
            assert_eq!(reader.read(&7).await.expect("sound"), Some(1 + u64::from(ended.is_some())));
            assert_eq!(reader.refresh().await.expect("a sound disk"), ended.is_none());
            store.close().await.expect("closes");
            ended.is_some()
        });
        if is_over {
            break;
        }
    }
    assert!(dropped >= 8, "{dropped} refreshes were dropped");
}

/// A damaged checkpoint stays damaged: no refresh reads it again, but the next one is shown.
#[test]
fn a_checkpoint_that_was_passed_over_is_not_tried_again() {
    for opens_damaged in [false, true] {
        let world = World::new(2);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = config().with_allow_fallback(true);
            let store = site.open::<u64, u64>(config.clone()).await;
            set_all(&store, 1).await;
            let older = store.checkpoint().fold_over().await.expect("a sound disk").token;
            let open = || open(site.disk.directory("db"), &site, config.clone());
            let early = open().await.expect("a sound disk");
            set_all(&store, 2).await;
            let newer = store.checkpoint().fold_over().with_index().await.expect("sound").token;
            site.disk.corrupt(&format!("db/index-{newer}.000000"), 100, 1);
            let reader =
                if opens_damaged { open().await.expect("the older is sound") } else { early };
            if !opens_damaged {
                assert!(!reader.refresh().await.expect("the older is sound"));
            }
            assert_eq!(reader.checkpoint().token, older);
            let before = reads(&site);
            for _ in 0..3 {
                assert!(!reader.refresh().await.expect("the older is sound"));
            }
            assert_eq!(reads(&site), before, "only the manifest is read");
            set_all(&store, 3).await;
            store.checkpoint().fold_over().with_index().await.expect("a sound disk");
            assert!(reader.refresh().await.expect("the newest is sound"));
            assert_eq!(reader.read(&7).await.expect("sound"), Some(3));
            store.close().await.expect("closes");
        });
    }
}

/// A directory whose manifest cannot be read while it is blind.
#[derive(Debug)]
struct Blind {
    inner: Arc<dyn Directory>,
    is_blind: AtomicBool,
}

impl Directory for Blind {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        self.inner.open_device(name, options)
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        // One thread.
        if self.is_blind.load(Ordering::Relaxed) {
            return Box::pin(async { Err(io::Error::other("the disk does not answer")) });
        }
        self.inner.read_file(name)
    }

    kvick::io::forward_directory!(list, file_bytes, write_file, rename, remove_file, sync, lock);
    kvick::io::forward_directory!(describe);
}

/// A file is gone, and the manifest cannot tell why. That is no damage.
#[test]
fn an_unknown_cause_is_not_reported_as_damage() {
    let world = World::new(3);
    let site = world.site.clone();
    world.simulation.run(async {
        let config = config().with_keep_checkpoints(1);
        let store = site.open::<u64, u64>(config.clone()).await;
        set_all(&store, 1).await;
        store.checkpoint().fold_over().await.expect("a sound disk");
        let inner = Anew::on(site.disk.directory("db"), site.handle.clone());
        let directory = Arc::new(Blind { inner, is_blind: AtomicBool::new(false) });
        let reader = open(directory.clone(), &site, config).await.expect("a sound disk");
        set_all(&store, 2).await;
        store.compact().await.expect("a sound disk");
        store.checkpoint().fold_over().await.expect("a sound disk");
        directory.is_blind.store(true, Ordering::Relaxed);
        let error = reader.count().await.expect_err("files are gone");
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains("manifest"), "{error}");
        directory.is_blind.store(false, Ordering::Relaxed);
        let error = reader.count().await.expect_err("files are gone");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        store.close().await.expect("closes");
    });
}
