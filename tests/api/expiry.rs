//! Tables whose records have an expiry, beside tables whose records have none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use kvick::codec::{Encoded, Expiring};
use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::block_on;
use kvick::{
    Config, Database, Error, ErrorKind, FasterKv, Key, Result, Value, checkpoint, inspect,
};
use tests::configs::two_buckets;

const KINDS: [checkpoint::Kind; 3] =
    [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental];
const KEYS: u64 = 60;

async fn open(directory: &MemoryDirectory, config: Config) -> Result<Database> {
    Database::builder(config).directory(Arc::new(directory.clone())).open_in_directory().await
}

async fn open_one<V: Value + ?Sized>(directory: &MemoryDirectory) -> Result<FasterKv<u64, V>> {
    let builder = FasterKv::builder(two_buckets()).directory(Arc::new(directory.clone()));
    builder.accept_type_change(true).open_in_directory().await
}

fn block(number: u64) -> [u8; 24] {
    [number.to_le_bytes()[0]; 24]
}

/// A value of a length that depends on `number`; every seventh needs several pages.
fn text(number: u64) -> String {
    let times = if number.is_multiple_of(7) { 700 } else { number % 5 };
    format!("{number}/").repeat(usize::try_from(times).expect("small") + 1)
}

/// A table with expiry and its twin without, of one type.
struct Twins<K: Key + ?Sized, V: Value + ?Sized>(FasterKv<K, Expiring<V>>, FasterKv<K, V>);

impl<K: Key + ?Sized, V: Value + ?Sized> Twins<K, V> {
    async fn open(database: &Database, name: &str) -> Result<Self> {
        let expiring = database.table(&format!("{name} with expiry")).await?;
        Ok(Self(expiring, database.table(name).await?))
    }

    async fn upsert(&self, key: &K::Item, value: &V::Item) -> Result<()> {
        self.0.upsert(key, value).await?;
        self.1.upsert(key, value).await.map(drop)
    }

    async fn read(&self, key: &K::Item) -> Result<Option<V::Owned>>
    where
        V::Owned: PartialEq + std::fmt::Debug,
    {
        let value = self.0.read(key).await?;
        assert_eq!(value, self.1.read(key).await?);
        Ok(value)
    }
}

/// Pairs of tables of four layouts.
struct Pairs {
    words: Twins<u64, u64>,
    blocks: Twins<u64, [u8; 24]>,
    names: Twins<str, u32>,
    texts: Twins<str, str>,
}

impl Pairs {
    async fn open(database: &Database) -> Result<Self> {
        Ok(Self {
            words: Twins::open(database, "words").await?,
            blocks: Twins::open(database, "blocks").await?,
            names: Twins::open(database, "names").await?,
            texts: Twins::open(database, "texts").await?,
        })
    }

    async fn write(&self, keys: std::ops::Range<u64>, version: u64) -> Result<()> {
        for key in keys {
            let (name, number) = (key.to_string(), key + version);
            self.words.upsert(&key, &number).await?;
            self.blocks.upsert(&key, &block(number)).await?;
            self.names.upsert(&name, &u32::try_from(number).expect("small")).await?;
            self.texts.upsert(&name, &text(number)).await?;
        }
        Ok(())
    }

    async fn check(&self, keys: std::ops::Range<u64>, version: u64) -> Result<()> {
        for key in keys {
            let (name, number) = (key.to_string(), key + version);
            assert_eq!(self.words.read(&key).await?, Some(number));
            assert_eq!(self.blocks.read(&key).await?, Some(block(number)));
            assert_eq!(self.names.read(&name).await?.map(u64::from), Some(number));
            assert_eq!(self.texts.read(&name).await?, Some(text(number)));
        }
        Ok(())
    }
}

#[test]
fn tables_with_and_without_expiry_share_every_kind_of_checkpoint() {
    for kind in KINDS {
        block_on(async {
            let directory = MemoryDirectory::new();
            let database = open(&directory, two_buckets()).await?;
            let pairs = Pairs::open(&database).await?;
            pairs.write(0..KEYS, 0).await?;
            pairs.check(0..KEYS, 0).await?;
            database.checkpoint().kind(kind).await?;
            pairs.write(KEYS / 2..KEYS, 7).await?;
            database.flush_and_evict().await?;
            pairs.check(0..KEYS / 2, 0).await?;
            pairs.check(KEYS / 2..KEYS, 7).await?;
            database.checkpoint().kind(kind).await?;
            database.close().await?;

            let inspection = inspect(Arc::new(directory.clone())).await?;
            assert!(inspection.problems.is_empty(), "{inspection}");
            let tables = &inspection.store.as_ref().expect("a store").tables;
            let with_expiry = tables.iter().filter(|table| table.has_expiry);
            assert!(with_expiry.clone().all(|table| table.name.ends_with(" with expiry")));
            assert_eq!((with_expiry.count(), tables.len()), (4, 8));
            let text = inspection.to_string();
            assert!(text.contains("table 0 `words with expiry`: u64 under u64, with expiry"));
            assert!(text.contains("table 1 `words`: u64 under u64\n"), "{text}");
            let records = inspection.checkpoints.last().expect("one").records;
            assert_eq!((records.expiring, records.expiries), (0, None), "none is set");

            let database = open(&directory, two_buckets()).await?;
            let pairs = Pairs::open(&database).await?;
            pairs.check(0..KEYS / 2, 0).await?;
            pairs.check(KEYS / 2..KEYS, 7).await?;
            database.close().await
        })
        .expect("memory does not fail");
    }
}

