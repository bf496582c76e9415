//! The store as its users hold it: a handle, and how it is opened.

use crate::builder::Builder;
use crate::codec::{Key, Value};
use crate::config::Config;
use crate::error::Result;
use crate::futures::{
    CompareAndSwap, Contains, Delete, InsertIfAbsent, Read, ReadWith, Rmw, TryRead, Upsert,
};
use crate::session::{Session, operations};
use crate::statistics::Stats;
use crate::store::Core;
use crate::store::Types;
use crate::store::access::Access;
use crate::store::batch;
use crate::store::changes::{Insert, Swap, Update};
use crate::store::delete::Delete as DeleteOperation;
use crate::store::modify::Modify;
use crate::store::operation::Running;
use crate::store::read::{Exists, Owned, Read as ReadOperation, Viewed};
use crate::store::upsert::Upsert as UpsertOperation;
use kvick_runtime::Task;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tracing::Instrument;

/// A larger-than-memory key-value store: a cheap handle, `Clone + Send + Sync`.
///
/// Operations on the handle borrow a place in the epoch table for each poll and carry no order
/// among themselves; a [`Session`] has a place of its own and is a sequence. Dropping the last
/// handle and session ends the store in the background; [`close`](Self::close) waits for that and
/// tells of errors.
///
/// ```
/// # use kvick::{Backend, Config, FasterKv};
/// # kvick::runtime::block_on(async {
/// let config = Config::default().with_backend(Backend::Memory);
/// let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// let mut session = store.session()?;
/// session.upsert(&42, &100).await?;
/// session.rmw(&42, |v| v.unwrap_or(0) + 1).await?;
/// assert_eq!(session.read(&42).await?, Some(101));
/// session.delete(&42).await?;
/// assert_eq!(session.read_many(&[1, 42]).await?, [None, None]);
/// # drop(session);
/// store.close().await
/// # }).unwrap();
/// ```
pub struct FasterKv<K: Key + ?Sized, V: Value + ?Sized> {
    core: Arc<Core>,
    opened: Arc<Opened>,
    _types: Types<K, V>,
}

/// What ends when the last handle and session are gone.
#[derive(Debug)]
pub(crate) struct Opened {
    core: Arc<Core>,
    maintenance: Mutex<Option<Task<()>>>,
}

impl Opened {
    pub(crate) fn new(core: Arc<Core>, maintenance: Task<()>) -> Self {
        Self { core, maintenance: Mutex::new(Some(maintenance)) }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Creates a store in `path`, a directory of its own, with the built-in background executor.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds, `AlreadyExists` if the directory holds
    /// a store (recovery is not built yet; nothing is touched), `InUse` if another store has it
    /// open, `Io`, `StorageFull`.
    ///
    /// # Cancel safety
    /// A directory that was being created may be left with a lock file in it.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Opens with components of one's own: a runtime, a directory, a seed.
    pub fn builder(config: Config) -> Builder<K, V> {
        Builder::new(config)
    }

    pub(crate) fn new(core: Arc<Core>, opened: Arc<Opened>) -> Self {
        Self { core, opened, _types: PhantomData }
    }

    /// A session: a sequence of operations for one task.
    ///
    /// # Errors
    /// `Closed`.
    pub fn session(&self) -> Result<Session<K, V>> {
        let seat = self.core.seat()?;
        Ok(Session::new(Arc::clone(&self.core), seat, Arc::clone(&self.opened)))
    }

    /// Writes everything to the device and waits until it is durable. Records written before stay
    /// in memory but are no longer updated in place.
    ///
    /// # Errors
    /// `StorageFull`, `Poisoned`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The writing goes on.
    pub async fn flush(&self) -> Result<()> {
        let span = tracing::debug_span!(target: "kvick::flush", "flush");
        self.core.flush().instrument(span).await
    }

    /// Like [`flush`](Self::flush), and leaves none of it in memory: the next read of each key
    /// awaits the device.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The writing goes on.
    pub async fn flush_and_evict(&self) -> Result<()> {
        let span = tracing::debug_span!(target: "kvick::flush", "flush_and_evict");
        self.core.flush_and_evict().instrument(span).await
    }

    /// Flushes, refuses every operation from then on, and waits until the store has let go of its
    /// directory. All handles and sessions of the store are closed by this; closing twice is fine.
    ///
    /// # Errors
    /// Of the flush; the store is closed all the same.
    ///
    /// # Cancel safety
    /// Dropped early it may leave the store open.
    pub async fn close(&self) -> Result<()> {
        let span = tracing::info_span!(target: "kvick::close", "close");
        let flushed = self.core.flush().instrument(span).await;
        self.core.close();
        let maintenance = self.opened.maintenance.lock().expect("nothing panics under it").take();
        let Some(maintenance) = maintenance else {
            return Ok(());
        };
        if let Err(failed) = maintenance.await {
            return Err(crate::error::Error::io("maintenance", std::io::Error::other(failed)));
        }
        flushed
    }

    /// What the store has done and holds.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    #[inline(always)]
    fn access(&self) -> Access<'_> {
        Access::pooled(&self.core)
    }

    operations!(self, &'a Self, &Self);
}

impl<K: Key + ?Sized, V: Value + ?Sized> Clone for FasterKv<K, V> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.core), Arc::clone(&self.opened))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for FasterKv<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("FasterKv");
        debug.field("key", &K::type_name()).field("value", &V::type_name());
        debug.field("log_end", &self.core.log_end()).finish_non_exhaustive()
    }
}
