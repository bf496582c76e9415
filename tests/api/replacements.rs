//! The contents of a store are replaced by those of a backup, or nothing changes.

use std::path::Path;

use kvick::config::{ByteSize, DurableBy};
use kvick::runtime::block_on;
use kvick::session::Id;
use kvick::{Config, Database, ErrorKind, FasterKv, Result, inspect};
use tests::simulated::two_pages;

type Store = FasterKv<u64, u64>;

fn config() -> Config {
    two_pages().with_keep_checkpoints(2)
}

/// Makes a backup whose keys have the value 2, with a session, and another page size.
async fn make_backup(place: &Path) -> Result<Id> {
    let config = config().with_page_size(ByteSize::kib(8)).with_memory(ByteSize::kib(128));
    let other = Store::open(place.join("other"), config).await?;
    let mut session = other.session()?;
    for key in 0..1000 {
        session.upsert(&key, &2).await?;
    }
    let id = session.id();
    drop(session);
    let taken = other.checkpoint().cookie(b"two".to_vec()).await?.token;
    other.backup(place.join("backup")).of(taken).await?;
    other.close().await?;
    Ok(id)
}

fn lenient(config: Config) -> Config {
    config.with_page_size(None).with_memory(ByteSize::kib(128))
}

#[test]
fn a_store_gets_the_contents_of_a_backup() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let (data, backup) = (place.path().join("data"), place.path().join("backup"));
    block_on(async {
        let id = make_backup(place.path()).await?;
        for has_wal in [false, true] {
            let data = if has_wal { data.with_extension("wal") } else { data.clone() };
            let config = lenient(config());
            let config = if has_wal { config.with_durability(DurableBy::Wal) } else { config };
            let store = Store::open(&data, config.clone()).await?;
            for key in 0..2000 {
                store.upsert(&key, &1).await?;
            }
            let last = store.checkpoint().cookie(b"one".to_vec()).await?.token;
            store.upsert(&5000, &1).await?;
            let store = store.replace_contents(&backup).await?;
            for turn in 0..2 {
                let store = if turn == 0 {
                    store.clone()
                } else {
                    store.close().await?;
                    Store::open(&data, config.clone()).await?
                };
                assert_eq!(store.count().await?, 1000);
                assert_eq!(store.read(&7).await?, Some(2));
                let report = store.recovery().expect("it was recovered");
                assert!(report.chosen > Some(last) && report.lost.is_empty(), "{report:?}");
                assert_eq!(report.sessions.get(&id).map(|point| point.until), Some(1000));
                if turn == 0 {
                    assert_eq!(report.cookie, b"two");
                    assert_eq!(report.repeated, 0);
                    let listed = store.checkpoints();
                    assert_eq!(listed.len(), 1, "none of before: {listed:?}");
                    for file in store.files_of(listed[0].token).await? {
                        assert!(data.join(&file.name).exists(), "{file:?}");
                    }
                } else {
                    store.close().await?;
                }
            }
            let directory = kvick::io::ReadOnlyDirectory::open(&data).expect("it exists");
            let inspection = inspect(std::sync::Arc::new(directory)).await?;
            assert!(inspection.problems.is_empty(), "{inspection}");
            let debris = |file: &&inspect::File| file.role == inspect::FileRole::Debris;
            assert_eq!(inspection.files.iter().filter(debris).count(), 0, "{inspection}");
        }
        Ok(())
    })
}

#[test]
fn only_the_last_handle_replaces_contents() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let (data, backup) = (place.path().join("data"), place.path().join("backup"));
    block_on(async {
        make_backup(place.path()).await?;
        let database = Database::open(&data, lenient(config())).await?;
        let table = database.table::<u64, u64>("default").await?;
        let error = database.clone().replace_contents(&backup).await.expect_err("two handles");
        assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
        let mut session = table.session()?;
        drop(table);
        let error = database.clone().replace_contents(&backup).await.expect_err("a session");
        assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
        session.upsert(&1, &1).await?;
        drop(session);
        let database = database.replace_contents(&backup).await?;
        let table = database.table::<u64, u64>("default").await?;
        assert_eq!(table.read(&1).await?, Some(2));
        database.close().await
    })
}

