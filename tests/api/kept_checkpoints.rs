//! Kept checkpoints of a running store, shown by `at`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use kvick::config::{ByteSize, DurableBy};
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, Database, ErrorKind, FasterKv, Result, checkpoint};
use tests::journal::ALL_KINDS;
use tests::simulated::two_pages;

type Store = FasterKv<u64, u64>;

async fn fill(store: &Store, keys: u64, value: u64) -> Result<()> {
    for key in 0..keys {
        store.upsert(&key, &(key + value)).await?;
    }
    Ok(())
}

/// Checks that a checkpoint has the values of a `fill`.
async fn assert_shows(
    store: &Store,
    token: checkpoint::Token,
    keys: u64,
    value: u64,
) -> Result<()> {
    let shown = store.at(token).await?;
    assert_eq!(shown.checkpoint().token, token);
    let pairs: Vec<(u64, u64)> = shown.scan().try_collect().await?;
    assert_eq!(pairs.len() as u64, keys, "each key once");
    let pairs: BTreeMap<u64, u64> = pairs.into_iter().collect();
    assert_eq!(pairs, (0..keys).map(|key| (key, key + value)).collect());
    assert_eq!(shown.read(&(keys - 1)).await?, Some(keys - 1 + value));
    assert_eq!(shown.count().await?, keys);
    Ok(())
}

/// Values that changed in place since, records on the device, in parts and in deltas; a store that
/// fits in its memory, and one that does not.
#[test]
fn every_kept_checkpoint_is_shown() -> Result<()> {
    for (keys, memory) in [(300, ByteSize::mib(1)), (3000, ByteSize::kib(256))] {
        let place = tempfile::tempdir().expect("a directory");
        let config = two_pages().with_memory(memory).with_keep_checkpoints(20);
        block_on(async {
            let store = Store::open(place.path(), config).await?;
            let mut taken = Vec::new();
            for (value, kind) in (0..).zip(ALL_KINDS) {
                fill(&store, keys, value).await?;
                if kind == checkpoint::Kind::IndexOnly {
                    store.checkpoint().kind(kind).await?;
                } else {
                    taken.push((store.checkpoint().kind(kind).await?.token, value));
                }
            }
            fill(&store, keys, 100).await?;
            for (token, value) in &taken {
                assert_shows(&store, *token, keys, *value).await?;
            }
            store.flush_and_evict().await?;
            store.compact().await?;
            for (token, value) in &taken {
                assert_shows(&store, *token, keys, *value).await?;
            }
            assert_eq!(store.read(&1).await?, Some(101));
            store.close().await
        })?;
    }
    Ok(())
}

/// The reader needs neither the checkpoint nor the store any more.
#[test]
fn a_reader_outlives_its_checkpoint_and_its_store() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let config = two_pages().with_keep_checkpoints(20);
    block_on(async {
        let store = Store::open(place.path(), config.clone()).await?;
        fill(&store, 3000, 0).await?;
        let token = store.checkpoint().await?.token;
        let shown = store.at(token).await?;
        fill(&store, 3000, 7).await?;
        let newest = store.checkpoint().await?.token;
        store.delete_checkpoint(token).await?;
        let error = store.at(token).await.expect_err("it was removed");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("`checkpoints()` lists them"), "{error}");
        assert_eq!(shown.read(&1).await?, Some(1));
        let other = shown.clone();
        assert!(shown.refresh().await? && !shown.refresh().await?);
        assert_eq!((other.checkpoint().token, other.read(&1).await?), (newest, Some(8)));
        store.close().await?;
        assert_eq!(store.at(newest).await.expect_err("closed").kind(), ErrorKind::Closed);
        drop(store);
        let sum = shown.scan().try_fold(0, async |sum, (_, value)| Ok(sum + value)).await?;
        assert_eq!(sum, (0..3000).map(|key| key + 7).sum::<u64>());
        // As another reader, it follows the next opening.
        let store = Store::open(place.path(), config).await?;
        fill(&store, 3000, 9).await?;
        store.checkpoint().await?;
        assert!(shown.refresh().await?);
        assert_eq!(shown.read(&1).await?, Some(10));
        store.close().await
    })
}

#[test]
fn the_tables_of_a_database_are_shown() -> Result<()> {
    block_on(async {
        let (directory, wal) = (MemoryDirectory::new(), MemoryDirectory::new());
        let config = two_pages().with_durability(DurableBy::Wal);
        let builder = Database::builder(config).directory(Arc::new(directory));
        let database = builder.wal_directory(Arc::new(wal)).open_in_directory().await?;
        let words = database.table::<u64, u64>("words").await?;
        let texts = database.table::<str, str>("texts").await?;
        words.upsert(&1, &10).await?;
        texts.upsert("a", "one").await?;
        let token = database.checkpoint().await?.token;
        words.upsert(&1, &11).await?;
        texts.delete("a").await?;
        database.rename_table("texts", "names").await?;

        let shown = database.at(token).await?;
        assert_eq!(shown.tables().len(), 2);
        assert_eq!(shown.table::<u64, u64>("words")?.read(&1).await?, Some(10));
        assert_eq!(shown.table::<str, str>("names")?.read("a").await?.as_deref(), Some("one"));
        assert_eq!(texts.at(token).await?.read("a").await?.as_deref(), Some("one"));
        assert_eq!(words.at(token).await?.read(&1).await?, Some(10));
        database.drop_table("names").await?;
        let error = texts.at(token).await.expect_err("it was dropped");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!((texts.read("a").await.is_err(), words.read(&1).await?), (true, Some(11)));
        database.close().await
    })
}

#[test]
fn a_cache_without_files_shows_no_checkpoint() -> Result<()> {
    block_on(async {
        let store = Store::open("unused", Config::cache()).await?;
        let error = store.at(checkpoint::Token::new(1)).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        store.close().await
    })
}
