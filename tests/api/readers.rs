//! Readers of a store beside its writer, in this process and in another one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use futures::TryStreamExt;
use kvick::codec::Expiring;
use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::reader::{DatabaseReader, StoreReader};
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Database, ErrorKind, FasterKv, Result, checkpoint};
use tests::journal::ALL_KINDS;
use tests::simulated::two_pages;

use crate::places::contents;

type Store = FasterKv<u64, u64>;
type Reader = StoreReader<u64, u64>;

async fn fill(store: &Store, keys: u64, value: u64) -> Result<()> {
    for key in 0..keys {
        store.upsert(&key, &value).await?;
    }
    Ok(())
}

async fn assert_shows(reader: &Reader, keys: u64, value: u64) -> Result<()> {
    for key in 0..keys {
        assert_eq!(reader.read(&key).await?, Some(value), "key {key}");
    }
    let scanned: BTreeMap<u64, u64> = reader.scan().try_collect().await?;
    assert_eq!(scanned, (0..keys).map(|key| (key, value)).collect());
    assert_eq!(reader.count().await?, keys);
    Ok(())
}

fn kind_with_records(kind: checkpoint::Kind) -> checkpoint::Kind {
    if kind == checkpoint::Kind::IndexOnly { checkpoint::Kind::Auto } else { kind }
}

/// The same memory as the writer's is enough, whatever the kind of the checkpoint.
#[test]
fn a_reader_moves_from_checkpoint_to_checkpoint() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let config = two_pages().with_memory(ByteSize::kib(256)).with_keep_checkpoints(2);
    block_on(async {
        let store = Store::open(place.path(), config.clone()).await?;
        fill(&store, 3000, 0).await?;
        store.checkpoint().await?;
        let reader = Reader::open(place.path(), config.clone()).await?;
        assert!(!reader.refresh().await?, "it shows the newest one");
        for (round, kind) in (1..).zip(ALL_KINDS) {
            fill(&store, 3000, round).await?;
            assert_shows(&reader, 3000, round - 1).await?;
            if kind == checkpoint::Kind::IndexOnly {
                store.checkpoint().kind(kind).await?;
                assert!(!reader.refresh().await?, "an image shows nothing new");
            }
            let cookie = round.to_le_bytes().to_vec();
            let taken = store.checkpoint().kind(kind_with_records(kind)).cookie(cookie.clone());
            let taken = taken.await?;
            store.flush_and_evict().await?;
            assert!(reader.refresh().await?, "{kind:?}");
            let shown = reader.checkpoint();
            assert_eq!((shown.token, shown.cookie), (taken.token, cookie));
            assert_shows(&reader.clone(), 3000, round).await?;
        }
        assert_eq!(reader.read(&3000).await?, None);
        assert!(reader.contains(&2999).await? && !reader.contains(&3000).await?);
        assert_eq!(reader.read_with(&1, |value| value + 1).await?, Some(8));
        assert_eq!(reader.read_many(&[1, 5000, 2]).await?, [Some(7), None, Some(7)]);
        store.close().await
    })
}

#[test]
fn a_reader_changes_nothing_and_needs_no_writer() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    block_on(async {
        let store = Store::open(place.path(), two_pages()).await?;
        fill(&store, 2000, 7).await?;
        let mut session = store.session()?;
        session.upsert(&1, &7).await?;
        let id = session.id();
        drop(session);
        store.close().await?;
        let before = contents(place.path());
        let readers = [
            Reader::open(place.path(), two_pages()).await?,
            Reader::open(place.path(), two_pages()).await?,
        ];
        for reader in &readers {
            assert_shows(reader, 2000, 7).await?;
            assert!(!reader.refresh().await?);
            assert_eq!(reader.sessions()[&id].until, 1);
        }
        assert!(before == contents(place.path()), "not a byte");
        // No reader holds the lock.
        let store = Store::open(place.path(), two_pages()).await?;
        fill(&store, 2000, 8).await?;
        store.close().await?;
        for reader in &readers {
            assert!(reader.refresh().await?);
            assert_shows(reader, 2000, 8).await?;
        }
        Ok(())
    })
}