/// Every refusal leaves the store with its contents.
#[test]
fn what_cannot_be_the_contents_is_refused() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    block_on(async {
        make_backup(place.path()).await?;
        let fresh = FasterKv::<u64, u64>::builder(config()).replace_contents(path("backup"));
        let error = fresh.open(path("none")).await.expect_err("there is no store");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

        let wal = config().with_durability(DurableBy::Wal);
        let logged = Store::open(path("logged"), wal).await?;
        logged.upsert(&1, &1).await?;
        logged.close().await?;
        std::fs::create_dir(path("unfinished")).expect("empty");
        std::fs::write(path("unfinished").join("backup.unfinished"), []).expect("a mark");
        std::fs::create_dir(path("empty")).expect("empty");
        std::fs::create_dir(path("damaged")).expect("empty");
        for entry in std::fs::read_dir(path("backup")).expect("it exists") {
            let entry = entry.expect("listed");
            let mut bytes = std::fs::read(entry.path()).expect("read");
            // A file of records.
            if let Some(byte) = bytes.get_mut(3000) {
                *byte ^= 1;
            }
            std::fs::write(path("damaged").join(entry.file_name()), bytes).expect("written");
        }

        let text = FasterKv::<u64, str>::open(path("text"), lenient(config())).await?;
        text.upsert(&1, "one").await?;
        let error = text.replace_contents(path("backup")).await.expect_err("other types");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let text = FasterKv::<u64, str>::open(path("text"), lenient(config())).await?;
        assert_eq!(text.read(&1).await?.as_deref(), Some("one"));
        text.close().await?;

        let mut store = Store::open(path("data"), lenient(config())).await?;
        store.upsert(&1, &1).await?;
        for (name, kind) in [
            ("missing", ErrorKind::NotFound),
            ("empty", ErrorKind::NotFound),
            ("unfinished", ErrorKind::AlreadyExists),
            ("logged", ErrorKind::InvalidArgument),
            ("damaged", ErrorKind::Corrupt),
        ] {
            let error = store.replace_contents(path(name)).await.expect_err(name);
            assert_eq!(error.kind(), kind, "{name}: {error}");
            store = Store::open(path("data"), lenient(config())).await?;
            assert_eq!(store.read(&1).await?, Some(1), "{name}");
            let names = std::fs::read_dir(path("data")).expect("it exists");
            let mut names = names.map(|entry| entry.expect("listed").file_name());
            assert!(!names.any(|it| it.to_string_lossy().starts_with("c1-")), "{name}: left over");
        }
        let token = store.checkpoint().await?.token;
        store.close().await?;
        let both = Store::builder(lenient(config())).recover(token);
        let both = both.replace_contents(path("backup")).open(path("data")).await;
        assert_eq!(both.expect_err("one of them").kind(), ErrorKind::InvalidArgument);
        let store = Store::builder(lenient(config())).replace_contents(path("backup"));
        let store = store.open(path("data")).await?;
        assert_eq!(store.read(&1).await?, Some(2));
        store.close().await
    })
}

/// The contents of before had gone when a table was found whose values the log cannot take.
#[test]
fn contents_that_the_log_cannot_take_change_nothing() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let [data, other, backup] = ["data", "other", "backup"].map(|name| place.path().join(name));
    let large = Config::default().with_memory(ByteSize::mib(64)).with_huge_pages(false);
    block_on(async {
        let wide = large.clone().with_page_size(ByteSize::mib(1));
        let store = FasterKv::<u64, [u8; 120_000]>::open(&other, wide).await?;
        store.upsert(&1, &[7; 120_000]).await?;
        store.checkpoint().await?;
        store.backup(&backup).await?;
        store.close().await?;

        let config = large.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256));
        let database = Database::open(&data, config.clone()).await?;
        database.table::<u64, u64>("words").await?.upsert(&1, &1).await?;
        let error = database.replace_contents(&backup).await.expect_err("too wide for the log");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("wal_memory"), "{error}");
        let database = Database::open(&data, config).await?;
        assert_eq!(database.table::<u64, u64>("words").await?.read(&1).await?, Some(1));
        database.close().await
    })
}
