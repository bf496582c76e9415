//! Databases: many tables of different types in one store.

use std::sync::Arc;

use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::block_on;
use kvick::session::Previous;
use kvick::{Config, Database, ErrorKind, FasterKv, Result, Session, checkpoint, inspect};
use tests::configs::two_buckets;

async fn open(directory: &MemoryDirectory) -> Result<Database> {
    open_with(directory, two_buckets().with_checkpoint_on_close(true)).await
}

async fn open_with(directory: &MemoryDirectory, config: Config) -> Result<Database> {
    Database::builder(config).directory(Arc::new(directory.clone())).open_in_directory().await
}

async fn open_one(directory: &MemoryDirectory) -> Result<FasterKv<u64, u64>> {
    let config = two_buckets().with_checkpoint_on_close(true);
    let builder = FasterKv::<u64, u64>::builder(config);
    builder.directory(Arc::new(directory.clone())).open_in_directory().await
}

fn names(database: &Database) -> Vec<String> {
    database.tables().into_iter().map(|table| table.name).collect()
}

/// A value of a length that depends on `number`; every seventh needs several pages.
fn text(number: u64) -> String {
    let times = if number.is_multiple_of(7) { 700 } else { number % 5 };
    format!("{number}/").repeat(usize::try_from(times).expect("small") + 1)
}

/// Three tables of different layouts.
struct Three {
    words: FasterKv<u64, u64>,
    texts: FasterKv<str, str>,
    pairs: FasterKv<(u64, u64), [u8; 24]>,
}

impl Three {
    async fn open(database: &Database) -> Result<Self> {
        Ok(Self {
            words: database.table("words").await?,
            texts: database.table("texts").await?,
            pairs: database.table("pairs").await?,
        })
    }

    async fn write(&self, keys: std::ops::Range<u64>, version: u64) -> Result<()> {
        for key in keys {
            self.words.upsert(&key, &(key + version)).await?;
            self.texts.upsert(&key.to_string(), &text(key + version)).await?;
            let bytes = [(key + version).to_le_bytes()[0]; 24];
            self.pairs.upsert(&(key, key), &bytes).await?;
        }
        Ok(())
    }

    async fn check(&self, keys: std::ops::Range<u64>, version: u64) -> Result<()> {
        for key in keys {
            assert_eq!(self.words.read(&key).await?, Some(key + version));
            assert_eq!(self.texts.read(&key.to_string()).await?, Some(text(key + version)));
            let bytes = [(key + version).to_le_bytes()[0]; 24];
            assert_eq!(self.pairs.read(&(key, key)).await?, Some(bytes));
        }
        Ok(())
    }
}

/// The index has two buckets, so the records of all tables lie beside each other in it.
#[test]
fn tables_of_different_layouts_share_a_log_and_an_index() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory).await?;
        let tables = Three::open(&database).await?;
        tables.write(0..150, 0).await?;
        tables.check(0..150, 0).await?;
        database.flush_and_evict().await?;
        tables.check(0..150, 0).await?;

        tables.write(0..60, 1).await?;
        tables.words.delete(&149).await?;
        assert_eq!(tables.words.read(&149).await?, None);
        assert!(tables.texts.contains("149").await?, "the same number in another table");
        let keys: Vec<u64> = (0..150).collect();
        let many = tables.words.read_many(&keys).await?;
        assert_eq!((many[59], many[60], many[149]), (Some(60), Some(60), None));
        database.close().await?;

        let database = open(&directory).await?;
        let tables = Three::open(&database).await?;
        tables.check(0..60, 1).await?;
        tables.check(60..149, 0).await?;
        assert_eq!(tables.words.read(&149).await?, None);
        database.close().await
    })
    .expect("memory does not fail");
}

#[test]
fn every_kind_of_checkpoint_has_all_tables() {
    for kind in
        [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental]
    {
        block_on(async {
            let directory = MemoryDirectory::new();
            let database = open_with(&directory, two_buckets()).await?;
            let tables = Three::open(&database).await?;
            tables.write(0..40, 0).await?;
            database.checkpoint().kind(kind).await?;
            // New records, changes in place, and a table that the first checkpoint does not know.
            tables.write(20..60, 3).await?;
            let late = database.table::<u32, [u8]>("late").await?;
            late.upsert(&1, b"late").await?;
            database.checkpoint().kind(kind).await?;
            drop((tables, late));
            database.close().await?;

            let inspection = inspect(Arc::new(directory.clone())).await?;
            assert!(inspection.problems.is_empty(), "{inspection}");
            let store = inspection.store.as_ref().expect("a store");
            let names: Vec<_> = store.tables.iter().map(|table| &*table.name).collect();
            assert_eq!(names, ["words", "texts", "pairs", "late"]);
            assert!(inspection.to_string().contains("table 1 `texts`: str under str"));

            let database = open_with(&directory, two_buckets()).await?;
            let tables = Three::open(&database).await?;
            tables.check(0..20, 0).await?;
            tables.check(20..60, 3).await?;
            let late = database.table::<u32, [u8]>("late").await?;
            assert_eq!(late.read(&1).await?.as_deref(), Some(&b"late"[..]));
            database.close().await
        })
        .expect("memory does not fail");
    }
}

