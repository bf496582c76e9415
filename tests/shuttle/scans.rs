//! Scans beside a writer and a snapshot, which freeze memory at the same time.

use std::collections::BTreeMap;
use std::future::IntoFuture;

use futures::TryStreamExt;
use shuttle::future::block_on;
use tests::samples::SampleValue;

use crate::{many_schedules, open};

/// A session counts two keys in turn. Scans and a snapshot freeze memory at the same time. Every
/// scan shows counts of one instant, and no count is lost.
fn scans_show_one_instant<V: SampleValue + ?Sized>() {
    many_schedules(|| {
        let store = block_on(open::<u64, V>());
        let mut session = store.session().expect("open");
        let counter = shuttle::thread::spawn(move || {
            block_on(async {
                for key in [1, 2, 1, 2, 1, 2] {
                    session.rmw(&key, V::counted).await.expect("sound memory");
                }
            });
            session
        });
        let scanning = store.clone();
        let scanner = shuttle::thread::spawn(move || {
            block_on(async {
                for _ in 0..2 {
                    let found = scanning.scan().try_collect::<BTreeMap<_, _>>().await;
                    let found = found.expect("sound memory");
                    let [first, second] = [1, 2].map(|key| found.get(&key).map_or(0, V::count));
                    assert!(second <= first && first <= second + 1, "{first}, {second}");
                }
            });
        });
        let taken = block_on(store.checkpoint().snapshot().without_index().into_future());
        taken.expect("sound memory");
        let session = counter.join().expect("no panic");
        scanner.join().expect("no panic");
        for key in [1, 2] {
            let found = block_on(store.read(&key)).expect("sound memory");
            assert_eq!(found.as_ref().map(V::count), Some(3));
        }
        drop(session);
        block_on(store.close()).expect("closes");
    });
}

#[test]
fn scans_of_words_show_one_instant() {
    scans_show_one_instant::<u64>();
}

#[test]
fn scans_of_bytes_show_one_instant() {
    scans_show_one_instant::<[u8]>();
}
