//! kvick, redb, fjall and RocksDB with the same promise: a write that has returned survives a power
//! cut.
//!
//! - kvick: `durability = "wal"`, `acknowledge = "durable"`; a task for each writer, on tokio.
//! - redb: a transaction for each write, with its default durability.
//! - fjall: an insert, and then `persist(SyncData)`.
//! - RocksDB: `sync` for each write. It joins the writes of threads in one sync by itself.
//! - raw: 64 KiB of 4 KiB blocks that exist, in turn: `pwrite` and `fdatasync` of one block.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::keys::key_of;
use benches::payload::Payload;
use fjall::PersistMode;
use futures::future::join_all;
use kvick::config::{Acknowledge, DurableBy};
use kvick::runtime::block_on;
use kvick::{Config, FasterKv};
use redb::TableDefinition;
use tokio::runtime::Runtime;
use versus::slices::{Slice, Walk, on_threads, timed};

/// The result of a step of a contestant.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A store that blocks the thread that writes.
pub trait Engine: Sync {
    /// Writes a record, durably.
    fn write(&self, key: u64, value: &[u8]) -> Outcome;
}

/// Opens one store in a directory.
pub type Open = fn(&Path) -> Outcome<Box<dyn Engine>>;

/// All rivals by their names.
pub fn rivals() -> Vec<(&'static str, Open)> {
    vec![
        ("redb", Redb::open),
        ("fjall", Fjall::open),
        #[cfg(feature = "disk")]
        ("RocksDB", Rocks::open),
        ("raw", Raw::open),
    ]
}

/// Runs a slice with a thread for every walk.
pub fn run(engine: &dyn Engine, walks: Vec<Walk>, bytes: usize, duration: Duration) -> Slice {
    on_threads(walks, duration, |walk| {
        let mut value = <[u8]>::buffer(bytes);
        while let Some([step]) = walk.take(1) {
            let key = key_of(step.target());
            <[u8]>::stamp(&mut value, key, 0);
            let started = Stopwatch::start();
            engine.write(key, &value).expect("the rival writes");
            walk.timed(&started);
        }
    })
}

/// kvick.
pub struct Ours(FasterKv<u64, [u8]>);

impl Ours {
    /// Opens the store.
    pub fn open(path: &Path) -> Outcome<Self> {
        let config = Config::default()
            .with_durability(DurableBy::Wal)
            .with_acknowledge(Acknowledge::Durable)
            .with_commit_every(None);
        Ok(Self(block_on(FasterKv::open(path, config))?))
    }

    /// Runs a slice with a tokio task for every walk.
    pub fn run(
        &self,
        runtime: &Runtime,
        walks: Vec<Walk>,
        bytes: usize,
        duration: Duration,
    ) -> Slice {
        let begin = || -> Vec<_> {
            let task = |walk| runtime.spawn(writer(self.0.clone(), walk, bytes));
            walks.into_iter().map(task).collect()
        };
        timed(duration, begin, |tasks| {
            let walks = runtime.block_on(join_all(tasks)).into_iter();
            walks.map(|walk| walk.expect("no panics")).collect()
        })
    }

    /// Closes the store.
    pub fn close(self) -> Outcome {
        Ok(block_on(self.0.close())?)
    }
}

async fn writer(store: FasterKv<u64, [u8]>, mut walk: Walk, bytes: usize) -> Walk {
    let mut session = store.session().expect("a session");
    let mut value = <[u8]>::buffer(bytes);
    while let Some([step]) = walk.take(1) {
        let key = key_of(step.target());
        <[u8]>::stamp(&mut value, key, 0);
        let started = Stopwatch::start();
        session.upsert(&key, &value).await.expect("kvick writes");
        walk.timed(&started);
    }
    walk
}

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

struct Redb(redb::Database);

impl Redb {
    fn open(path: &Path) -> Outcome<Box<dyn Engine>> {
        std::fs::create_dir_all(path)?;
        Ok(Box::new(Self(redb::Builder::new().create(path.join("data.redb"))?)))
    }
}

impl Engine for Redb {
    fn write(&self, key: u64, value: &[u8]) -> Outcome {
        let transaction = self.0.begin_write()?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }
}

struct Fjall {
    database: fjall::Database,
    keyspace: fjall::Keyspace,
}

impl Fjall {
    fn open(path: &Path) -> Outcome<Box<dyn Engine>> {
        let database = fjall::Database::builder(path).open()?;
        let keyspace = database.keyspace("records", fjall::KeyspaceCreateOptions::default)?;
        Ok(Box::new(Self { database, keyspace }))
    }
}

impl Engine for Fjall {
    fn write(&self, key: u64, value: &[u8]) -> Outcome {
        self.keyspace.insert(key.to_be_bytes(), value)?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}

#[cfg(feature = "disk")]
struct Rocks(rocksdb::DB);

#[cfg(feature = "disk")]
impl Rocks {
    fn open(path: &Path) -> Outcome<Box<dyn Engine>> {
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        Ok(Box::new(Self(rocksdb::DB::open(&options, path)?)))
    }
}

#[cfg(feature = "disk")]
impl Engine for Rocks {
    fn write(&self, key: u64, value: &[u8]) -> Outcome {
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(true);
        Ok(self.0.put_opt(key.to_be_bytes(), value, &options)?)
    }
}

/// The device by itself.
struct Raw {
    file: File,
    next: AtomicU64,
}

const BLOCK: usize = 4096;
const BLOCKS: u64 = 16;

impl Raw {
    fn open(path: &Path) -> Outcome<Box<dyn Engine>> {
        std::fs::create_dir_all(path)?;
        let file = File::create_new(path.join("blocks"))?;
        for block in 0..BLOCKS {
            file.write_all_at(&[0; BLOCK], block * BLOCK as u64)?;
        }
        file.sync_all()?;
        Ok(Box::new(Self { file, next: AtomicU64::new(0) }))
    }
}

impl Engine for Raw {
    fn write(&self, _key: u64, value: &[u8]) -> Outcome {
        let mut block = [0; BLOCK];
        let bytes = value.len().min(BLOCK);
        block[..bytes].copy_from_slice(&value[..bytes]);
        let next = self.next.fetch_add(1, Ordering::Relaxed) % BLOCKS;
        self.file.write_all_at(&block, next * BLOCK as u64)?;
        Ok(self.file.sync_data()?)
    }
}