#[test]
fn what_cannot_be_shown_is_refused() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("data");
    let refused = |kind, text: &'static str| {
        let path = path.clone();
        async move {
            let error = Reader::open(&path, two_pages()).await.expect_err(text);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    };
    block_on(async {
        refused(ErrorKind::NotFound, "create it with `FasterKv` first").await;
        assert!(!path.exists(), "nothing is created");
        let store = FasterKv::<u64, str>::open(&path, two_pages()).await?;
        refused(ErrorKind::NotFound, "its writer takes one by `checkpoint`").await;
        store.checkpoint().await?;
        refused(ErrorKind::InvalidArgument, "is opened with keys").await;
        store.close().await?;
        let file = place.path().join("file");
        std::fs::write(&file, "").expect("written");
        let error = Reader::open(&file, two_pages()).await.expect_err("a file");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let error = Reader::builder(two_pages()).open_in_directory().await.expect_err("no place");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        // Another store in the place of the first.
        let reader = StoreReader::<u64, str>::open(&path, two_pages()).await?;
        for file in std::fs::read_dir(&path).expect("listed") {
            std::fs::remove_file(file.expect("an entry").path()).expect("removed");
        }
        let store = FasterKv::<u64, str>::open(&path, two_pages()).await?;
        store.checkpoint().await?;
        let error = reader.refresh().await.expect_err("another store");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        store.close().await
    })
}

#[test]
fn a_reader_without_memory_for_the_newest_records_says_how_much_it_needs() -> Result<()> {
    let directory = Arc::new(MemoryDirectory::new());
    let small = two_pages();
    let large = two_pages().with_memory(ByteSize::mib(1));
    block_on(async {
        let builder = Store::builder(large.clone()).directory(directory.clone());
        let store = builder.open_in_directory().await?;
        fill(&store, 10_000, 1).await?;
        store.checkpoint().snapshot().await?;
        let open =
            |config| Reader::builder(config).directory(directory.clone()).open_in_directory();
        let error = open(small.clone()).await.expect_err("the snapshot is larger");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("as much memory as the writer has"), "{error}");
        assert_shows(&open(large).await?, 10_000, 1).await?;
        store.checkpoint().fold_over().await?;
        // Now the index alone is too large: 10,000 entries of at least 8 bytes.
        let error = open(small.clone()).await.expect_err("the index is larger");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("of it the index"), "{error}");
        assert_shows(&open(small.with_memory(ByteSize::kib(256))).await?, 10_000, 1).await?;
        store.close().await
    })
}

#[test]
fn a_chosen_checkpoint_is_shown_first() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    block_on(async {
        let store = Store::open(place.path(), two_pages().with_keep_checkpoints(3)).await?;
        let mut tokens = Vec::new();
        for round in 0..3 {
            fill(&store, 500, round).await?;
            tokens.push(store.checkpoint().await?.token);
        }
        let builder = Reader::builder(two_pages()).recover(tokens[1]);
        let reader = builder.open(place.path()).await?;
        assert_shows(&reader, 500, 1).await?;
        assert!(reader.refresh().await?);
        assert_shows(&reader, 500, 2).await?;
        assert_eq!(store.checkpoints().len(), 3, "nothing is discarded");
        store.close().await
    })
}

/// Returns the files of a directory that this process has open and that are deleted.
#[cfg(target_os = "linux")]
fn deleted_but_open(place: &Path) -> Vec<std::path::PathBuf> {
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let open = open.filter_map(|entry| std::fs::read_link(entry.expect("listed").path()).ok());
    let is_held = |path: &std::path::PathBuf| {
        path.starts_with(place) && path.to_string_lossy().ends_with(" (deleted)")
    };
    open.filter(is_held).collect()
}

