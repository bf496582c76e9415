//! Checkpoints and recovery, for each kind of checkpoint.

use std::sync::Arc;

use futures::StreamExt;
use kvick::checkpoint::Durability;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, Key, Result, Value, checkpoint, session};
use tests::configs::many_pages;

fn config() -> Config {
    many_pages().with_checkpoint_on_close(false)
}

async fn open<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &MemoryDirectory,
    config: Config,
) -> Result<FasterKv<K, V>> {
    FasterKv::builder(config).directory(Arc::new(directory.clone())).open_in_directory().await
}

const KINDS: [checkpoint::Kind; 4] = [
    checkpoint::Kind::Auto,
    checkpoint::Kind::FoldOver,
    checkpoint::Kind::Snapshot,
    checkpoint::Kind::Incremental,
];

/// Checks each sequence of three kinds: recovery always finds the state of the last checkpoint.
#[test]
fn checkpoints_of_every_kind_follow_each_other() {
    for first in KINDS {
        for second in KINDS {
            for third in KINDS {
                block_on(follow([first, second, third])).expect("memory");
            }
        }
    }
}

async fn follow(kinds: [checkpoint::Kind; 3]) -> Result<()> {
    let directory = MemoryDirectory::new();
    let mut round = 0_u64;
    for life in 0..2 {
        for kind in kinds {
            let store: FasterKv<u64, u64> = open(&directory, config()).await?;
            // The store has the state of its last checkpoint, and no later change.
            for key in 0..400 {
                let expected = (round > 0).then(|| expected(key, round));
                assert_eq!(store.read(&key).await?, expected, "{kinds:?} {round} {life} {key}");
            }
            round += 1;
            for key in 0..400 {
                if round == 1 || key % 7 == round % 7 {
                    store.upsert(&key, &round).await?;
                }
            }
            store.checkpoint().kind(kind).await?;
            round += 1;
            for key in 0..400 {
                if key % 7 == round % 7 {
                    store.rmw(&key, |value| value.unwrap_or(0) + 1_000_000).await?;
                    store.rmw(&key, |_| round).await?;
                }
            }
            store.checkpoint().kind(kind).await?;
            for key in 0..500 {
                store.upsert(&key, &u64::MAX).await?;
                store.delete(&(key / 2)).await?;
            }
            drop(store);
            free(&directory).await;
        }
    }
    Ok(())
}

fn expected(key: u64, round: u64) -> u64 {
    (1..=round).rev().find(|round| *round == 1 || key % 7 == round % 7).expect("round 1 has all")
}

/// Waits until a dropped store has freed its directory, which it does in the background.
async fn free(directory: &MemoryDirectory) {
    use kvick::io::Directory;
    while directory.lock("lock").await.is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn a_checkpoint_keeps_its_cookie() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let config = config().with_keep_checkpoints(3);
        let store: FasterKv<u64, u64> = open(&directory, config.clone()).await?;
        let cookies = [vec![0, 255, 16], Vec::new(), vec![7; 512]];
        let mut tokens = Vec::new();
        for (cookie, kind) in cookies.iter().zip(KINDS) {
            store.upsert(&1, &(cookie.len() as u64)).await?;
            let taken = store.checkpoint().kind(kind).cookie(cookie.clone()).await?;
            assert_eq!(taken.cookie, *cookie);
            tokens.push(taken.token);
        }
        let too_long = store.checkpoint().cookie([7; 513]).await.expect_err("513 bytes");
        assert_eq!(too_long.kind(), ErrorKind::InvalidArgument, "{too_long}");
        let image = store.checkpoint().index_only().cookie([7]).await.expect_err("no checkpoint");
        assert_eq!(image.kind(), ErrorKind::InvalidArgument, "{image}");
        store.checkpoint().index_only().await?;
        let kept: Vec<_> = store.checkpoints().into_iter().map(|info| info.cookie).collect();
        assert_eq!(kept, cookies);
        drop(store);
        // Each checkpoint has the cookie and the state of its own time.
        for (token, cookie) in tokens.into_iter().zip(&cookies).rev() {
            free(&directory).await;
            let store = FasterKv::<u64, u64>::builder(config.clone()).recover(token);
            let store = store.directory(Arc::new(directory.clone())).open_in_directory().await?;
            let report = store.recovery().expect("recovered");
            assert_eq!((report.chosen, &report.cookie), (Some(token), cookie));
            assert_eq!(store.read(&1).await?, Some(cookie.len() as u64));
            drop(store);
        }
        Ok(())
    })
}

