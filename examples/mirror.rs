//! A second store that follows the write-ahead log of the first, through ends without a close.
//!
//! You learn: how a copy begins (a place, a scan, a sync, the changes from the place on), how it
//! stores its place together with what it has taken in, and that it goes on after both stores were
//! dropped without a close, without a change lost or made twice, and beside checkpoints of the
//! source.
//!
//! ```text
//! cargo run --release --example mirror
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use kvick::config::{ByteSize, DurableBy};
use kvick::feed::{Change, ChangeKind, ChangeToken, Changes, Start};
use kvick::{Config, Database, ErrorKind, FasterKv, Result, Session};

const ARTICLES: u64 = 5_000;
const DAYS: u64 = 8;
/// The changes after which a copy is durable, if there are so many.
const AT_ONCE: u32 = 1000;

type Table = FasterKv<str, u64>;

fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::mib(8))
        .with_durability(DurableBy::Wal)
        .with_checkpoint_on_close(false)
}

/// A copy of the table of a source.
struct Mirror {
    replica: Table,
    /// It makes all changes of the copy. Its offset is the place in the source: a crash takes back
    /// no change before it, and those after it show again.
    session: Session<str, u64>,
    changes: Changes<str, u64>,
    /// Whether this opening has made a new copy.
    has_begun: bool,
}

impl Mirror {
    /// Goes on with the copy, or begins it.
    async fn open(source: &Table, replica: &Database) -> Result<Self> {
        let replica: Table = replica.table("stock").await?;
        let session = replica.session_named("mirror")?;
        let place = session.offset().and_then(|offset| <[u8; 16]>::try_from(offset.bytes).ok());
        let gone_on = place.map(|place| source.changes(ChangeToken::from_bytes(place)));
        let (changes, has_begun) = match gone_on {
            Some(Ok(changes)) => (changes, false),
            // Changes that it lacks were removed, or the source has gone back to a checkpoint.
            Some(Err(error)) if error.kind() != ErrorKind::Truncated => return Err(error),
            _ => (copy(source, &replica).await?, true),
        };
        let mut mirror = Self { replica, session, changes, has_begun };
        mirror.make_durable().await?;
        Ok(mirror)
    }

    /// Takes in every change that is durable by now. Returns their number.
    async fn catch_up(&mut self) -> Result<u64> {
        let mut count = 0;
        let mut since = 0;
        while let Some(change) = self.changes.next_durable().await? {
            self.apply(change).await?;
            count += 1;
            since += 1;
            if since == AT_ONCE {
                self.make_durable().await?;
                since = 0;
            }
        }
        self.make_durable().await?;
        Ok(count)
    }

    async fn apply(&mut self, change: Change<String, u64>) -> Result<()> {
        match change.kind {
            ChangeKind::Upsert { value, .. } => {
                self.session.upsert(&change.key, &value).await.map(drop)?;
            }
            ChangeKind::Delete => self.session.delete(&change.key).await.map(drop)?,
            // A new time of expiry; this table has none.
            _ => {}
        }
        self.session.set_offset(&change.token.to_bytes())
    }

    async fn make_durable(&mut self) -> Result<()> {
        self.session.set_offset(&self.changes.token().to_bytes())?;
        self.session.sync().await
    }

    /// Asserts that the copy is as the source. Nothing writes to it, and all of it is durable.
    async fn assert_same(&self, source: &Table) -> Result<usize> {
        let [source, replica] = [source, &self.replica].map(|table| table.scan());
        let source: BTreeMap<_, _> = source.try_collect().await?;
        let replica: BTreeMap<_, _> = replica.try_collect().await?;
        assert!(source == replica, "the copy differs");
        Ok(source.len())
    }
}

/// Makes a new copy. Returns the changes that it may lack.
async fn copy(source: &Table, replica: &Table) -> Result<Changes<str, u64>> {
    // A scan shows no deletions, so nothing old may stay.
    replica.clear().await?;
    let changes = source.changes(Start::Now)?; // first the place
    let mut scan = source.scan();
    while let Some((article, count)) = scan.try_next().await? {
        replica.upsert(&article, &count).await?;
    }
    // The scan may have shown what is not durable yet, and would be lost in a crash of the source.
    source.sync().await?;
    Ok(changes)
}

/// Sells all articles once, and takes some out of the store.
async fn sell(stock: &Table, day: u64) -> Result<()> {
    for number in 0..ARTICLES {
        let article = format!("article {number}");
        if number % 10 == day {
            stock.delete(&article).await?;
        } else {
            stock.rmw(&article, |count| count.unwrap_or(100) - 1).await?;
        }
    }
    Ok(())
}

async fn open(path: &Path) -> Result<Database> {
    loop {
        match Database::open(path, config()).await {
            // What was killed ends in the background.
            Err(error) if error.kind() == ErrorKind::InUse => tokio::task::yield_now().await,
            opened => return opened,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second] = ["source", "replica"].map(|name| directory.path().join(name));
    let mut beginnings = 0;
    for day in 0..DAYS {
        let (source, replica) = (open(&first).await?, open(&second).await?);
        let stock: Table = source.table("stock").await?;
        // The copy begins, or goes on, while the source is written.
        let (mirror, ()) = futures::try_join!(Mirror::open(&stock, &replica), sell(&stock, day))?;
        let mut mirror = mirror;
        beginnings += u32::from(mirror.has_begun);
        source.sync().await?;
        let changes = mirror.catch_up().await?;
        let articles = mirror.assert_same(&stock).await?;
        println!("day {day}: {changes} changes, {articles} articles, as in the source");
        if day == 2 {
            // It removes all changes from the log. The copy has them.
            source.checkpoint().await?;
        }
        // These are lost if nothing commits them. Then the copy must not have them.
        sell(&stock, day + 1).await?;
        if day % 2 == 0 {
            source.sync().await?;
            // The replica dies with some of them taken in.
            let some: Vec<_> = mirror.changes.by_ref().take(1500).try_collect().await?;
            for change in some {
                mirror.apply(change).await?;
            }
        }
        if day == 5 {
            // The log still has everything after the checkpoint before this one.
            source.checkpoint().await?;
        }
        // Dropped without a close: as if both had been killed.
        drop((mirror, stock, source, replica));
    }
    assert_eq!(beginnings, 1, "it goes on each time");
    println!("the copy has begun once, and has gone on {} times", DAYS - 1);
    Ok(())
}
