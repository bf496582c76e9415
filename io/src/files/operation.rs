//! One operation on files: what to ask the kernel next, and what its answer means.
//!
//! An operation owns everything it needs: its buffer, its files, its sink. It is a sequence of
//! calls, made one after the other by whichever backend holds it: one for each extent, more if the
//! kernel transfers less than it was asked to. It ends complete or with an error, never short.

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

/// A backend. Submitting never blocks and never fails: an operation that cannot be carried out is
/// completed with an error.
///
/// Reads on one side and writes and syncs on the other are admitted separately: however many of
/// one kind wait, the other kind proceeds. Within a class the order is first come, first served,
/// whichever device it is for.
pub(crate) trait Engine: Send + Sync + Debug {
    fn submit(&self, operation: Operation);

    /// Submits several with one wake of whoever carries them out.
    fn submit_many(&self, operations: Vec<Operation>);

    fn name(&self) -> &'static str;

    /// Whether every operation fails from now on.
    fn is_dead(&self) -> bool {
        false
    }
}

/// What an operation does.
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
    /// What syncs have beyond that.
    sync: Option<Box<SyncRun>>,
    current: Extent<StorageFile>,
    /// The extents after the current one, the last first.
    later: Vec<Extent<StorageFile>>,
    buf: Option<AlignedBuf>,
    /// Keeps the directory locked, if this changes something.
    hold: Option<Arc<Hold>>,
    sink: CompletionSink,
}

/// The part of an operation that only a sync has. An engine gets a sync of several files as one
/// after the other, each when it is its turn.
#[derive(Debug)]
struct SyncRun {
    engine: Arc<dyn Engine>,
    /// What the call in progress covers.
    covers: u64,
    /// The file whose turn this is.
    turn: Option<Arc<StorageFile>>,
}

/// The next thing to ask of the kernel.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) file: &'a StorageFile,
    pub(crate) offset: u64,
    /// The bytes of the buffer to transfer; empty for a sync.
    pub(crate) range: Range<usize>,
    pub(crate) buf: Option<&'a mut AlignedBuf>,
}

/// What to do after an answer of the kernel.
#[must_use]
#[derive(Debug)]
pub(crate) enum Progress {
    /// Make the next call.
    More,
    /// Give the result to the future.
    Finished(io::Result<()>),
}

/// No single call transfers more: some kernels and file systems cut, or fail, at 2 GiB.
const MAX_CALL: usize = 1 << 30;
/// So many answers in a row without progress end an operation.
const MAX_RETRIES: u32 = 100;

impl Operation {
    /// A read or write of the whole buffer.
    pub(crate) fn transfer(
        kind: Kind,
        extents: Extents<StorageFile>,
        buf: AlignedBuf,
        sink: CompletionSink,
    ) -> Self {
        debug_assert_ne!(kind, Kind::Sync);
        Self::new(kind, extents, Some(buf), sink)
    }

    /// Starts a sync of these files, one after the other.
    pub(crate) fn start_sync(
        files: Vec<Arc<StorageFile>>,
        engine: &Arc<dyn Engine>,
        hold: Arc<Hold>,
        sink: CompletionSink,
    ) {
        let mut extents = files.into_iter().map(|file| Extent { file, offset: 0, len: 0 });
        let Some(first) = extents.next() else {
            return sink.complete(Transfer { result: Ok(()), buf: None });
        };
        let extents = Extents { first, rest: extents.collect() };
        let mut sync = Self::new(Kind::Sync, extents, None, sink).holding(hold);
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

    /// Whether nobody waits any more: what is left can be skipped. Never a sync that has begun:
    /// later ones wait for it, and for what it tells.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.kind != Kind::Sync && self.sink.is_abandoned()
    }

    /// The one extent of an operation that needs no other.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    pub(crate) fn only_extent(&self) -> Option<&Extent<StorageFile>> {
        self.later.is_empty().then_some(&self.current)
    }

    /// The next call.
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
            buf: self.buf.as_mut(),
        }
    }

    /// Takes in the answer to the last call: the number of bytes transferred.
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
        assert!(transferred <= self.current.len, "the kernel transferred what was asked for");
        self.done += transferred;
        self.current.offset += transferred as u64;
        self.current.len -= transferred;
        if self.kind == Kind::Write {
            self.current.file.note_written(self.current.offset);
        }
        if self.current.len > 0 { self.more() } else { self.next_extent() }
    }

    /// Gives the result and the buffer to the future; a sync goes on with its next file.
    pub(crate) fn finish(mut self, result: io::Result<()>) {
        if let Some(run) = &mut self.sync {
            run.end_turn();
            let goes_on = result.is_ok() && !self.sink.is_abandoned();
            if let (true, Some(extent)) = (goes_on, self.later.pop()) {
                self.current = extent;
                return self.take_turn();
            }
        }
        self.complete(result);
    }

    fn complete(self, result: io::Result<()>) {
        let Self { buf, hold, sink, .. } = self;
        // Before the future knows: it may go on to take the lock again.
        drop(hold);
        sink.complete(Transfer { result, buf });
    }

    /// Lets the directory stay locked until this has ended.
    pub(crate) fn holding(mut self, hold: Arc<Hold>) -> Self {
        self.hold = Some(hold);
        self
    }

    /// Waits for the turn to sync the current file, and then goes to the engine.
    fn take_turn(self) {
        let file = Arc::clone(&self.current.file);
        file.durability().take_turn(Box::new(self));
    }

    /// The error to end with. What a failed sync leaves is kept with the file.
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

    /// Ends an operation that the kernel has not been told of: its backend is gone, and `cause`
    /// says why.
    #[cold]
    pub(crate) fn refuse(mut self, cause: &str) {
        if let Some(run) = &mut self.sync {
            run.lose_turn(cause);
        }
        let error = self.explain(io::Error::other(cause));
        self.complete(Err(error));
    }

    /// As [`refuse`](Self::refuse), when the kernel may be at work still: what it was lent, the
    /// buffer and the files, is never freed.
    #[cfg(target_os = "linux")]
    #[cold]
    pub(crate) fn lose(mut self, cause: &str) {
        if let Some(run) = &mut self.sync {
            run.lose_turn(cause);
        }
        let error = self.explain(io::Error::other(cause));
        let Self { current, later, buf, hold, sink, .. } = self;
        std::mem::forget((current, later, buf));
        // Before the future knows, as ever. Whoever takes the lock next waits for what the kernel
        // still does in the segments, as after the death of a process.
        drop(hold);
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

    /// Goes on with the next call, unless nobody waits any more: what was dropped must not change
    /// files later than it has to.
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

    /// The backend is gone: those that wait for their turn end with this sync.
    #[cold]
    fn lose_turn(&mut self, cause: &str) {
        if let Some(file) = self.turn.take() {
            file.durability().lose(cause);
        }
    }
}

impl Drop for SyncRun {
    fn drop(&mut self) {
        // Nothing left, unless the engine dropped the sync.
        self.lose_turn("the sync was lost: what carries out its operations has stopped");
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