#[test]
fn sessions_go_on_where_their_checkpoint_is() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store: FasterKv<u64, u64> = open(&directory, config()).await?;
        let mut session = store.session()?;
        let id = session.id();
        session.upsert(&1, &1).await?;
        session.upsert_many(&[(2, 2), (3, 3)]).await?;
        session.rmw_many(&[1, 2], |_, value| value.unwrap_or(0) + 10).await?;
        assert_eq!(session.serial(), 5);
        assert_eq!(session.commit_point().until, 0);
        let checkpoint = store.checkpoint().await?;
        assert_eq!(checkpoint.sessions[&id].until, 5);
        assert_eq!(session.commit_point().until, 5);
        session.wait_durable().await?;
        session.delete(&3).await?;
        assert_eq!((session.serial(), session.commit_point().until), (6, 5));
        drop(session);
        drop(store);
        free(&directory).await;

        let store: FasterKv<u64, u64> = open(&directory, config()).await?;
        assert_eq!(store.read_many(&[1, 2, 3]).await?, [Some(11), Some(12), Some(3)]);
        assert_eq!(store.recovered_sessions()[&id].until, 5);
        let mut session = store.resume_session(id)?;
        assert_eq!(session.serial(), 5);
        let error = store.resume_session(id).expect_err("once");
        assert_eq!(error.kind(), ErrorKind::InUse);
        session.delete(&3).await?;
        assert_eq!(store.checkpoint().await?.sessions[&id].until, 6);
        let other: session::Id = "00000000000000000000000000000001".parse()?;
        assert!(!store.forget_session(other));
        let error = store.resume_session(other).expect_err("no such session exists");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        drop(session);
        store.close().await
    })
}

#[test]
fn one_at_a_time_and_its_progress_is_seen() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store: FasterKv<u64, u64> = open(&directory, config()).await?;
        store.upsert(&1, &1).await?;
        let first = store.checkpoint().snapshot().start()?;
        let progress = first.progress();
        // An awaited checkpoint waits for its turn, and so does a removal.
        let second = store.checkpoint();
        let prune = store.prune_checkpoints(2);
        let (taken, second, pruned) = futures::join!(first, second.into_future(), prune);
        let (taken, second) = (taken?, second?);
        pruned?;
        assert!(taken.token < second.token);
        assert_eq!(
            (taken.kind, taken.durability),
            (checkpoint::Kind::Snapshot, Durability::PowerCut)
        );
        let seen: Vec<_> = progress.collect().await;
        assert_eq!(seen.last().expect("at least the end").phase, checkpoint::Phase::Ended);
        store.close().await
    })
}

/// Takes a checkpoint, changes these keys, and returns the kind of the checkpoint and the number of
/// records that the changes appended.
async fn appended_after(
    store: &FasterKv<u64, u64>,
    request: checkpoint::Request<'_>,
    keys: std::ops::Range<u64>,
) -> Result<(checkpoint::Kind, u64)> {
    let taken = request.await?;
    let last = store.stats().checkpoints.last.expect("taken");
    assert_eq!(
        (last.token, last.kind),
        (taken.token, taken.kind),
        "statistics have what was taken"
    );
    assert_eq!(store.checkpoints().last().expect("taken").kind, taken.kind);
    let before = store.stats();
    for key in keys {
        store.rmw(&key, |value| value.unwrap_or(0) + 1).await?;
    }
    let after = store.stats();
    let appends = after.appends - before.appends;
    assert_eq!(appends == 0, after.log == before.log, "the tail moves with each append");
    Ok((taken.kind, appends))
}

/// By default a checkpoint was a fold-over, after which each change of a record appended a copy: a
/// store that fitted in memory did so no more.
#[test]
fn records_in_memory_stay_mutable_by_default() -> Result<()> {
    use checkpoint::Kind::{FoldOver, Incremental, Snapshot};
    block_on(async {
        let store: FasterKv<u64, u64> = open(&MemoryDirectory::new(), config()).await?;
        for key in 0..1000 {
            store.upsert(&key, &1).await?;
        }
        // After many changes a snapshot is due again.
        for (expected, changed) in
            [(Snapshot, 0..10), (Incremental, 0..1000), (Incremental, 0..1000), (Snapshot, 0..1000)]
        {
            let (kind, appends) = appended_after(&store, store.checkpoint(), changed).await?;
            assert_eq!((kind, appends), (expected, 0));
        }
        let folded = appended_after(&store, store.checkpoint().fold_over(), 0..1000).await?;
        assert_eq!(folded, (FoldOver, 1000), "so this test sees copies");
        store.close().await
    })
}

#[test]
fn hot_records_of_a_larger_store_stay_mutable_by_default() -> Result<()> {
    block_on(async {
        let store: FasterKv<u64, u64> = open(&MemoryDirectory::new(), config()).await?;
        let mut keys = 0;
        while store.stats().log.on_device == 0 {
            store.upsert(&keys, &1).await?;
            keys += 1;
        }
        for _ in 0..3 {
            let (kind, appends) =
                appended_after(&store, store.checkpoint(), keys - 1000..keys).await?;
            assert_ne!(kind, checkpoint::Kind::FoldOver);
            assert_eq!(appends, 0);
        }
        store.close().await
    })
}

/// Records that are loaded into a store far larger than its memory are written once. When they
/// begin to change, they stay mutable.
#[test]
fn a_load_is_written_once() -> Result<()> {
    use checkpoint::Kind::{FoldOver, Incremental, Snapshot};
    block_on(async {
        let store: FasterKv<u64, u64> = open(&MemoryDirectory::new(), config()).await?;
        let keys = store.stats().memory.frames / 5; // about five times the memory
        for key in 0..keys {
            store.upsert(&key, &1).await?;
        }
        let hot = keys - 300..keys;
        assert_eq!(appended_after(&store, store.checkpoint(), hot.clone()).await?, (FoldOver, 300));
        assert_eq!(appended_after(&store, store.checkpoint(), hot.clone()).await?, (Snapshot, 0));
        assert_eq!(appended_after(&store, store.checkpoint(), hot).await?, (Incremental, 0));
        store.close().await
    })
}
