//! RocksDB, redb, fjall, bf-tree, and sled on request, each with the same memory.
//!
//! These settings differ from the defaults:
//!
//! - RocksDB: direct reads, also for flush and compaction; block cache = memory; a bloom filter of
//!   10 bits a key; no compression; loaded without its log, then fully compacted.
//! - redb: cache = memory; a thread empties the page cache of the system all the time.
//! - fjall: cache = memory; no compression; fully compacted; page cache as for redb.
//! - bf-tree: cache = the next power of two of the memory, which it demands; direct reads of each
//!   thread by a ring of its own (`IoUringBlocking`).
//! - sled: cache = memory; page cache as for redb.
//!
//! All are loaded in key order, which suits them; kvick is loaded in a pseudo-random order. The
//! thread that empties the page cache counts into the processor time of redb, fjall and sled.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::keys::key_of;
use benches::payload::Payload;
use benches::run::Beside;
use bf_tree::{BfTree, LeafInsertResult, LeafReadResult, StorageBackend};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{ReadableDatabase, TableDefinition};
use rustix::fs::{Advice, fadvise};
use versus::slices::{Slice, Walk, on_threads};

use crate::Data;

/// The number of records in one transaction or batch while loading.
const GROUP: usize = 10_000;

/// The period with which the page cache is emptied under a store that reads through it.
const EVICTION_INTERVAL: Duration = Duration::from_millis(20);

/// A store that blocks the thread that reads.
pub trait Rival: Sync {
    /// Returns a function for one thread that reads a key. It returns whether the value belongs to
    /// the key.
    fn reader(&self) -> Box<dyn FnMut(u64) -> Option<bool> + '_>;
    /// Returns the directory whose files must stay out of the page cache.
    fn cached_files(&self) -> Option<&Path>;
}

/// Runs a slice with a thread for every walk.
pub fn run(rival: &dyn Rival, walks: Vec<Walk>, duration: Duration) -> Slice {
    let evictor = rival.cached_files().map(|path| {
        let files = files_below(path);
        Beside::start("evictor", EVICTION_INTERVAL, move |_| files.iter().for_each(evict))
    });
    let slice = on_threads(walks, duration, |walk| {
        let mut read = rival.reader();
        while let Some([step]) = walk.take(1) {
            let started = Stopwatch::start();
            let found = read(key_of(step.target()));
            walk.timed(&started);
            walk.saw(found);
        }
    });
    if let Some(evictor) = evictor {
        evictor.stop();
    }
    slice
}

