//! One operation on files: the next kernel call, and the meaning of its answer.
//!
//! An operation owns everything that it needs: its buffer, its files, its sink. It is a sequence of
//! calls that a backend makes one after the other. Each extent needs one call, or more if the
//! kernel transfers less than requested. It ends complete or with an error, never short.

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{CompletionSink, Transfer};
use crate::error::with_context;
use crate::files::durability::Queued;
use crate::files::file::StorageFile;
use crate::files::hold::Hold;
use crate::files::limits;
use crate::files::segments::{Extent, Extents, past_the_end};

/// A backend. Submitting never blocks and never fails: a refused operation completes with an error.
///
/// A backend admits reads separately from writes and syncs. However many operations of one class
/// wait, the other class proceeds. Within a class the order is first come, first served, across all
/// devices; small reads that callers submit by themselves have an order of their own.
pub(crate) trait Engine: Send + Sync + Debug {
    fn submit(&self, operation: Operation);

    /// Submits several operations with one wake of the thread that carries them out.
    fn submit_many(&self, operations: Vec<Operation>);

    fn name(&self) -> &'static str;

    /// Returns whether every operation fails from now on.
    fn is_dead(&self) -> bool {
        false
    }
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Sync,
}

/// One operation: moves to the backend, and through it.
#[derive(Debug)]
pub(crate) struct Operation {
    kind: Kind,
    retries: u32,
    /// Bytes of the buffer transferred so far.
    done: usize,
    /// The additional state of a sync.
    sync: Option<Box<SyncRun>>,
    /// The work that follows a write that has succeeded.
    next: Option<Next>,
    current: Extent<StorageFile>,
    /// The extents after the current one, the last first.
    later: Vec<Extent<StorageFile>>,
    buf: Option<AlignedBuf>,
    /// Keeps the directory locked, if this operation changes a file.
    hold: Option<Arc<Hold>>,
    sink: CompletionSink,
}

/// The state that only a sync has. A sync of several files goes to an engine one file after the
/// other, each at its turn.
#[derive(Debug)]
struct SyncRun {
    engine: Arc<dyn Engine>,
    /// The count of writes that the call in progress covers.
    covers: u64,
    /// The file whose turn this sync has.
    turn: Option<Arc<StorageFile>>,
}

/// Goes on with the buffer and the sink of a write that has succeeded.
pub(crate) struct Next(Box<dyn FnOnce(AlignedBuf, CompletionSink) + Send>);

/// The next call to the kernel.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) file: &'a StorageFile,
    pub(crate) offset: u64,
    /// The bytes of the buffer to transfer; empty for a sync.
    pub(crate) range: Range<usize>,
    pub(crate) buf: Option<&'a mut AlignedBuf>,
}

/// The next step after an answer of the kernel.
#[must_use]
#[derive(Debug)]
pub(crate) enum Progress {
    /// Make the next call.
    More,
    /// Give the result to the future.
    Finished(io::Result<()>),
}

/// The most bytes of one call: some kernels and file systems shorten, or fail, calls from 2 GiB.
const MAX_CALL: usize = 1 << 30;
/// The number of answers in a row without progress that ends an operation.
const MAX_RETRIES: u32 = 100;

impl Operation {
    /// Creates a read or write of the whole buffer.
    pub(crate) fn transfer(
        kind: Kind,
        extents: Extents<StorageFile>,
        buf: AlignedBuf,
        sink: CompletionSink,
    ) -> Self {
        debug_assert_ne!(kind, Kind::Sync);
        Self::new(kind, extents, Some(buf), sink)
    }

    /// Starts a sync of these files, one after the other. A sync that follows a write gives its
    /// buffer back.
    pub(crate) fn start_sync(
        files: Vec<Arc<StorageFile>>,
        engine: &Arc<dyn Engine>,
        hold: Arc<Hold>,
        (sink, buf): (CompletionSink, Option<AlignedBuf>),
    ) {
        let mut extents = files.into_iter().map(|file| Extent { file, offset: 0, len: 0 });
        let Some(first) = extents.next() else {
            // Before the future knows, as always.
            drop(hold);
            return sink.complete(Transfer { result: Ok(()), buf });
        };
        let extents = Extents { first, rest: extents.collect() };
        let mut sync = Self::new(Kind::Sync, extents, buf, sink).holding(hold);
        let engine = Arc::clone(engine);
        sync.sync = Some(Box::new(SyncRun { engine, covers: 0, turn: None }));
        sync.take_turn();
    }

