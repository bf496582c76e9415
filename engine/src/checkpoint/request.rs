//! Asking for a checkpoint, and waiting for it.

use super::driver::{Checkpoints, Job};
use super::progress::{Progress, Watched};
use super::reply::Reply;
use super::{Checkpoint, CheckpointKind, CheckpointProgress, Durability};
use crate::error::{Error, Result};
use futures::channel::oneshot;
use futures::stream::Stream;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a checkpoint is to be like: await it, or [`start`](Self::start) it and watch.
///
/// By default it is folded over and survives power cuts, and has an image of the index if recovery
/// would else have long to go through the log.
///
/// ```
/// # use kvick::{Backend, Config, FasterKv, CheckpointKind};
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// store.upsert(&1, &10).await?;
/// let full = store.checkpoint().await?;
/// store.upsert(&1, &11).await?;
/// let snapshot = store.checkpoint().snapshot().without_index().await?;
/// assert_eq!(snapshot.kind, CheckpointKind::Snapshot);
/// assert!(snapshot.token > full.token);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a checkpoint is taken when the request is awaited or started"]
pub struct CheckpointRequest<'s> {
    checkpoints: &'s Checkpoints,
    plan: Plan,
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: CheckpointKind,
    pub(crate) index: IndexWish,
    pub(crate) durability: Durability,
}

/// Whether an image of the index is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexWish {
    /// If it is worth its bytes: the log has grown by as many since the last one.
    IfWorthwhile,
    Always,
    Never,
}

impl Plan {
    /// A checkpoint of this kind, as it is by default.
    pub(crate) fn full(kind: CheckpointKind) -> Self {
        Self { kind, index: IndexWish::IfWorthwhile, durability: Durability::PowerCut }
    }
}

impl<'s> CheckpointRequest<'s> {
    pub(crate) fn new(checkpoints: &'s Checkpoints) -> Self {
        Self { checkpoints, plan: Plan::full(CheckpointKind::FoldOver) }
    }

    /// Of this kind.
    pub fn kind(mut self, kind: CheckpointKind) -> Self {
        self.plan.kind = kind;
        self
    }

    /// [`CheckpointKind::FoldOver`], the default.
    pub fn fold_over(self) -> Self {
        self.kind(CheckpointKind::FoldOver)
    }

    /// [`CheckpointKind::Snapshot`].
    pub fn snapshot(self) -> Self {
        self.kind(CheckpointKind::Snapshot)
    }

    /// [`CheckpointKind::Incremental`].
    pub fn incremental(self) -> Self {
        self.kind(CheckpointKind::Incremental)
    }

    /// [`CheckpointKind::IndexOnly`].
    pub fn index_only(self) -> Self {
        self.kind(CheckpointKind::IndexOnly)
    }

    /// With an image of the index, however little the log has grown since the last one: recovery
    /// has next to nothing to go through. By default one is written when the log has grown by as
    /// many bytes as the image would have.
    pub fn with_index(mut self) -> Self {
        self.plan.index = IndexWish::Always;
        self
    }

    /// Of the log only: faster to take, slower to recover, since recovery goes through the log from
    /// the last image of the index on.
    pub fn without_index(mut self) -> Self {
        self.plan.index = IndexWish::Never;
        self
    }

    /// What it has to survive. Anything but the default is weaker.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.plan.durability = durability;
        self
    }

    /// Hands it to the store's maintenance, and returns at once.
    ///
    /// # Errors
    /// `Busy` while another checkpoint is being taken, `Poisoned`, `Closed`.
    pub fn start(self) -> Result<Checkpointing> {
        let (reply, answer) = Reply::new(self.checkpoints.core());
        let progress = Arc::new(Progress::default());
        let watched = Watched::new(Arc::clone(&progress));
        let job = Job::Checkpoint { plan: self.plan, reply, progress: watched };
        self.checkpoints.submit(job)?;
        Ok(Checkpointing { answer, progress })
    }
}

impl<'s> IntoFuture for CheckpointRequest<'s> {
    type Output = Result<Checkpoint>;
    type IntoFuture = kvick_io::BoxFuture<'s, Result<Checkpoint>>;

    /// Starts it at the first poll, and waits for it.
    ///
    /// # Errors
    /// Of [`start`](Self::start); `StorageFull` if there is no room for it: then it left nothing
    /// behind and can be taken again; `Io`; `Poisoned` if nobody knows any more what is durable.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.start()?.await })
    }
}

/// A checkpoint that is being taken, as a future. Dropped, the checkpoint goes on.
#[must_use = "whether a checkpoint was taken is known when this is awaited"]
pub struct Checkpointing {
    answer: oneshot::Receiver<Result<Checkpoint>>,
    progress: Arc<Progress>,
}

impl Checkpointing {
    /// How far it is, each time that changes; ends when the checkpoint does.
    pub fn progress(&self) -> impl Stream<Item = CheckpointProgress> + Send + Unpin + use<> {
        Arc::clone(&self.progress).watch()
    }
}

impl Future for Checkpointing {
    type Output = Result<Checkpoint>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_cancelled| Err(Error::closed())))
    }
}

impl fmt::Debug for Checkpointing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Checkpointing").field(&self.progress.now()).finish()
    }
}