/// The changes of every form, in memory and from the device.
#[test]
fn every_operation_works_with_expiry() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory, two_buckets()).await?;
        let counts = database.table::<u64, Expiring<u64>>("counts").await?;
        let texts = database.table::<u64, Expiring<[u8]>>("texts").await?;
        let keys: Vec<u64> = (0..300).collect();
        let pairs: Vec<(u64, u64)> = keys.iter().map(|key| (*key, key * 2)).collect();
        counts.upsert_many(&pairs).await?;
        for round in 1..4 {
            if round > 1 {
                database.flush_and_evict().await?;
            }
            counts.rmw_many(&keys, |_, count| count.unwrap_or(0) + 1).await?;
            for key in (0..300).step_by(30) {
                let length = if key == 90 { 9000 } else { key };
                let added = vec![round; usize::try_from(length).expect("small")];
                texts.rmw(&key, |old| [old.unwrap_or_default(), added.clone()].concat()).await?;
            }
        }
        let found = counts.read_many(&keys).await?;
        assert!(keys.iter().zip(found).all(|(key, count)| count == Some(key * 2 + 3)));
        for key in (0..300).step_by(30) {
            let length = usize::try_from(if key == 90 { 9000 } else { key }).expect("small");
            let expected = [1_u8, 2, 3].map(|round| vec![round; length]).concat();
            assert_eq!(texts.read(&key).await?, Some(expected), "{key}");
        }
        assert!(counts.compare_and_swap(&1, &5, &6).await?);
        assert!(!counts.insert_if_absent(&1, &9).await?);
        assert_eq!(counts.take(&1).await?, Some(6));
        assert!(counts.insert_if_absent(&1, &9).await?);
        counts.delete_many(&keys[2..100]).await?;
        assert_eq!(counts.read_many(&keys[..3]).await?, [Some(3), Some(9), None]);
        database.close().await
    })
    .expect("memory does not fail");
}

/// A record with expiry has one word more, and no other record has.
#[test]
fn an_expiry_costs_one_word() {
    async fn record_bytes<V: Value<Item = u64> + ?Sized>() -> Result<u64> {
        let directory = MemoryDirectory::new();
        let store = open_one::<V>(&directory).await?;
        for key in 0..100 {
            store.upsert(&key, &key).await?;
        }
        store.checkpoint().await?;
        store.close().await?;
        let inspection = inspect(Arc::new(directory.clone())).await?;
        Ok(inspection.checkpoints[0].records.record_bytes)
    }
    block_on(async {
        assert_eq!(record_bytes::<u64>().await?, 100 * 24);
        assert_eq!(record_bytes::<Expiring<u64>>().await?, 100 * 32);
        Ok::<_, Error>(())
    })
    .expect("memory does not fail");
}

/// The clock goes back from one life to the next, and within one. The time of the store stands
/// still then.
#[test]
fn the_time_of_a_store_never_goes_back() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let config = two_buckets().with_keep_checkpoints(20);
        let second = Arc::new(AtomicU64::new(0));
        let open_at = async |now: u64| {
            second.store(now, Ordering::Relaxed);
            let shown = Arc::clone(&second);
            Database::builder(config.clone())
                .directory(Arc::new(directory.clone()))
                .clock(move || UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed)))
                .open_in_directory()
                .await
        };
        let recorded = async || {
            let inspection = inspect(Arc::new(directory.clone())).await?;
            assert!(inspection.problems.is_empty(), "{inspection}");
            Ok::<_, Error>(inspection.store.expect("a store").clock)
        };

        let database = open_at(1000).await?;
        let words = database.table::<u64, u64>("words").await?;
        words.upsert(&1, &10).await?;
        database.checkpoint().await?;
        assert_eq!(recorded().await?, 0, "no table has an expiry");
        let tokens = database.table::<u64, Expiring<u64>>("tokens").await?;
        assert_eq!(recorded().await?, 1000);
        for (now, expected) in [(900, 1000), (1100, 1100), (1099, 1100)] {
            second.store(now, Ordering::Relaxed);
            tokens.upsert(&1, &now).await?;
            database.checkpoint().await?;
            assert_eq!(recorded().await?, expected);
        }
        assert!(inspect(Arc::new(directory.clone())).await?.to_string().contains("clock at 1100"));
        let oldest = database.checkpoints()[0].token;
        database.close().await?;

        for (now, expected) in [(500, 1100), (0, 1100), (1200, 1200), (1150, 1200)] {
            let database = open_at(now).await?;
            let tokens = database.table::<u64, Expiring<u64>>("tokens").await?;
            tokens.upsert(&2, &now).await?;
            database.checkpoint().await?;
            assert_eq!(recorded().await?, expected, "at {now}");
            database.close().await?;
        }

        // An older checkpoint does not bring back an older time.
        let database = Database::builder(config.clone())
            .directory(Arc::new(directory.clone()))
            .clock(move || UNIX_EPOCH + Duration::from_secs(300))
            .recover(oldest)
            .open_in_directory()
            .await?;
        database.drop_table("tokens").await?;
        assert_eq!(recorded().await?, 1200, "records of the dropped table are left");
        database.close().await
    })
    .expect("memory does not fail");
}

