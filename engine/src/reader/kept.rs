//! Readers of the checkpoints that a store in this process keeps.

use super::database_reader::DatabaseReader;
use super::source::Source;
use super::store_reader::StoreReader;
use crate::base::error::{Error, Result};
use crate::checkpoint::Token;
use crate::codec::{Key, Value};
use crate::database::Database;
use crate::kv::FasterKv;
use std::sync::Arc;

impl Database {
    /// Shows a kept checkpoint of this database, while operations continue: all of its tables as of
    /// that moment. See [`FasterKv::at`].
    ///
    /// # Errors
    /// As for [`FasterKv::at`].
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn at(&self, token: Token) -> Result<DatabaseReader> {
        source_of(self, token).await.map(DatabaseReader::new)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Shows a kept checkpoint of this store, while operations continue: the table as of that
    /// moment, to read and to scan.
    ///
    /// The checkpoint is restored beside the store, as for a [reader](crate::reader) of another
    /// process: the index, and the records that the checkpoint has beside the log, are in memory
    /// once more, for as long as the reader lives. All other records are read from the device. So
    /// it costs about an opening, and nothing of the pages that the store has in memory is moved or
    /// copied.
    ///
    /// The files of the checkpoint stay while the reader shows it, also if the store removes the
    /// checkpoint. Their bytes are in `pinned_bytes` of [`SpaceStats`](crate::stats::SpaceStats),
    /// and count within the [`disk`](crate::Config::disk) budget. The next checkpoint after the
    /// reader is dropped lets them go. After the store is closed, the reader is like any other: a
    /// read that misses what a later opening has removed fails with `Truncated`.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// use futures::TryStreamExt;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert(&1, &10).await?;
    /// let monday = store.checkpoint().await?.token;
    /// store.upsert(&1, &11).await?; // in place
    /// store.upsert(&2, &20).await?;
    ///
    /// let shown = store.at(monday).await?;
    /// let pairs: Vec<(u64, u64)> = shown.scan().try_collect().await?;
    /// assert_eq!(pairs, [(1, 10)]);
    /// assert_eq!(store.read(&1).await?, Some(11));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if the store keeps no such [checkpoint](Self::checkpoints), or the table
    /// was dropped. `Unsupported` for a cache that keeps nothing on a device. `Corrupt` if the
    /// checkpoint is damaged. `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn at(&self, token: Token) -> Result<StoreReader<K, V>> {
        let source = source_of(self.database(), token).await?;
        let mut tables = self.database().lifecycle().checkpoints.tables();
        tables.retain(|table| table.number() == self.table().number);
        // A task may have changed its name.
        let table = tables.pop().ok_or_else(|| self.table().dropped())?;
        let reader = StoreReader::new(source, Some(table.name.into()));
        reader.check_table()?;
        Ok(reader)
    }
}

/// Shows a checkpoint that the store keeps.
async fn source_of(database: &Database, token: Token) -> Result<Arc<Source>> {
    let core = database.core();
    core.check_read()?;
    if core.config.is_in_memory() {
        return Err(Error::unsupported("checkpoints of a cache without files"));
    }
    let lifecycle = database.lifecycle();
    let opening = lifecycle.reopening.as_ref().expect("a writer has it");
    Source::of_store(&lifecycle.checkpoints, opening, token).await
}
