//! Named iterators, beyond the restart that `logs.rs` covers.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterLog, log};

use super::open;

async fn number(iterator: &mut log::NamedIterator) -> u32 {
    let entry = iterator.next().await.expect("there").expect("sound");
    u32::from_le_bytes(*entry.payload.first_chunk().expect("a number"))
}

async fn numbers(log: &FasterLog, count: u32) -> Vec<log::Address> {
    let mut addresses = Vec::new();
    for number in 0..count {
        addresses.push(log.append(&number.to_le_bytes()).await.expect("appended"));
    }
    log.commit().await.expect("committed");
    addresses
}

#[test]
fn names_have_rules_and_one_user_at_a_time() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        for name in ["", &"x".repeat(129)] {
            let error = log.iterator(name).expect_err("no name");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("1 to 128"), "{error}");
        }
        let longest = "x".repeat(128);
        let one = log.iterator(&longest).expect("free");
        let other = log.iterator("not ASCII: \u{e9}").expect("free");
        assert_eq!((one.name(), other.name()), (&longest[..], "not ASCII: \u{e9}"));
        let error = log.iterator(&longest).expect_err("in use");
        assert!(error.kind() == ErrorKind::Busy && error.is_retryable());
        assert!(error.to_string().contains("is in use; drop it first"), "{error}");
        drop(one);
        drop(log.iterator(&longest).expect("free again"));
        // Neither iterator completed an entry, so the log has nothing to keep.
        assert_eq!(log.iterators(), BTreeMap::new());
        drop(other);
        log.close().await.expect("closes");
    });
}

#[test]
fn each_has_a_place_of_its_own_that_only_moves_up() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let at = numbers(&log, 10).await;
        let mut one = log.iterator("one").expect("free");
        let mut other = log.iterator("other").expect("free");
        assert_eq!(one.completed_until(), log.begin_address());
        assert_eq!((number(&mut one).await, number(&mut one).await), (0, 1));
        assert_eq!(number(&mut other).await, 0);
        one.complete_until(at[7]).await.expect("completed");
        one.complete_until(at[3]).await.expect("completed");
        other.complete_until(at[1]).await.expect("completed");
        assert_eq!((one.completed_until(), other.completed_until()), (at[7], at[1]));
        // The completed address does not move the position of the reader.
        assert_eq!(number(&mut one).await, 2);
        drop((one, other));
        assert_eq!(number(&mut log.iterator("one").expect("free")).await, 7);
        log.commit().await.expect("committed");
        drop(log);
        let log = open(&directory).await;
        let places = BTreeMap::from([("one".to_owned(), at[7]), ("other".to_owned(), at[1])]);
        assert_eq!(log.iterators(), places);
        assert_eq!(number(&mut log.iterator("one").expect("free")).await, 7);
        assert_eq!(number(&mut log.iterator("other").expect("free")).await, 1);
        log.close().await.expect("closes");
    });
}

#[test]
fn only_committed_places_survive() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let at = numbers(&log, 10).await;
        let worker = log.iterator("worker").expect("free");
        worker.complete_until(at[4]).await.expect("completed");
        // A commit without entries keeps the completed address, too.
        let committed = log.commit().await.expect("committed");
        assert_eq!(committed.number, 2);
        worker.complete_until(at[8]).await.expect("completed");
        let other = log.iterator("other").expect("free");
        other.complete_until(at[8]).await.expect("completed");
        drop((worker, other, log));
        let log = open(&directory).await;
        assert_eq!(log.iterators(), BTreeMap::from([("worker".to_owned(), at[4])]));
        // A forgotten iterator also stays forgotten only after a commit.
        assert!(log.forget_iterator("worker") && !log.forget_iterator("worker"));
        assert!(!log.forget_iterator("never seen"));
        assert_eq!(log.iterators(), BTreeMap::new());
        drop(log);
        let log = open(&directory).await;
        assert_eq!(log.iterators(), BTreeMap::from([("worker".to_owned(), at[4])]));
        assert!(log.forget_iterator("worker"));
        log.commit().await.expect("committed");
        drop(log);
        let log = open(&directory).await;
        assert_eq!(log.iterators(), BTreeMap::new());
        assert_eq!(number(&mut log.iterator("worker").expect("free")).await, 0);
        log.close().await.expect("closes");
    });
}

/// Uses more names than one record has room for, so that each commit carries some of them.
#[test]
fn there_may_be_many() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let at = numbers(&log, 10).await;
        let name = |number: usize| format!("{number:0>128}");
        for number in 0..40 {
            log.iterator(&name(number))
                .expect("free")
                .complete_until(at[number % 10])
                .await
                .expect("completed");
        }
        log.commit().await.expect("committed");
        drop(log);
        let log = open(&directory).await;
        assert_eq!(log.iterators().len(), 40);
        for number in 0..40 {
            assert_eq!(log.iterators()[&name(number)], at[number % 10]);
        }
        log.close().await.expect("closes");
    });
}

#[test]
fn truncation_takes_an_iterator_along() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let at = numbers(&log, 10).await;
        let mut worker = log.iterator("worker").expect("free");
        assert_eq!(number(&mut worker).await, 0);
        worker.complete_until(at[1]).await.expect("completed");
        log.truncate_until(at[6]).await.expect("truncated");
        drop(worker);
        assert_eq!(number(&mut log.iterator("worker").expect("free")).await, 6);
        log.close().await.expect("closes");
        let log = open(&directory).await;
        let mut worker = log.iterator("worker").expect("free");
        let mut left = Vec::new();
        for _ in 6..10 {
            left.push(number(&mut worker).await);
        }
        assert_eq!(left, [6, 7, 8, 9]);
        drop(worker);
        log.close().await.expect("closes");
    });
}

/// The log accepted any number as a completed address, kept it with the next commit, and used it
/// ever after. An iterator with an address after the end waited until the log had grown up to it,
/// in all later lives.
#[test]
fn a_place_that_is_no_entrys_is_refused_and_changes_nothing() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let mut log = open(&directory).await;
        let at = numbers(&log, 10).await;
        let large = log.append(&[0; 9000]).await.expect("appended");
        let last = log.append_durable(&7_u32.to_le_bytes()).await.expect("durable");
        for life in 0..2 {
            let worker = log.iterator("worker").expect("free");
            worker.complete_until(at[1]).await.expect("an entry");
            let end = log.tail_address();
            let beyond = [end.raw() + 8, 1 << 40, log::Address::MAX.raw()];
            let inside = [at[2].raw() + 1, at[2].raw() + 8, large.raw() + 8, large.raw() + 5000];
            for raw in beyond.into_iter().chain(inside).map(log::Address::new) {
                let error = worker.complete_until(raw).await.expect_err("no entry");
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
                assert!(error.to_string().contains(&format!("address {raw}")), "{error}");
            }
            assert_eq!(worker.completed_until(), at[1]);
            log.commit().await.expect("committed");
            drop(worker);
            log.close().await.expect("closes");
            log = open(&directory).await;
            assert_eq!(log.iterators()["worker"], at[1], "life {life}");
            assert_eq!(number(&mut log.iterator("worker").expect("free")).await, 1);
        }
        let worker = log.iterator("worker").expect("free");
        for address in [at[1], at[5], large, last, log.tail_address()] {
            worker.complete_until(address).await.expect("a place of an entry, or the end");
        }
        assert_eq!(worker.completed_until(), log.committed_until());
        log.close().await.expect("closes");
        let error = worker.complete_until(log.tail_address()).await.expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    });
}
