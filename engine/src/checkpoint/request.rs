//! Requests for checkpoints, and the futures that wait for them.

use super::driver::Checkpoints;
use super::plan::{CheckpointPlan, IndexWish};
use super::progress::Progress;
use super::reply::Answer;
use super::{Checkpoint, CheckpointKind, CheckpointProgress, Durability};
use crate::base::error::Result;
use futures::stream::Stream;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Options for a checkpoint. Await the request to take it, or call [`start`](Self::start) to watch
/// its progress.
///
/// By default the store chooses the [kind](CheckpointKind::Auto), and the checkpoint survives power
/// cuts. It has an image of the index if recovery would otherwise have to read much of the log.
///
/// ```
/// # use kvick::{checkpoint, Config, FasterKv};
/// # use kvick::config::Backend;
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// store.upsert(&1, &10).await?;
/// let full = store.checkpoint().await?;
/// store.upsert(&1, &11).await?;
/// let snapshot = store.checkpoint().snapshot().without_index().await?;
/// assert_eq!(snapshot.kind, checkpoint::Kind::Snapshot);
/// assert!(snapshot.token > full.token);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a checkpoint is taken when the request is awaited or started"]
pub struct CheckpointRequest<'s> {
    checkpoints: &'s Checkpoints,
    plan: CheckpointPlan,
}

impl<'s> CheckpointRequest<'s> {
    pub(crate) fn new(checkpoints: &'s Checkpoints) -> Self {
        Self { checkpoints, plan: CheckpointPlan::full(CheckpointKind::Auto) }
    }

    /// Sets the kind of checkpoint. By default it is
    /// [`checkpoint::Kind::Auto`](CheckpointKind::Auto).
    pub fn kind(mut self, kind: CheckpointKind) -> Self {
        self.plan.kind = kind;
        self
    }

    /// Sets the kind to [`checkpoint::Kind::FoldOver`](CheckpointKind::FoldOver).
    pub fn fold_over(self) -> Self {
        self.kind(CheckpointKind::FoldOver)
    }

    /// Sets the kind to [`checkpoint::Kind::Snapshot`](CheckpointKind::Snapshot).
    pub fn snapshot(self) -> Self {
        self.kind(CheckpointKind::Snapshot)
    }

    /// Sets the kind to [`checkpoint::Kind::Incremental`](CheckpointKind::Incremental).
    pub fn incremental(self) -> Self {
        self.kind(CheckpointKind::Incremental)
    }

    /// Sets the kind to [`checkpoint::Kind::IndexOnly`](CheckpointKind::IndexOnly).
    pub fn index_only(self) -> Self {
        self.kind(CheckpointKind::IndexOnly)
    }

    /// Writes an image of the index, however little the log has grown since the last image.
    /// Recovery then has almost nothing to read. By default the checkpoint has an image if the log
    /// has grown by at least the bytes of the image.
    pub fn with_index(mut self) -> Self {
        self.plan.index = IndexWish::Always;
        self
    }

    /// Writes no image of the index. The checkpoint is faster; recovery is slower, because it reads
    /// the log from the last image on.
    pub fn without_index(mut self) -> Self {
        self.plan.index = IndexWish::Never;
        self
    }

    /// Writes an image of the index if the log has grown enough. This is the default.
    pub fn automatic_index(mut self) -> Self {
        self.plan.index = IndexWish::IfWorthwhile;
        self
    }

    /// Keeps these bytes with the checkpoint, at most 512. [`checkpoints`] and the [report] of a
    /// recovery show them. By default it has none.
    ///
    /// They are of the time before the request. So a consumer of a queue may pass the offset up to
    /// which its operations have ended: the checkpoint has them, and after a recovery the consumer
    /// goes on from there. It repeats what it had begun after that offset.
    ///
    /// A store with a [write-ahead log](crate::Config::durability) has more than the checkpoint
    /// after a crash. There the consumer uses the [offset](crate::Session::set_offset) of a
    /// session.
    ///
    /// [`checkpoints`]: crate::FasterKv::checkpoints
    /// [report]: crate::recovery::Report::cookie
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::io::MemoryDirectory;
    /// # use std::sync::Arc;
    /// # kvick::runtime::block_on(async {
    /// # let directory = Arc::new(MemoryDirectory::new());
    /// # let builder = || FasterKv::<u64, u64>::builder(Config::default());
    /// # let builder = || builder().directory(directory.clone());
    /// let store = builder().open_in_directory().await?;
    /// store.upsert(&1, &10).await?; // the message at offset 7
    /// store.checkpoint().cookie(8_u64.to_le_bytes()).await?;
    /// store.upsert(&1, &11).await?;
    /// # drop(store);
    /// # let store = loop {
    /// #     if let Ok(store) = builder().open_in_directory().await {
    /// #         break store;
    /// #     }
    /// # };
    ///
    /// // After a crash:
    /// let report = store.recovery().expect("there was a store");
    /// assert_eq!(report.cookie, 8_u64.to_le_bytes());
    /// assert_eq!(store.read(&1).await?, Some(10));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn cookie(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.plan.cookie = bytes.into();
        self
    }

    /// Sets the events that the checkpoint must survive. Any value but the default is weaker.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.plan.durability = durability;
        self
    }

    /// Starts the checkpoint in the store's maintenance task, and returns at once. The request
    /// itself, when awaited, waits for its turn instead of failing with `Busy`.
    ///
    /// # Errors
    /// `Busy` while another checkpoint is taken or removed, `Poisoned`, `Closed`.
    /// `InvalidArgument` for a cookie of more than 512 bytes, or beside an
    /// [index image](CheckpointKind::IndexOnly).
    pub fn start(self) -> Result<CheckpointHandle> {
        let (answer, progress) = self.checkpoints.start(self.plan)?;
        Ok(CheckpointHandle { answer, progress })
    }
}

impl<'s> IntoFuture for CheckpointRequest<'s> {
    type Output = Result<Checkpoint>;
    type IntoFuture = kvick_io::BoxFuture<'s, Result<Checkpoint>>;

    /// Starts the checkpoint when no other checkpoint is being taken or removed, and waits for it.
    ///
    /// # Errors
    /// As [`start`](Self::start), but not `Busy`. `StorageFull` if the medium has no space: then
    /// the checkpoint left no files, and can be taken again. `Io`. `Poisoned` if it is unknown
    /// which data is durable.
    ///
    /// # Cancel safety
    /// A started checkpoint continues if the future is dropped.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.checkpoints.start_in_turn(self.plan))
    }
}

/// The future of a checkpoint in progress. The checkpoint continues if the future is dropped.
#[must_use = "whether a checkpoint was taken is known when this is awaited"]
pub struct CheckpointHandle {
    answer: Answer<Checkpoint>,
    progress: Arc<Progress>,
}

impl CheckpointHandle {
    /// Returns a stream of its progress, which may skip to the latest change. It ends with the
    /// checkpoint.
    pub fn progress(&self) -> impl Stream<Item = CheckpointProgress> + Send + Unpin + use<> {
        Arc::clone(&self.progress).watch()
    }
}

impl Future for CheckpointHandle {
    type Output = Result<Checkpoint>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context)
    }
}

impl fmt::Debug for CheckpointHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CheckpointHandle").field(&self.progress.now()).finish()
    }
}