/// With this seed, equal keys of two tables have the same bucket and tag a few times. Their records
/// are in one chain, and only the table numbers tell them apart.
#[test]
fn equal_keys_of_tables_in_one_chain_are_told_apart() {
    const KEYS: std::ops::Range<u64> = 0..120;
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let builder = Database::builder(two_buckets()).seed(1).directory(directory);
        let database = builder.open_in_directory().await?;
        let mut tables: Vec<FasterKv<u64, u64>> = Vec::new();
        for number in 0..127_u64 {
            let table = database.table(&number.to_string()).await?;
            let pairs: Vec<_> = KEYS.map(|key| (key, number * 1000 + key)).collect();
            table.upsert_many(&pairs).await?;
            tables.push(table);
        }
        let keys: Vec<u64> = KEYS.collect();
        for _in_memory_and_on_the_device in 0..2 {
            for (number, table) in (0..).zip(&tables) {
                let expected: Vec<_> = KEYS.map(|key| Some(number * 1000 + key)).collect();
                assert_eq!(table.read_many(&keys).await?, expected, "table {number}");
            }
            database.flush_and_evict().await?;
        }
        database.close().await
    })
    .expect("memory does not fail");
}

#[test]
fn a_new_table_is_durable_and_needs_its_types() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open_with(&directory, two_buckets()).await?;
        database.table::<u64, str>("users").await?;
        database.close().await?;

        let database = open(&directory).await?;
        assert_eq!(names(&database), ["users"]);
        let error = database.table::<u64, u64>("users").await.expect_err("other values");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let error = error.to_string();
        assert!(error.contains("table `users` holds keys u64, values str"), "{error}");
        assert!(error.contains("is opened with keys u64, values u64"), "{error}");
        database.table::<u64, str>("users").await?;
        database.close().await?;
        let closed = database.table::<u64, str>("users").await.expect_err("closed");
        assert_eq!(closed.kind(), ErrorKind::Closed);
        Ok::<_, kvick::Error>(())
    })
    .expect("memory does not fail");
}

#[test]
fn names_have_1_to_255_bytes_and_no_control_characters() {
    block_on(async {
        let database = open(&MemoryDirectory::new()).await?;
        let longest = "\u{e9}".repeat(127) + "x";
        for name in ["x", "with space", "a \"quoted\" [name]", &longest] {
            database.table::<u64, u64>(name).await?.upsert(&1, &2).await?;
        }
        for name in ["", &"x".repeat(256)] {
            let error = database.table::<u64, u64>(name).await.expect_err("no name");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("1 to 255 bytes"), "{error}");
            database.rename_table("x", name).await.expect_err("no name");
        }
        for name in ["two\nlines", "\0", "bell\u{7}", "\u{85}"] {
            let created = database.table::<u64, u64>(name).await.map(drop);
            let renamed = database.rename_table("x", name).await;
            for refused in [created, renamed, database.drop_table(name).await] {
                let text = refused.expect_err("no name").to_string();
                assert!(text.contains("control character; choose one without"), "{text}");
                assert!(!text.contains(char::is_control), "{text}");
            }
        }
        assert_eq!(database.tables().len(), 4);
        database.close().await
    })
    .expect("memory does not fail");
}

#[test]
fn a_database_has_127_tables() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory).await?;
        let mut tables = Vec::new();
        for number in 0..1000_u64 {
            let name = format!("table {number}");
            match database.table::<u64, u64>(&name).await {
                Ok(table) => {
                    table.upsert(&0, &number).await?;
                    tables.push((name, table));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                    assert!(error.to_string().contains("at most 127"), "{error}");
                }
            }
        }
        assert_eq!(tables.len(), 127);
        database.drop_table("table 126").await?;
        tables.pop();
        let error = database.table::<u64, u64>("more").await.expect_err("its number stays taken");
        assert!(error.to_string().contains("has 127 tables, 1 of them dropped"), "{error}");
        database.close().await?;

        let database = open(&directory).await?;
        for (number, (name, _)) in (0..).zip(tables) {
            let table = database.table::<u64, u64>(&name).await?;
            assert_eq!(table.read(&0).await?, Some(number));
        }
        database.close().await
    })
    .expect("memory does not fail");
}

