//! Parts of a store that are lost, damaged or older than the rest.

use super::{Place, config};
use crate::changes::{put, refusal, some, values};
use kvick::feed::Start;
use kvick::runtime::block_on;
use kvick::{ErrorKind, log};
use std::sync::Arc;
use tests::files::Files;

/// The addresses of the lost commits are used again. A reader that went on at one of them missed
/// the changes before it.
#[test]
fn a_token_of_commits_that_a_repair_has_discarded_is_refused() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut tokens = Vec::new();
        for key in 0..60 {
            put(&store, key, &[7; 100]).await;
            if key % 20 == 10 {
                tokens.push(store.changes(Start::Now).expect("it has a log").token());
            }
        }
        store.close().await.expect("closes");
        let files = Files::of(&place.wal).await;
        let half = files.with("log.000000", |bytes| bytes.truncate(bytes.len() / 8192 * 4096));
        let place = Place { wal: half.restore().await, ..place };
        let lost = place.open(config()).await.expect_err("half of the log is lost");
        assert_eq!(lost.kind(), ErrorKind::Corrupt, "{lost}");
        let check = log::repair(Arc::new(place.wal.clone())).await.expect("repaired");
        assert!(!check.damage.is_empty(), "{check:?}");

        let store = place.open(config()).await.expect("opens");
        for key in 100..200 {
            put(&store, key, &[8; 100]).await;
        }
        for token in tokens {
            let (kind, text) = refusal(store.changes(token));
            assert_eq!(kind, ErrorKind::Truncated, "{text}");
        }
        let shown = values(&store, Start::Oldest).await.expect("kept");
        assert_eq!(shown.last(), Some(&some(199, &[8; 100])));
        let token = store.changes(Start::Now).expect("it has a log").token();
        store.close().await.expect("closes");
        // That counts once.
        let store = place.open(config()).await.expect("opens");
        assert!(values(&store, token).await.expect("of this store").is_empty());
        store.close().await.expect("closes");
    });
}
