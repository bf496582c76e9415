//! The reader of one table.

use super::source::Source;
use super::view::View;
use crate::base::error::{Error, Result};
use crate::builder::Builder;
use crate::checkpoint::Info;
use crate::codec::{Key, Value};
use crate::config::Config;
use crate::kv::FasterKv;
use crate::recovery::TypeNames;
use crate::store::sessions::identity::{CommitPoint, SessionId as Id};
use crate::store::{TableInner, Types};
use futures::stream::{BoxStream, StreamExt};
use kvick_io::sync::Mutex;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Weak};

/// Reads one table of a store that another process may write, as of a checkpoint. It takes no lock
/// and changes nothing. See [`reader`](crate::reader).
///
/// A clone shows the same checkpoint, and moves with the refresh of any other. Give each task its
/// own clone: it remembers its table.
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::reader::StoreReader;
/// # let place = tempfile::tempdir().unwrap();
/// # let path = place.path().join("data");
/// # kvick::runtime::block_on(async {
/// let store: FasterKv<str, u64> = FasterKv::open(&path, Config::default()).await?;
/// store.upsert("apples", &3).await?;
/// store.checkpoint().cookie(b"monday".to_vec()).await?;
///
/// let reader: StoreReader<str, u64> = // mostly in another process
///     StoreReader::open(&path, Config::default()).await?;
/// assert_eq!(reader.read("apples").await?, Some(3));
/// assert_eq!(reader.checkpoint().cookie, b"monday");
///
/// store.upsert("apples", &4).await?;
/// store.checkpoint().await?;
/// assert_eq!(reader.read("apples").await?, Some(3)); // still the checkpoint that it shows
/// assert!(reader.refresh().await?);
/// assert_eq!(reader.read("apples").await?, Some(4));
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct StoreReader<K: Key + ?Sized, V: Value + ?Sized> {
    // Fixed after opening.
    source: Arc<Source>,
    /// `None` is the only table of the store.
    name: Option<Arc<str>>,
    types: Arc<TypeNames>,
    // Under its lock: the number of a view, and the table in it.
    table: Mutex<(u64, Weak<TableInner>)>,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> StoreReader<K, V> {
    /// Shows the newest checkpoint of the store in `path`, which has one table.
    ///
    /// `config` is of the reader: its memory need not be that of the writer, see
    /// [`reader`](crate::reader#memory-and-threads). The settings of files and checkpoints do not
    /// matter.
    ///
    /// # Errors
    /// `NotFound` if there is no store, or the store has no checkpoint. `InvalidArgument` for other
    /// types than those of the table, for a [`Database`](crate::Database) that has not exactly one
    /// table, for a configuration that is out of bounds, and for less memory than the checkpoint
    /// needs; the message names both. `Corrupt` if the newest checkpoint is damaged (see
    /// [`Config::allow_fallback`]). `Busy` if the writer keeps removing checkpoints while they are
    /// being read. `Unsupported`, `Io`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Returns a builder for custom components: a runtime, a directory, a clock.
    ///
    /// [`recover`](Builder::recover) chooses the checkpoint that is shown first; nothing is
    /// discarded. The [`seed`](Builder::seed) has no meaning.
    pub fn builder(config: Config) -> Builder<Self> {
        Builder::new(config)
    }

    pub(super) fn new(source: Arc<Source>, name: Option<Arc<str>>) -> Self {
        let types = Arc::new(TypeNames::of::<K, V>());
        Self { source, name, types, table: Mutex::new((0, Weak::new())), _types: PhantomData }
    }

    /// Moves to the newest checkpoint, with all readers of this opening. Returns whether another
    /// checkpoint is shown now.
    ///
    /// Reads and scans that have begun stay on the checkpoint before, whose memory is free after
    /// them.
    ///
    /// # Errors
    /// As for [`open`](Self::open); `InvalidArgument` if there is another store now. The checkpoint
    /// that was shown is still shown. A damaged checkpoint that
    /// [`allow_fallback`](Config::allow_fallback) passed over is not tried again.
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

    /// Returns the value of `key` in the checkpoint, or `None`.
    ///
    /// # Errors
    /// `Truncated` if the writer has dropped the checkpoint, and removed what this read needs:
    /// [`refresh`](Self::refresh). `InvalidArgument` if the store has no such table any more, since
    /// the last refresh. Others as for [`Session::read`](crate::Session::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn read(&self, key: &K::Item) -> Result<Option<V::Owned>> {
        let shown = self.shown()?;
        let read = shown.table.read(key).await;
        shown.explained(read).await
    }

    /// Calls `look` with the value of `key` in the checkpoint, as
    /// [`Session::read_with`](crate::Session::read_with) does.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn read_with<F, R>(&self, key: &K::Item, look: F) -> Result<Option<R>>
    where
        F: FnOnce(V::View<'_>) -> R,
    {
        let shown = self.shown()?;
        let read = shown.table.read_with(key, look).await;
        shown.explained(read).await
    }

    /// Returns whether `key` has a value in the checkpoint.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn contains(&self, key: &K::Item) -> Result<bool> {
        let shown = self.shown()?;
        let read = shown.table.contains(key).await;
        shown.explained(read).await
    }

    /// Returns the values of `keys`, in their order, all of one checkpoint. Reads of the device
    /// overlap.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn read_many<Q>(&self, keys: &[Q]) -> Result<Vec<Option<V::Owned>>>
    where
        Q: Borrow<K::Item>,
    {
        let shown = self.shown()?;
        let read = shown.table.read_many(keys).await;
        shown.explained(read).await
    }

    /// Returns a stream of all keys with their values, in no order, all of one checkpoint. A
    /// refresh does not change it. See [`scan`](crate::scan) for its memory and its cost.
    ///
    /// # Errors
    /// The items are results. `Truncated` as for [`read`](Self::read): refresh, and scan again.
    /// Others as for [`FasterKv::scan`].
    pub fn scan(&self) -> BoxStream<'static, Result<(K::Owned, V::Owned)>>
    where
        K::Owned: Send,
        V::Owned: Send,
    {
        let shown = match self.shown() {
            Ok(shown) => Arc::new(shown),
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        let scan = shown.table.scan();
        scan.then(move |item| {
            let shown = Arc::clone(&shown);
            async move { shown.explained(item).await }
        })
        .boxed()
    }

    /// Counts the keys that have a value in the checkpoint. It costs as much as a
    /// [`scan`](Self::scan), without long values.
    ///
    /// # Errors
    /// As for [`scan`](Self::scan), without `Codec`.
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn count(&self) -> Result<u64> {
        let shown = self.shown()?;
        let counted = shown.table.count().await;
        shown.explained(counted).await
    }

    /// Checks that the store has the table, with these types.
    pub(super) fn check_table(&self) -> Result<()> {
        self.shown().map(drop)
    }

    /// Returns the table in the view that is shown now.
    fn shown(&self) -> Result<Shown<K, V>> {
        let view = self.source.view();
        let mut known = self.table.lock().expect("nothing panics under it");
        let table = match known.1.upgrade().filter(|_| known.0 == view.number()) {
            Some(table) => table,
            None => {
                let table = view.table(self.name.as_deref(), &self.types)?;
                *known = (view.number(), Arc::downgrade(&table));
                table
            }
        };
        drop(known);
        let table = FasterKv::new(table, view.database().clone());
        Ok(Shown { source: Arc::clone(&self.source), view, table })
    }
}

/// A table of one view, for one read.
struct Shown<K: Key + ?Sized, V: Value + ?Sized> {
    source: Arc<Source>,
    view: Arc<View>,
    table: FasterKv<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> Shown<K, V> {
    /// Returns the result of a read, with the reason for its error.
    async fn explained<T>(&self, read: Result<T>) -> Result<T> {
        match read {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.explain(error).await),
        }
    }

    #[cold]
    async fn explain(&self, error: Error) -> Error {
        self.source.explain(&self.view, error).await
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Builder<StoreReader<K, V>> {
    /// Shows the store in `path`, as [`StoreReader::open`] does.
    ///
    /// The path is ignored if a directory was set.
    ///
    /// # Errors
    /// As for [`StoreReader::open`].
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<StoreReader<K, V>> {
        let opening = self.reading(Some(path.as_ref()))?;
        let source = Source::open(opening, Some(TypeNames::of::<K, V>())).await?;
        Ok(StoreReader::new(source, None))
    }

    /// Shows the store in the directory that was set, in which nothing is changed.
    ///
    /// # Errors
    /// As for [`StoreReader::open`]; `InvalidArgument` if no directory was set.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open_in_directory(self) -> Result<StoreReader<K, V>> {
        let opening = self.reading(None)?;
        let source = Source::open(opening, Some(TypeNames::of::<K, V>())).await?;
        Ok(StoreReader::new(source, None))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Clone for StoreReader<K, V> {
    fn clone(&self) -> Self {
        let (source, types) = (Arc::clone(&self.source), Arc::clone(&self.types));
        let table = Mutex::new((0, Weak::new()));
        Self { source, name: self.name.clone(), types, table, _types: PhantomData }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for StoreReader<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("StoreReader");
        debug.field("table", &self.name).field("source", &self.source).finish()
    }
}