#[test]
fn a_dropped_table_is_gone_for_all_handles() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open_with(&directory, two_buckets()).await?;
        let [table, other]: [FasterKv<u64, u64>; 2] =
            [database.table("users").await?, database.table("users").await?];
        let kept = database.table::<u64, u64>("kept").await?;
        table.upsert(&1, &10).await?;
        kept.upsert(&1, &11).await?;
        let mut session = other.session()?;
        database.checkpoint().await?;
        database.drop_table("users").await?;

        let gone = |result: Result<()>| {
            let error = result.expect_err("the table is gone");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("table `users` was dropped"), "{error}");
        };
        for key in [1, 2] {
            gone(table.read(&key).await.map(drop));
            gone(table.contains(&key).await.map(drop));
            gone(other.upsert(&key, &1).await.map(drop));
            gone(other.delete(&key).await.map(drop));
            gone(other.take(&key).await.map(drop));
            gone(session.rmw(&key, |_| 1).await.map(drop));
            gone(session.insert_if_absent(&key, &1).await.map(drop));
            gone(session.delete_if(&key, |_| true).await.map(drop));
            gone(session.read_many(&[key]).await.map(drop));
            gone(session.upsert_many(&[(key, 1)]).await);
            gone(session.rmw_many(&[key], |_, _| 1).await);
        }
        session.on(&kept)?.upsert(&2, &12).await?;
        assert_eq!(kept.read(&1).await?, Some(11));
        let error = database.drop_table("users").await.expect_err("it is gone");
        assert!(error.to_string().contains("the store has table `kept`"), "{error}");

        let again = database.table::<str, str>("users").await?;
        assert_eq!(again.upsert("1", "new").await?, Previous::Absent);
        gone(table.read(&1).await.map(drop));
        drop(session);
        database.close().await?;

        // The drop needed no checkpoint, and the checkpoint before it does not bring keys back.
        let database = open(&directory).await?;
        assert_eq!(names(&database), ["kept", "users"]);
        let again = database.table::<str, str>("users").await?;
        assert_eq!(again.read("1").await?, None, "no checkpoint has it");
        assert_eq!(database.table::<u64, u64>("kept").await?.read(&1).await?, Some(11));
        let inspection = inspect(Arc::new(directory.clone())).await?;
        assert!(inspection.problems.is_empty(), "{inspection}");
        assert!(inspection.to_string().contains("`users`: u64 under u64, dropped"), "{inspection}");
        database.close().await
    })
    .expect("memory does not fail");
}

/// Each key of a write that was refused got an entry of the index.
#[test]
fn a_dropped_table_gets_no_entry() {
    block_on(async {
        let database = open(&MemoryDirectory::new()).await?;
        let table = database.table::<u64, u64>("users").await?;
        table.upsert(&0, &1).await?;
        database.drop_table("users").await?;
        let before = database.stats().index.entries;
        for key in 0..100 {
            table.upsert(&key, &1).await.expect_err("the table is gone");
            table.rmw(&(key + 100), |_| 1).await.expect_err("the table is gone");
            table.insert_if_absent(&(key + 200), &1).await.expect_err("the table is gone");
            table.upsert_many(&[(key + 300, 1)]).await.expect_err("the table is gone");
            table.insert_many(&[(key + 400, 1)]).await.expect_err("the table is gone");
            table.rmw_many(&[key + 500], |_, _| 1).await.expect_err("the table is gone");
            table.replace(&(key + 600), &1).await.expect_err("the table is gone");
        }
        assert_eq!(database.stats().index.entries, before);
        database.close().await
    })
    .expect("memory does not fail");
}

