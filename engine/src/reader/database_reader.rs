//! The reader of a store of many tables.

use super::source::Source;
use super::store_reader::StoreReader;
use crate::base::error::Result;
use crate::builder::Builder;
use crate::checkpoint::Info;
use crate::codec::{Key, Value};
use crate::config::Config;
use crate::database::Table;
use crate::store::sessions::identity::{CommitPoint, SessionId as Id};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Reads the tables of a [`Database`](crate::Database) that another process may write, all as of
/// one checkpoint. It takes no lock and changes nothing. See [`reader`](crate::reader).
///
/// ```
/// # use kvick::{Config, Database};
/// # use kvick::reader::DatabaseReader;
/// # let place = tempfile::tempdir().unwrap();
/// # let path = place.path().join("data");
/// # kvick::runtime::block_on(async {
/// let database = Database::open(&path, Config::default()).await?;
/// let users = database.table::<u64, str>("users").await?;
/// users.upsert(&7, "ada").await?;
/// database.checkpoint().await?;
///
/// let reader = DatabaseReader::open(&path, Config::default()).await?;
/// let shown = reader.table::<u64, str>("users")?;
/// assert_eq!(shown.read(&7).await?.as_deref(), Some("ada"));
/// # database.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct DatabaseReader {
    source: Arc<Source>,
}

impl DatabaseReader {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self { source }
    }

    /// Shows the newest checkpoint of the database in `path`.
    ///
    /// # Errors
    /// As for [`StoreReader::open`], except for types.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Returns a builder for custom components, as [`StoreReader::builder`] does.
    pub fn builder(config: Config) -> Builder<Self> {
        Builder::new(config)
    }

    /// Returns the tables, by number. The list is that of the last refresh to another checkpoint,
    /// or of the opening.
    pub fn tables(&self) -> Vec<Table> {
        self.source.view().database().tables()
    }

    /// Returns the reader of the table `name`. After a refresh it looks for the name again.
    ///
    /// # Errors
    /// `InvalidArgument` for a table of other types, which the error names, and if there is no such
    /// table in [`tables`](Self::tables).
    pub fn table<K: Key + ?Sized, V: Value + ?Sized>(
        &self,
        name: &str,
    ) -> Result<StoreReader<K, V>> {
        let reader = StoreReader::new(Arc::clone(&self.source), Some(name.into()));
        reader.check_table()?;
        Ok(reader)
    }

    /// Moves to the newest checkpoint, with the readers of all tables. See
    /// [`StoreReader::refresh`].
    ///
    /// # Errors
    /// As for [`StoreReader::refresh`].
    ///
    /// # Cancel safety
    /// The future can be dropped at any time; the refresh has happened or not.
    pub async fn refresh(&self) -> Result<bool> {
        self.source.refresh().await
    }

    /// Returns the checkpoint that is shown.
    pub fn checkpoint(&self) -> Info {
        self.source.checkpoint()
    }

    /// Returns the commit points of sessions in the checkpoint: the operations that it has.
    pub fn sessions(&self) -> BTreeMap<Id, CommitPoint> {
        self.source.sessions()
    }
}

impl Builder<DatabaseReader> {
    /// Shows the database in `path`, as [`DatabaseReader::open`] does.
    ///
    /// The path is ignored if a directory was set.
    ///
    /// # Errors
    /// As for [`DatabaseReader::open`].
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<DatabaseReader> {
        let source = Source::open(self.reading(Some(path.as_ref()))?, None).await?;
        Ok(DatabaseReader { source })
    }

    /// Shows the database in the directory that was set, in which nothing is changed.
    ///
    /// # Errors
    /// As for [`DatabaseReader::open`]; `InvalidArgument` if no directory was set.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open_in_directory(self) -> Result<DatabaseReader> {
        let source = Source::open(self.reading(None)?, None).await?;
        Ok(DatabaseReader { source })
    }
}
