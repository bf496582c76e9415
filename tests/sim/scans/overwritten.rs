//! Scans of a store larger than its memory, beside writers that never pause.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::pin::pin;

use futures::TryStreamExt;
use futures::future::{Either, select};
use kvick::config::ByteSize;
use kvick::{Config, FasterKv};
use tests::simulated::{Site, World};

const KEYS: u64 = 20_000;
/// The number of times that all keys are overwritten before the writer gives up.
const MOST: u64 = 30;

async fn filled(site: &Site) -> FasterKv<u64, [u8]> {
    let page = ByteSize::kib(16);
    let config = Config::default().with_memory(ByteSize::mib(1)).with_page_size(page);
    let store = site.open::<u64, [u8]>(config.with_huge_pages(false)).await;
    for key in 0..KEYS {
        store.upsert(&key, &[1; 100]).await.expect("a sound disk");
    }
    store
}

/// Each stretch of the scan walked down along the log that had grown since its beginning. It grew
/// faster, so the scan came to no end.
#[test]
fn a_scan_ends_beside_a_writer_that_never_pauses() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = filled(&site).await;
        let written = Cell::new(0);
        let mut random = site.random(2);
        let writer = async {
            while written.get() < MOST * KEYS {
                let key = random.below(KEYS);
                store.upsert(&key, &[2; 100]).await.expect("a sound disk");
                written.set(written.get() + 1);
            }
        };
        let scanner = async {
            let (mut scan, mut first) = (store.scan(), None);
            let mut keys = vec![false; 20_000];
            while let Some((key, _value)) = scan.try_next().await.expect("the scan goes on") {
                first.get_or_insert(written.get());
                let place = usize::try_from(key).expect("small");
                assert!(!std::mem::replace(&mut keys[place], true), "{key} comes twice");
            }
            assert!(keys.iter().all(|shown| *shown), "a key is missed");
            written.get() - first.expect("there are keys")
        };
        match select(pin!(scanner), pin!(writer)).await {
            Either::Left((during, _)) => assert!(during > KEYS, "the writer has {during} writes"),
            Either::Right(((), _)) => panic!("the scan does not end"),
        }
        store.close().await.expect("closes");
    });
}

/// Each time the scan gathered the first old keys, and its cursor stayed before them for a MiB of
/// the log. So a client that takes some keys at a time saw the same ones for ever.
#[test]
fn a_client_that_asks_for_more_later_gets_further() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = filled(&site).await;
        let mut random = site.random(2);
        for _ in 0..KEYS {
            store.upsert(&random.below(KEYS), &[2; 100]).await.expect("a sound disk");
        }
        let (mut scan, mut keys) = (store.scan(), BTreeSet::new());
        let mut pages = 0;
        let mut is_over = false;
        while !is_over {
            for _ in 0..1000 {
                match scan.try_next().await.expect("a sound disk") {
                    Some((key, _value)) => _ = keys.insert(key),
                    None => is_over = true,
                }
            }
            pages += 1;
            assert!(pages < 200, "{} of {KEYS} keys", keys.len());
            let cursor = scan.cursor();
            drop(scan);
            scan = store.scan_from(cursor).expect("the same opening");
        }
        assert_eq!(keys.len() as u64, KEYS);
        store.close().await.expect("closes");
    });
}