    fn new(
        kind: Kind,
        extents: Extents<StorageFile>,
        buf: Option<AlignedBuf>,
        sink: CompletionSink,
    ) -> Self {
        let mut later = extents.rest;
        later.reverse();
        Self {
            kind,
            retries: 0,
            done: 0,
            sync: None,
            next: None,
            current: extents.first,
            later,
            buf,
            hold: None,
            sink,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether no caller waits for the operation, so that its remaining calls can be
    /// skipped. Returns false for a sync that has started: later syncs depend on its outcome.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.kind != Kind::Sync && self.sink.is_abandoned()
    }

    /// Returns the extent of an operation that has only one.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub(crate) fn only_extent(&self) -> Option<&Extent<StorageFile>> {
        self.later.is_empty().then_some(&self.current)
    }

    /// Returns the number of bytes of the next call.
    #[cfg(target_os = "linux")]
    pub(crate) fn next_bytes(&self) -> usize {
        self.current.len.min(MAX_CALL)
    }

    /// Returns the next call.
    pub(crate) fn call(&mut self) -> Call<'_> {
        let file = &*self.current.file;
        if self.kind == Kind::Sync {
            let run = self.sync.as_mut().expect("a sync has it");
            run.covers = file.durability().begin_sync();
        }
        let len = self.current.len.min(MAX_CALL);
        Call {
            file,
            offset: self.current.offset,
            range: self.done..self.done + len,
            // A sync only keeps the buffer of the write that it follows.
            buf: self.buf.as_mut().filter(|_| self.kind != Kind::Sync),
        }
    }

    /// Takes the answer to the last call: the number of bytes transferred.
    pub(crate) fn advance(&mut self, answer: io::Result<usize>) -> Progress {
        let transferred = match answer {
            Ok(transferred) => transferred,
            Err(error) if is_transient(&error) && self.retries < MAX_RETRIES => {
                self.retries += 1;
                return self.more();
            }
            Err(error) => return Progress::Finished(Err(self.failure(error))),
        };
        self.retries = 0;
        if let Some(run) = &self.sync {
            let noted = self.current.file.durability().note_synced(run.covers);
            return Progress::Finished(noted.map_err(|error| self.explain(error)));
        }
        if transferred == 0 {
            return Progress::Finished(Err(self.no_progress()));
        }
        assert!(transferred <= self.current.len, "the kernel transferred at most the request");
        self.done += transferred;
        self.current.offset += transferred as u64;
        self.current.len -= transferred;
        if self.kind == Kind::Write {
            self.current.file.note_written(self.current.offset);
        }
        if self.current.len > 0 { self.more() } else { self.next_extent() }
    }

    /// Gives the result and the buffer to the future. A sync continues with its next file.
    pub(crate) fn finish(mut self, result: io::Result<()>) {
        if let Some(run) = &mut self.sync {
            run.end_turn();
            let goes_on = result.is_ok() && !self.sink.is_abandoned();
            if let (true, Some(extent)) = (goes_on, self.later.pop()) {
                self.current = extent;
                return self.take_turn();
            }
        }
        if result.is_ok() && self.next.is_some() && !self.sink.is_abandoned() {
            return self.go_on();
        }
        self.complete(result);
    }

    /// Goes on with what follows this write.
    fn go_on(self) {
        let Self { current, later, buf, sink, next, hold, .. } = self;
        // What follows has a hold of its own.
        drop((current, later, hold));
        let (Next(next), buf) = (next.expect("something follows"), buf.expect("a write has one"));
        next(buf, sink);
    }

    fn complete(self, result: io::Result<()>) {
        let Self { kind, current, later, buf, hold, sink, next, .. } = self;
        // Before the future knows: its task may take the lock again, or count descriptors.
        drop((current, later, hold, next));
        let is_behind_write = kind == Kind::Sync && buf.is_some();
        let result = if is_behind_write { result.map_err(io::Error::other) } else { result };
        sink.complete(Transfer { result, buf });
    }

    /// Makes `next` follow this write, if it succeeds and is awaited.
    pub(crate) fn followed_by(
        mut self,
        next: impl FnOnce(AlignedBuf, CompletionSink) + Send + 'static,
    ) -> Self {
        debug_assert_eq!(self.kind, Kind::Write);
        self.next = Some(Next(Box::new(next)));
        self
    }

    /// Keeps the directory locked until this operation has ended.
    pub(crate) fn holding(mut self, hold: Arc<Hold>) -> Self {
        self.hold = Some(hold);
        self
    }

    /// Waits for the turn to sync the current file, then goes to the engine.
    fn take_turn(self) {
        let file = Arc::clone(&self.current.file);
        file.durability().take_turn(Box::new(self));
    }

    /// Returns the error of the operation. A failed sync is recorded in its file.
    fn failure(&self, error: io::Error) -> io::Error {
        let error = match self.kind {
            Kind::Sync => self.current.file.durability().note_failed(error),
            Kind::Write => {
                limits::explain_cut(error, self.current.offset + self.current.len as u64)
            }
            Kind::Read => error,
        };
        self.explain(error)
    }

    /// Ends an operation that the kernel does not have because its backend is gone. `cause` is the
    /// reason.
    #[cold]
    pub(crate) fn refuse(mut self, cause: &str) {
        if let Some(run) = &mut self.sync {
            run.lose_turn(cause);
        }
        let error = self.explain(io::Error::other(cause));
        self.complete(Err(error));
    }

    /// Ends an operation as [`refuse`](Self::refuse) does, when the kernel may still work on it.
    /// The buffer and the files that the kernel borrowed are never freed.
    #[cfg(target_os = "linux")]
    #[cold]
    pub(crate) fn lose(mut self, cause: &str) {
        if let Some(run) = &mut self.sync {
            run.lose_turn(cause);
        }
        let error = self.explain(io::Error::other(cause));
        let Self { current, later, buf, hold, sink, next, .. } = self;
        std::mem::forget((current, later, buf));
        // Before the future knows, as always. The next holder of the lock waits for the kernel's
        // remaining work in the segments, as after the death of a process.
        drop((hold, next));
        sink.complete(Transfer { result: Err(error), buf: None });
    }

    fn next_extent(&mut self) -> Progress {
        match self.later.pop() {
            Some(extent) => {
                self.current = extent;
                self.more()
            }
            None => Progress::Finished(Ok(())),
        }
    }

    /// Continues with the next call, unless no caller waits any more: a dropped operation must not
    /// change files later than necessary.
    fn more(&self) -> Progress {
        if self.is_abandoned() {
            return Progress::Finished(Err(io::Error::other("the operation was dropped")));
        }
        Progress::More
    }

    fn no_progress(&self) -> io::Error {
        let file = self.current.file.name();
        match self.kind {
            // Deleted files lose their bytes before they are closed.
            Kind::Read if self.current.file.is_deleted() => {
                io::Error::new(io::ErrorKind::NotFound, format!("{file} was deleted"))
            }
            Kind::Read => past_the_end(file, self.current.offset),
            _ => self.explain(io::ErrorKind::WriteZero.into()),
        }
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let verb = match self.kind {
            Kind::Read => "reading",
            Kind::Write => "writing",
            Kind::Sync => "syncing",
        };
        let (file, offset) = (self.current.file.name(), self.current.offset);
        let context = format!("{verb} {file} at offset {offset}");
        with_context(error, context)
    }
}

impl Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Next")
    }
}

impl Queued for Operation {
    fn begin(mut self: Box<Self>) {
        let run = self.sync.as_mut().expect("only syncs take turns");
        run.turn = Some(Arc::clone(&self.current.file));
        Arc::clone(&run.engine).submit(*self);
    }

    fn fail(self: Box<Self>, error: io::Error) {
        let error = self.explain(error);
        self.complete(Err(error));
    }
}

impl SyncRun {
    fn end_turn(&mut self) {
        if let Some(file) = self.turn.take() {
            file.durability().pass();
        }
    }

    /// Fails the syncs that wait for their turn, because the backend is gone.
    #[cold]
    fn lose_turn(&mut self, cause: &str) {
        if let Some(file) = self.turn.take() {
            file.durability().lose(cause);
        }
    }
}

impl Drop for SyncRun {
    fn drop(&mut self) {
        // The turn was released already, unless the engine dropped the sync.
        self.lose_turn("the sync was lost: its backend has stopped; open the directory again");
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