/// The writer removes files that a reader has open. Their space comes back with a refresh.
#[cfg(target_os = "linux")]
#[test]
fn a_refreshed_reader_holds_no_removed_file() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let config = two_pages().with_keep_checkpoints(1).with_memory(ByteSize::kib(160));
    let store = block_on(async {
        let store = Store::open(place.path(), config.clone()).await?;
        fill(&store, 10_000, 1).await?;
        store.checkpoint().fold_over().await?;
        Ok::<_, kvick::Error>(store)
    })?;
    // The reader has an executor that this test drives, and reads on it.
    let simulation = kvick::runtime::Simulation::new(1);
    let builder = Reader::builder(config).runtime(simulation.handle());
    let directory = kvick::io::ReadOnlyDirectory::open(place.path()).expect("it exists");
    let builder = builder.directory(Arc::new(directory));
    let reader = simulation.run(async {
        let reader = builder.open_in_directory().await?;
        assert_shows(&reader, 10_000, 1).await?;
        Ok::<_, kvick::Error>(reader)
    })?;
    assert_eq!(deleted_but_open(place.path()), [] as [&Path; 0]);
    block_on(async {
        fill(&store, 10_000, 2).await?;
        store.compact().await?;
        store.checkpoint().fold_over().await
    })?;
    assert!(deleted_but_open(place.path()).len() > 2, "the reader has them open");
    simulation.run(async {
        assert!(reader.refresh().await?);
        assert_shows(&reader, 10_000, 2).await
    })?;
    assert_eq!(deleted_but_open(place.path()), [] as [&Path; 0]);
    block_on(store.close())
}

#[test]
fn tables_are_read_by_their_names() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    block_on(async {
        let database = Database::open(place.path(), two_pages()).await?;
        let texts = database.table::<str, [u8]>("texts").await?;
        let tokens = database.table::<u64, Expiring<u64>>("tokens").await?;
        for key in 0..300_u64 {
            texts.upsert(&format!("key {key}"), &vec![7; 20_000]).await?;
            let hour = Expiry::after(std::time::Duration::from_secs(3600));
            tokens.upsert_with(&key, &key, hour).await?;
        }
        database.checkpoint().await?;
        let reader = DatabaseReader::open(place.path(), two_pages()).await?;
        assert_eq!(reader.tables(), database.tables());
        let shown = reader.table::<str, [u8]>("texts")?;
        assert_eq!(shown.count().await?, 300);
        assert_eq!(shown.read("key 1").await?, Some(vec![7; 20_000]));
        let expiring = reader.table::<u64, Expiring<u64>>("tokens")?;
        assert_eq!(expiring.read(&299).await?, Some(299));
        let error = reader.table::<u64, u64>("tokens").expect_err("it has an expiry");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let error = reader.table::<u64, u64>("users").expect_err("no such table");
        assert!(error.to_string().contains("the store has table `texts`"), "{error}");
        let error = StoreReader::<str, [u8]>::open(place.path(), two_pages()).await;
        assert!(error.expect_err("two tables").to_string().contains("not one table"));

        // Tables that come and go.
        database.rename_table("texts", "words").await?;
        database.table::<u64, u64>("users").await?.upsert(&1, &1).await?;
        database.checkpoint().await?;
        assert_eq!(shown.read("key 2").await?, Some(vec![7; 20_000]), "as before");
        assert!(reader.refresh().await?);
        let error = shown.read("key 2").await.expect_err("it has another name");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(reader.table::<u64, u64>("users")?.read(&1).await?, Some(1));
        assert_eq!(reader.checkpoint(), database.checkpoints().pop().expect("kept"));
        assert!(reader.sessions().is_empty());
        database.close().await
    })
}

/// The number that a child is to find, and the place of its store.
const CHILD: &str = "KVICK_READER_OF";

/// Reads for [`another_process_reads_what_this_one_writes`], in a process of its own.
#[test]
fn a_child_reads() -> Result<()> {
    let Ok(asked) = std::env::var(CHILD) else {
        return Ok(());
    };
    let (value, path) = asked.split_once(' ').expect("a number and a path");
    block_on(async {
        let reader = Reader::open(path, two_pages()).await?;
        assert_shows(&reader, 2000, value.parse().expect("a number")).await
    })
}

fn child_reads(path: &Path, value: u64) {
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args(["--exact", "readers::a_child_reads", "--nocapture"]);
    child.env(CHILD, format!("{value} {}", path.display()));
    let output = child.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn another_process_reads_what_this_one_writes() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    block_on(async {
        let store = Store::open(place.path(), two_pages()).await?;
        for round in 1..4 {
            fill(&store, 2000, round).await?;
            store.checkpoint().await?;
            fill(&store, 2000, 100).await?;
            store.flush_and_evict().await?;
            child_reads(place.path(), round);
        }
        store.close().await
    })
}
