//! kvick, redb, fjall and RocksDB as stores that are overwritten. No write of any is synchronised
//! by itself:
//!
//! - kvick: a budget of the disk, so it compacts and takes checkpoints by itself.
//! - redb: each group is a transaction; one of 64 is durable, which also frees pages.
//! - fjall: as it is, without compression of blocks.
//! - RocksDB: as it is, without compression; its log is written and not synchronised.

use std::error::Error;
use std::path::Path;

use benches::payload::Payload;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv};
use redb::{Durability, ReadableDatabase, TableDefinition};

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of all files, for a store that takes such a limit.
    pub disk: u64,
}

/// The result of a step of a contestant.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A store that is overwritten.
pub trait Contestant {
    /// Writes a group of records.
    fn write(&mut self, group: &[(u64, Vec<u8>)]) -> Outcome;
    /// Returns whether the value of a key belongs to it, and its version.
    fn read(&self, key: u64) -> Outcome<Option<Vec<u8>>>;
    /// Makes everything durable, and closes the store.
    fn close(self: Box<Self>) -> Outcome;
}

/// Opens one store in a directory.
pub type Open = fn(&Path, Limits) -> Outcome<Box<dyn Contestant>>;

/// All contestants by their names.
pub fn all() -> Vec<(&'static str, Open)> {
    vec![
        ("kvick", Ours::open),
        ("redb", Redb::open),
        ("fjall", Fjall::open),
        #[cfg(feature = "disk")]
        ("RocksDB", Rocks::open),
    ]
}

struct Ours(FasterKv<u64, [u8]>);

impl Ours {
    fn open(path: &Path, limits: Limits) -> Outcome<Box<dyn Contestant>> {
        let config = Config::default()
            .with_memory(ByteSize::new(limits.memory))
            .with_disk(ByteSize::new(limits.disk));
        Ok(Box::new(Self(block_on(FasterKv::open(path, config))?)))
    }
}

impl Contestant for Ours {
    fn write(&mut self, group: &[(u64, Vec<u8>)]) -> Outcome {
        let pairs: Vec<(u64, &[u8])> = group.iter().map(|(key, value)| (*key, &**value)).collect();
        Ok(block_on(self.0.upsert_many(&pairs))?)
    }

    fn read(&self, key: u64) -> Outcome<Option<Vec<u8>>> {
        Ok(block_on(self.0.read(&key))?)
    }

    fn close(self: Box<Self>) -> Outcome {
        Ok(block_on(self.0.close())?)
    }
}

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// The number of transactions of redb for each durable one.
const DURABLE_EVERY: u32 = 64;

struct Redb {
    database: redb::Database,
    transactions: u32,
}

impl Redb {
    fn open(path: &Path, limits: Limits) -> Outcome<Box<dyn Contestant>> {
        std::fs::create_dir_all(path)?;
        let mut builder = redb::Builder::new();
        let builder = builder.set_cache_size(usize::try_from(limits.memory)?);
        let database = builder.create(path.join("data.redb"))?;
        Ok(Box::new(Self { database, transactions: 0 }))
    }
}

impl Contestant for Redb {
    fn write(&mut self, group: &[(u64, Vec<u8>)]) -> Outcome {
        self.transactions += 1;
        let mut transaction = self.database.begin_write()?;
        if !self.transactions.is_multiple_of(DURABLE_EVERY) {
            transaction.set_durability(Durability::None)?;
        }
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in group {
                table.insert(key, value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn read(&self, key: u64) -> Outcome<Option<Vec<u8>>> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn close(self: Box<Self>) -> Outcome {
        Ok(self.database.begin_write()?.commit()?)
    }
}

struct Fjall {
    database: fjall::Database,
    keyspace: fjall::Keyspace,
}

impl Fjall {
    fn open(path: &Path, limits: Limits) -> Outcome<Box<dyn Contestant>> {
        let database = fjall::Database::builder(path).cache_size(limits.memory).open()?;
        let keyspace = database.keyspace("records", fjall::KeyspaceCreateOptions::default)?;
        Ok(Box::new(Self { database, keyspace }))
    }
}

impl Contestant for Fjall {
    fn write(&mut self, group: &[(u64, Vec<u8>)]) -> Outcome {
        for (key, value) in group {
            self.keyspace.insert(key.to_be_bytes(), value.as_slice())?;
        }
        Ok(())
    }

    fn read(&self, key: u64) -> Outcome<Option<Vec<u8>>> {
        Ok(self.keyspace.get(key.to_be_bytes())?.map(|value| value.to_vec()))
    }

    fn close(self: Box<Self>) -> Outcome {
        Ok(self.database.persist(fjall::PersistMode::SyncAll)?)
    }
}

#[cfg(feature = "disk")]
struct Rocks(rocksdb::DB);

#[cfg(feature = "disk")]
impl Rocks {
    fn open(path: &Path, limits: Limits) -> Outcome<Box<dyn Contestant>> {
        let mut blocks = rocksdb::BlockBasedOptions::default();
        let cache = rocksdb::Cache::new_lru_cache(usize::try_from(limits.memory)?);
        blocks.set_block_cache(&cache);
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        Ok(Box::new(Self(rocksdb::DB::open(&options, path)?)))
    }
}

#[cfg(feature = "disk")]
impl Contestant for Rocks {
    fn write(&mut self, group: &[(u64, Vec<u8>)]) -> Outcome {
        let mut batch = rocksdb::WriteBatch::default();
        group.iter().for_each(|(key, value)| batch.put(key.to_be_bytes(), value));
        Ok(self.0.write(batch)?)
    }

    fn read(&self, key: u64) -> Outcome<Option<Vec<u8>>> {
        Ok(self.0.get(key.to_be_bytes())?)
    }

    fn close(self: Box<Self>) -> Outcome {
        Ok(self.0.flush()?)
    }
}

/// Returns a record with this version of its value.
pub fn record(key: u64, value_bytes: usize, version: u32) -> (u64, Vec<u8>) {
    let mut value = <[u8]>::buffer(value_bytes);
    <[u8]>::stamp(&mut value, key, version);
    (key, value)
}
