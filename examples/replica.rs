//! A second store that follows the first, and has the same tables.
//!
//! You learn: how a copy begins (subscribe, then scan, then take in the changes), how it goes on
//! after a restart, and when it begins anew: after `Truncated`, and after a crash of the source
//! that has lost what the copy has. Deletions are changes, too.
//!
//! ```text
//! cargo run --release --example replica
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kvick::checkpoint::Kind;
use kvick::config::ByteSize;
use kvick::feed::{Address, Content, LogRecord, LogRecords};
use kvick::{Config, Database, ErrorKind, FasterKv, Result};
use tokio::time::timeout;

const TABLES: [&str; 2] = ["stock", "sold"];
const ARTICLES: u64 = 20_000;
/// The time without a change after which the place of a copy is stored.
const IDLE: Duration = Duration::from_millis(50);

type Table = FasterKv<str, u64>;

/// The copy of one table.
struct Copied {
    name: &'static str,
    source: Table,
    replica: Table,
    /// The places up to which the copies have the log of the source, by table. They are in the
    /// store of the replica, so a crash of the replica takes a place back with its records.
    places: Table,
    changes: LogRecords<str, u64>,
    /// How often it has begun anew.
    beginnings: u32,
}

impl Copied {
    /// Goes on with the copy of a table where it ended, or begins it.
    async fn open(name: &'static str, source: &Database, replica: &Database) -> Result<Self> {
        let (places, replica) = (replica.table("places").await?, replica.table(name).await?);
        let source: Table = source.table(name).await?;
        let place = places.read(name).await?.map(Address::new);
        let changes = match place {
            Some(place) => source.subscribe_from(place),
            None => source.subscribe(),
        };
        let mut copied = Self { name, source, replica, places, changes, beginnings: 0 };
        if place.is_none() {
            copied.begin().await?;
        }
        Ok(copied)
    }

    /// Makes a new copy.
    async fn begin(&mut self) -> Result<()> {
        self.beginnings += 1;
        // Without a place: if this ends half way, the next opening begins again.
        self.places.delete(self.name).await?;
        // A scan shows no deletions, so nothing old may stay.
        self.replica.clear().await?;
        // First the subscription: it has each change that the scan is too early for.
        self.changes = self.source.subscribe();
        let mut scan = self.source.scan();
        while let Some((article, count)) = scan.try_next().await? {
            self.replica.upsert(&article, &count).await?;
        }
        // The scan may have shown what no checkpoint had. From now on a crash keeps it.
        self.source.checkpoint().await?;
        self.store_place().await
    }

    /// Takes in changes until the copy has the log of the source up to `until`. A real replica
    /// does it without an end.
    async fn follow(&mut self, until: Address) -> Result<()> {
        while self.changes.position() < until {
            match timeout(IDLE, self.changes.next()).await {
                Ok(Some(Ok(change))) => self.apply(change).await?,
                // It was too slow, or away for too long: deletions were missed, too.
                Ok(Some(Err(error))) if error.kind() == ErrorKind::Truncated => {
                    println!("{}: {error}", self.name);
                    self.begin().await?;
                }
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => unreachable!("a subscription ends with an error"),
                // The place goes on, through the records of other tables.
                Err(_idle) => self.store_place().await?,
            }
        }
        self.store_place().await
    }

    /// Takes in a change. It may come again after a restart, and that does no harm.
    async fn apply(&self, change: LogRecord<String, u64>) -> Result<()> {
        match change.content {
            Content::Value(count) => self.replica.upsert(&change.key, &count).await.map(drop),
            _tombstone => self.replica.delete(&change.key).await.map(drop),
        }
    }

    async fn store_place(&self) -> Result<()> {
        let place = self.changes.position().raw();
        self.places.upsert(self.name, &place).await.map(drop)
    }

    /// Asserts that both tables are the same. Returns the number of articles.
    async fn assert_same(&self) -> Result<usize> {
        let [source, replica] = [&self.source, &self.replica].map(|table| table.scan());
        let source: BTreeMap<_, _> = source.try_collect().await?;
        let replica: BTreeMap<_, _> = replica.try_collect().await?;
        assert!(source == replica, "the copy of {} differs", self.name);
        Ok(source.len())
    }
}