fn assert_refused<T>(opened: Result<T>, words: [&str; 2]) {
    let error = opened.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_table_is_opened_as_it_was_created() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory, two_buckets()).await?;
        let with = database.table::<str, Expiring<u64>>("with").await?;
        database.table::<str, u64>("without").await?;
        let created_with = ["table `with` was created with expiry", "`Expiring<u64>`"];
        assert_refused(database.table::<str, u64>("with").await, created_with);
        let created_without = ["table `without` was created without expiry", "`Expiring<u64>`"];
        let opened = database.table::<str, Expiring<u64>>("without").await;
        assert_refused(opened, created_without);
        // `Encoded` has the bytes and the expiry of its type.
        let encoded = database.table::<str, Encoded<Expiring<u64>>>("with").await?;
        with.upsert("one", &1).await?;
        assert_eq!(encoded.read("one").await?.map(|it| it.decode()), Some(Ok(1)));
        let tables = database.tables().into_iter().map(|table| (table.name, table.has_expiry));
        assert!(tables.eq([("with".to_owned(), true), ("without".to_owned(), false)]));
        // The record of another layout was never written.
        assert_eq!(with.read("one").await?, Some(1));
        database.close().await
    })
    .expect("memory does not fail");
}

/// A store of one table. Other types may be accepted, but never another layout.
#[test]
fn a_store_of_one_table_has_an_expiry_or_none() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open_one::<Expiring<u64>>(&directory).await?;
        store.upsert(&1, &10).await?;
        store.checkpoint().await?;
        store.close().await?;
        let manifest = directory.read_file("manifest").await.expect("there");
        let manifest = String::from_utf8(manifest).expect("text");
        assert!(manifest.contains("\nfeatures = [\"expiry\"]\n"), "{manifest}");
        let refused = ["the store was created with expiry", "i64"];
        assert_refused(open_one::<i64>(&directory).await, refused);
        assert_refused(open_one::<u64>(&directory).await, refused_as("u64"));
        let store = open_one::<Expiring<i64>>(&directory).await?;
        assert_eq!(store.read(&1).await?, Some(10));
        store.close().await?;

        let directory = MemoryDirectory::new();
        open_one::<u64>(&directory).await?.close().await?;
        let refused = ["the store was created without expiry", "`Expiring<u64>`"];
        assert_refused(open_one::<Expiring<u64>>(&directory).await, refused);
        open_one::<u64>(&directory).await?.close().await
    })
    .expect("memory does not fail");
}

fn refused_as(value: &str) -> [&str; 2] {
    ["is opened with values", value]
}

/// A build that does not know the feature refuses the store by its name.
#[test]
fn an_unknown_feature_is_refused_by_name() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open(&directory, two_buckets()).await?;
        database.table::<u64, Expiring<u64>>("tokens").await?;
        database.close().await?;
        let manifest = directory.read_file("manifest").await.expect("there");
        let manifest = String::from_utf8(manifest).expect("text");
        let (body, _) = manifest.split_once("# crc32c").expect("a checksum");
        for (old, new, found) in [
            ("[\"expiry\"]\nnext_token", "[\"idleness\"]\nnext_token", "\"idleness\""),
            ("[\"expiry\"]\nkey", "[\"idleness\"]\nkey", "table `tokens` uses \"idleness\""),
            ("features = [\"expiry\"]", "features = []", "contradicts"),
        ] {
            let changed = body.replacen(old, new, 1);
            assert_ne!(changed, body, "{old:?} in {body}");
            let checksum = crc32c::crc32c(changed.as_bytes());
            let changed = format!("{changed}# crc32c {checksum:#010x}\n");
            directory.write_file("manifest", changed.as_bytes()).await.expect("memory");
            let error = open(&directory, two_buckets()).await.expect_err("refused");
            assert!(error.to_string().contains(found), "{error}");
        }
        Ok::<_, Error>(())
    })
    .expect("memory does not fail");
}