/// Calls `write` with groups of records in key order.
fn in_key_order<E>(
    data: Data,
    mut write: impl FnMut(&[(u64, Vec<u8>)]) -> Result<(), E>,
) -> Result<(), E> {
    let mut keys: Vec<u64> = (0..data.records).map(key_of).collect();
    keys.sort_unstable();
    for group in keys.chunks(GROUP) {
        let record = |key: &u64| {
            let mut value = <[u8]>::buffer(data.value_bytes);
            <[u8]>::stamp(&mut value, *key, 0);
            (*key, value)
        };
        write(&group.iter().map(record).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// RocksDB.
pub struct Rocks {
    database: rocksdb::DB,
    value_bytes: usize,
}

impl Rocks {
    /// Opens and loads the store.
    ///
    /// # Errors
    ///
    /// Returns any error of the store.
    pub fn fill(path: &Path, data: Data) -> Result<Self, Box<dyn Error>> {
        let mut blocks = rocksdb::BlockBasedOptions::default();
        let cache = rocksdb::Cache::new_lru_cache(usize::try_from(data.memory)?);
        blocks.set_block_cache(&cache);
        blocks.set_bloom_filter(10.0, false);
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_use_direct_reads(true);
        options.set_use_direct_io_for_flush_and_compaction(true);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        let database = rocksdb::DB::open(&options, path)?;
        let mut unlogged = rocksdb::WriteOptions::default();
        unlogged.disable_wal(true);
        in_key_order(data, |group| {
            let mut batch = rocksdb::WriteBatch::default();
            for (key, value) in group {
                batch.put(key.to_be_bytes(), value);
            }
            database.write_opt(batch, &unlogged)
        })?;
        database.flush()?;
        database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(Self { database, value_bytes: data.value_bytes })
    }
}

impl Rival for Rocks {
    fn reader(&self) -> Box<dyn FnMut(u64) -> Option<bool> + '_> {
        Box::new(|key| {
            let value = self.database.get_pinned(key.to_be_bytes()).expect("RocksDB reads")?;
            Some(<[u8]>::verify_view(&&*value, key, self.value_bytes))
        })
    }

    fn cached_files(&self) -> Option<&Path> {
        None
    }
}

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

/// redb.
pub struct Redb {
    database: redb::Database,
    directory: PathBuf,
    value_bytes: usize,
}

impl Redb {
    /// Opens and loads the store.
    ///
    /// # Errors
    ///
    /// Returns any error of the store.
    pub fn fill(path: &Path, data: Data) -> Result<Self, Box<dyn Error>> {
        std::fs::create_dir_all(path)?;
        let database = redb::Builder::new()
            .set_cache_size(usize::try_from(data.memory)?)
            .create(path.join("data.redb"))?;
        in_key_order(data, |group| -> Result<(), Box<dyn Error>> {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for (key, value) in group {
                    table.insert(key, value.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        })?;
        Ok(Self { database, directory: path.to_owned(), value_bytes: data.value_bytes })
    }
}

impl Rival for Redb {
    fn reader(&self) -> Box<dyn FnMut(u64) -> Option<bool> + '_> {
        let transaction = self.database.begin_read().expect("redb begins");
        let table = transaction.open_table(TABLE).expect("the table is there");
        Box::new(move |key| {
            let value = table.get(key).expect("redb reads")?;
            Some(<[u8]>::verify_view(&value.value(), key, self.value_bytes))
        })
    }

    fn cached_files(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

/// fjall.
pub struct Fjall {
    keyspace: Keyspace,
    _database: Database,
    directory: PathBuf,
    value_bytes: usize,
}

impl Fjall {
    /// Opens and loads the store.
    ///
    /// # Errors
    ///
    /// Returns any error of the store.
    pub fn fill(path: &Path, data: Data) -> Result<Self, Box<dyn Error>> {
        let database = Database::builder(path).cache_size(data.memory).open()?;
        let keyspace = database.keyspace("records", KeyspaceCreateOptions::default)?;
        in_key_order(data, |group| {
            group
                .iter()
                .try_for_each(|(key, value)| keyspace.insert(key.to_be_bytes(), value.as_slice()))
        })?;
        database.persist(PersistMode::SyncAll)?;
        keyspace.rotate_memtable_and_wait()?;
        keyspace.major_compact()?;
        let (directory, value_bytes) = (path.to_owned(), data.value_bytes);
        Ok(Self { keyspace, _database: database, directory, value_bytes })
    }
}

impl Rival for Fjall {
    fn reader(&self) -> Box<dyn FnMut(u64) -> Option<bool> + '_> {
        Box::new(|key| {
            let value = self.keyspace.get(key.to_be_bytes()).expect("fjall reads")?;
            Some(<[u8]>::verify_view(&&*value, key, self.value_bytes))
        })
    }

    fn cached_files(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

/// bf-tree.
pub struct Bf {
    tree: BfTree,
    value_bytes: usize,
}

impl Bf {
    /// Opens and loads the store.
    ///
    /// # Errors
    ///
    /// Returns any error of the store.
    pub fn fill(path: &Path, data: Data) -> Result<Self, Box<dyn Error>> {
        std::fs::create_dir_all(path)?;
        let cache = usize::try_from(data.memory)?.next_power_of_two();
        let mut config = bf_tree::Config::new(path.join("data.bftree"), cache);
        config.storage_backend(StorageBackend::IoUringBlocking);
        let tree = BfTree::with_config(config, None).map_err(|error| format!("{error:?}"))?;
        in_key_order(data, |group| {
            group.iter().try_for_each(|(key, value)| match tree.insert(&key.to_be_bytes(), value) {
                LeafInsertResult::Success => Ok(()),
                LeafInsertResult::InvalidKV(why) => Err(why),
            })
        })?;
        Ok(Self { tree, value_bytes: data.value_bytes })
    }
}

impl Rival for Bf {
    fn reader(&self) -> Box<dyn FnMut(u64) -> Option<bool> + '_> {
        let mut value = vec![0; self.value_bytes];
        Box::new(move |key| match self.tree.read(&key.to_be_bytes(), &mut value) {
            LeafReadResult::Found(bytes) => {
                let is_whole = usize::try_from(bytes) == Ok(self.value_bytes);
                Some(is_whole && <[u8]>::verify_view(&&*value, key, self.value_bytes))
            }
            LeafReadResult::NotFound | LeafReadResult::Deleted => None,
            LeafReadResult::InvalidKey => panic!("a key of 8 bytes is valid"),
        })
    }

    fn cached_files(&self) -> Option<&Path> {
        None
    }
}

/// sled.
#[cfg(feature = "sled")]
pub struct Sled {
    database: sled::Db,
    directory: PathBuf,
    value_bytes: usize,
}

#[cfg(feature = "sled")]
impl Sled {
    /// Opens and loads the store.
    ///
    /// # Errors
    ///
    /// Returns any error of the store.
    pub fn fill(path: &Path, data: Data) -> Result<Self, Box<dyn Error>> {
        let database = sled::Config::new().path(path).cache_capacity(data.memory).open()?;
        in_key_order(data, |group| {
            group.iter().try_for_each(|(key, value)| {
                database.insert(key.to_be_bytes(), value.as_slice()).map(drop)
            })
        })?;
        database.flush()?;
        Ok(Self { database, directory: path.to_owned(), value_bytes: data.value_bytes })
    }
}

#[cfg(feature = "sled")]
impl Rival for Sled {
    fn reader(&self) -> Box<dyn FnMut(u64) -> Option<bool> + '_> {
        Box::new(|key| {
            let value = self.database.get(key.to_be_bytes()).expect("sled reads")?;
            Some(<[u8]>::verify_view(&&*value, key, self.value_bytes))
        })
    }

    fn cached_files(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

fn files_below(path: &Path) -> Vec<File> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.extend(File::open(entry.path()));
        }
    }
    files
}

fn evict(file: &File) {
    // A file whose advice fails stays cached, which only helps the rival.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}