#[test]
fn a_renamed_table_keeps_its_keys_and_handles() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory).await?;
        let table = database.table::<u64, u64>("old").await?;
        database.table::<u64, u64>("taken").await?;
        table.upsert(&1, &10).await?;
        for (old, new) in [("missing", "new"), ("old", "taken")] {
            let error = database.rename_table(old, new).await.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        }
        database.rename_table("old", "new").await?;
        database.rename_table("new", "new").await?;
        table.upsert(&2, &20).await?;
        let again = database.table::<u64, u64>("new").await?;
        assert_eq!(again.read(&2).await?, Some(20));
        assert_eq!(database.table::<u64, u64>("old").await?.read(&1).await?, None);
        database.close().await?;

        let database = open(&directory).await?;
        assert_eq!(names(&database), ["new", "taken", "old"]);
        assert_eq!(database.table::<u64, u64>("new").await?.read(&1).await?, Some(10));
        database.close().await
    })
    .expect("memory does not fail");
}

#[test]
fn a_store_of_one_table_is_a_database() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open_one(&directory).await?;
        store.upsert(&1, &10).await?;
        let second = store.database().table::<u64, str>("second").await?;
        second.upsert(&1, "one").await?;
        store.close().await?;

        let error = open_one(&directory).await.expect_err("two tables");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("`default`, `second`"), "{error}");
        let database = open(&directory).await?;
        assert_eq!(database.table::<u64, u64>("default").await?.read(&1).await?, Some(10));
        database.drop_table("second").await?;
        database.rename_table("default", "numbers").await?;
        database.close().await?;

        let store = open_one(&directory).await?;
        assert_eq!(store.read(&1).await?, Some(10));
        store.close().await?;

        let empty = MemoryDirectory::new();
        open(&empty).await?.close().await?;
        let error = open_one(&empty).await.expect_err("no table");
        assert!(error.to_string().contains("no table"), "{error}");
        Ok::<_, kvick::Error>(())
    })
    .expect("memory does not fail");
}

#[test]
fn a_session_is_one_sequence_over_tables() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open_with(&directory, two_buckets()).await?;
        let users = database.table::<u64, str>("users").await?;
        let counts = database.table::<str, u64>("counts").await?;
        let mut session: Session<u64, str> = users.session()?;
        let id = session.id();
        session.upsert(&1, "ada").await?;
        let mut on_counts = session.on(&counts)?;
        on_counts.rmw("ada", |count| count.unwrap_or(0) + 1).await?;
        on_counts.upsert_many(&[("bob", 1), ("cid", 2)]).await?;
        assert_eq!((on_counts.serial(), on_counts.id()), (4, id));
        // And back, from the borrowed session.
        on_counts.on(&users)?.delete(&7).await?;
        assert_eq!(session.serial(), 5);
        database.checkpoint().await?;
        assert_eq!(session.commit_point().until, 5);
        session.on(&counts)?.upsert("lost", &1).await?;

        let other = open(&MemoryDirectory::new()).await?;
        let foreign = other.table::<str, u64>("counts").await?;
        let error = session.on(&foreign).expect_err("another store");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        drop(session);
        database.close().await?;

        let database = open(&directory).await?;
        let counts = database.table::<str, u64>("counts").await?;
        let session = counts.resume_session(id)?;
        assert_eq!(session.serial(), 5, "it continues from any table");
        assert_eq!(counts.read_many(&["ada", "bob", "lost"]).await?, [Some(1), Some(1), None]);
        drop(session);
        database.close().await
    })
    .expect("memory does not fail");
}

/// The manifest of an older build has no tables, so a record with a number is damage.
#[test]
fn a_number_without_a_table_is_damage() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory).await?;
        database.table::<u64, u64>("first").await?;
        let before = directory.read_file("manifest").await.expect("a manifest");
        let second = database.table::<u64, u64>("second").await?;
        second.upsert(&1, &2).await?;
        database.close().await?;

        let manifest = directory.read_file("manifest").await.expect("a manifest");
        let text = String::from_utf8(manifest).expect("text");
        let start = text.rfind("[[store.tables]]").expect("the second table");
        let end = start + text[start..].find("[[checkpoints]]").expect("a checkpoint");
        let text =
            text[..start].to_owned() + &text[end..text.rfind("# crc32c").expect("a checksum")];
        let text = text.replace("[\"tables\"]", "[]");
        let sealed = format!("{text}# crc32c {:#010x}\n", crc32c::crc32c(text.as_bytes()));
        assert_ne!(before, sealed.as_bytes());
        directory.write_file("manifest", sealed.as_bytes()).await.expect("memory");

        let error = open(&directory).await.expect_err("a record of no table");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("a table that the manifest does not name"), "{error}");
        let inspection = inspect(Arc::new(directory.clone())).await?;
        assert!(inspection.problems.iter().any(|it| it.message.contains("does not name")));
        Ok::<_, kvick::Error>(())
    })
    .expect("memory does not fail");
}