/// Opens the source. Copies that have what a crash has lost forget their places.
async fn open_source(path: &Path, replica: &Database) -> Result<Database> {
    let config = Config::default()
        .with_memory(ByteSize::mib(4))
        .with_expected_keys(2 * ARTICLES)
        .with_checkpoint_on_close(false);
    let source = Database::open(path, config).await?;
    let kept_until = source.recovery().and_then(|report| report.kept_until);
    let places: Table = replica.table("places").await?;
    for table in TABLES {
        let place = places.read(table).await?.map(Address::new);
        if place.is_some() && place > kept_until {
            places.delete(table).await?;
            println!("{table}: the source has lost what the copy has");
        }
    }
    Ok(source)
}

/// Takes in everything that was written to the source before this call.
async fn catch_up(source: &Database, copies: &mut [Copied]) -> Result<()> {
    source.flush().await?;
    // Everything is immutable now, so a subscription begins at the end.
    let end = source.subscribe().position();
    for copied in copies {
        copied.follow(end).await?;
        let articles = copied.assert_same().await?;
        println!("{}: {articles} articles, as in the source", copied.name);
    }
    Ok(())
}

/// Sells all articles once, and takes some out of the store.
async fn sell(source: &Database, day: u64) -> Result<()> {
    let stock: Table = source.table("stock").await?;
    let sold: Table = source.table("sold").await?;
    for number in 0..ARTICLES {
        let article = format!("article {number}");
        sold.upsert(&article, &day).await?;
        if number % 10 == day % 10 {
            stock.delete(&article).await?;
        } else {
            stock.rmw(&article, |count| count.unwrap_or(100) - 1).await?;
        }
    }
    Ok(())
}

async fn open_copies(source: &Database, replica: &Database) -> Result<[Copied; 2]> {
    let [stock, sold] = TABLES.map(|table| Copied::open(table, source, replica));
    let (stock, sold) = futures::try_join!(stock, sold)?;
    Ok([stock, sold])
}

fn assert_beginnings(copies: &[Copied], expected: u32) {
    assert!(copies.iter().all(|copied| copied.beginnings == expected), "{expected} beginnings");
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second] = ["source", "replica"].map(|name| directory.path().join(name));
    let replica = Database::open(&second, Config::default()).await?;
    let source = open_source(&first, &replica).await?;

    println!("-- the copies begin while the source is written");
    sell(&source, 1).await?;
    let (mut copies, ()) = futures::try_join!(open_copies(&source, &replica), sell(&source, 2))?;
    catch_up(&source, &mut copies).await?;
    assert_beginnings(&copies, 1);

    println!("-- both are closed, and go on");
    drop(copies);
    source.checkpoint().kind(Kind::FoldOver).await?;
    source.close().await?;
    replica.close().await?;
    let replica = Database::open(&second, Config::default()).await?;
    let source = open_source(&first, &replica).await?;
    sell(&source, 3).await?;
    let mut copies = open_copies(&source, &replica).await?;
    catch_up(&source, &mut copies).await?;
    assert_beginnings(&copies, 0);

    println!("-- the replica is away, and the source compacts");
    drop(copies);
    for day in 4..8 {
        sell(&source, day).await?;
    }
    let stock: Table = source.table("stock").await?;
    stock.compact().await?;
    drop(stock);
    let mut copies = open_copies(&source, &replica).await?;
    catch_up(&source, &mut copies).await?;
    assert_beginnings(&copies, 1);

    println!("-- the source loses changes that the copies have");
    sell(&source, 8).await?;
    catch_up(&source, &mut copies).await?;
    drop(copies);
    // Without a checkpoint it loses as much as by a crash.
    source.close().await?;
    let source = open_source(&first, &replica).await?;
    let mut copies = open_copies(&source, &replica).await?;
    catch_up(&source, &mut copies).await?;
    assert_beginnings(&copies, 1);

    println!("-- a table is dropped");
    source.drop_table("sold").await?;
    let [mut stock, mut sold] = copies;
    let error = sold.follow(Address::MAX).await.expect_err("the table is gone");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    replica.drop_table("sold").await?;
    sell_out(&source).await?;
    catch_up(&source, std::slice::from_mut(&mut stock)).await?;
    assert_eq!(stock.replica.count().await?, 0);
    drop((stock, sold));
    source.close().await?;
    replica.close().await
}

/// Takes all articles out of the store.
async fn sell_out(source: &Database) -> Result<()> {
    let stock: Table = source.table("stock").await?;
    stock.clear().await.map(drop)
}
