//! A device over segment files, for every engine.
//!
//! A transfer to open segments goes straight to the engine. A transfer to a closed segment, and the
//! first write into a new segment, go to a thread that may block. That thread opens or creates the
//! file and then passes the operation on. So callers never wait for the file system.

use std::io;
use std::sync::Arc;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, OpTable, Transfer};
use crate::contract::device::{Device, Geometry};
use crate::files::file::StorageFile;
use crate::files::operation::{Kind, Operation};
use crate::files::segments::{Extents, Lookup};
use crate::os::open_segments::OsSegments;
use crate::os::place::Place;

/// A [`Device`] made of real files.
#[derive(Debug)]
pub(crate) struct OsDevice {
    segments: Arc<OsSegments>,
    place: Arc<Place>,
    geometry: Geometry,
}

impl OsDevice {
    pub(crate) fn new(segments: Arc<OsSegments>, place: Arc<Place>) -> Self {
        let geometry = Geometry {
            block: place.medium.block,
            physical_block: place.medium.physical_block,
            direct: place.medium.direct,
            backend: place.backend.engine.name(),
            segment_bytes: segments.table.segment_bytes(),
        };
        Self { segments, place, geometry }
    }

    /// Returns the operation of a read, or the completion of a read that ends here.
    fn prepare_read(&self, offset: u64, buf: AlignedBuf) -> Result<Prepared, Completion> {
        let end = match self.geometry.check(offset, buf.len()) {
            Ok(end) if end == offset => return Err(nothing_to_do(buf)),
            Ok(end) => end,
            Err(error) => return Err(Completion::refused(error, Some(buf))),
        };
        match self.segments.table.look_up(offset, end) {
            Lookup::Present(extents) => Ok(self.begin(Kind::Read, extents, buf)),
            // It is open by now, if another transfer has opened it since the look-up.
            Lookup::Missing(index) if self.segments.table.exists(index) => {
                Err(self.open_first(Kind::Read, (offset, end), buf))
            }
            Lookup::Missing(_) => {
                let error = self.segments.table.past_the_end(offset);
                Err(Completion::refused(error, Some(buf)))
            }
            Lookup::Discarded(error) => Err(Completion::refused(error, Some(buf))),
        }
    }

    fn begin(&self, kind: Kind, extents: Extents<StorageFile>, buf: AlignedBuf) -> Prepared {
        self.segments.touch(&extents);
        let (completion, sink) = OpTable::begin(&self.place.backend.table);
        let mut operation = Operation::transfer(kind, extents, buf, sink);
        if kind == Kind::Write {
            operation = operation.holding(self.place.locks.hold());
        }
        Prepared { completion, operation }
    }

    /// Starts a transfer whose segments are not open. A thread that may block opens them, or
    /// creates the missing segments of a write.
    #[cold]
    fn open_first(&self, kind: Kind, range: (u64, u64), buf: AlignedBuf) -> Completion {
        if let Err(forked) = self.place.backend.blocking.birthplace().check() {
            return Completion::refused(forked, Some(buf));
        }
        let (completion, sink) = OpTable::begin(&self.place.backend.table);
        let (segments, place) = (Arc::clone(&self.segments), Arc::clone(&self.place));
        let hold = self.place.locks.hold();
        self.place.backend.blocking.run_first(move || {
            if sink.is_abandoned() {
                return;
            }
            match segments.bring(&place, range, kind == Kind::Write) {
                Ok(extents) => {
                    let operation = Operation::transfer(kind, extents, buf, sink).holding(hold);
                    let engine = Arc::clone(&place.backend.engine);
                    // Before the operation can end: its end frees what it used.
                    drop((segments, place));
                    engine.submit(operation);
                }
                Err(error) => {
                    drop((segments, place, hold));
                    sink.complete(Transfer { result: Err(error), buf: Some(buf) });
                }
            }
        });
        completion
    }

    /// Makes a sync follow a write.
    fn then_sync(&self, write: Operation) -> Operation {
        let (segments, place) = (Arc::clone(&self.segments), Arc::clone(&self.place));
        let hold = self.place.locks.hold();
        write.followed_by(move |buf, sink| {
            let files = files_to_sync(&segments, &place);
            let engine = Arc::clone(&place.backend.engine);
            drop((segments, place));
            Operation::start_sync(files, &engine, hold, (sink, Some(buf)));
        })
    }

    /// Starts a sync that begins with the segments of an earlier process that were never opened.
    #[cold]
    fn sync_closed_first(&self) -> Completion {
        let (completion, sink) = OpTable::begin(&self.place.backend.table);
        let (segments, place) = (Arc::clone(&self.segments), Arc::clone(&self.place));
        let hold = self.place.locks.hold();
        self.place.backend.blocking.run_first(move || match segments.sync_closed(&place) {
            Ok(()) => {
                let files = files_to_sync(&segments, &place);
                let engine = Arc::clone(&place.backend.engine);
                drop((segments, place));
                Operation::start_sync(files, &engine, hold, (sink, None));
            }
            Err(error) => {
                drop((segments, place, hold));
                sink.complete(Transfer { result: Err(error), buf: None });
            }
        });
        completion
    }
}

/// Returns the files to sync. The entries come last: they name files whose contents are then
/// durable.
fn files_to_sync(segments: &OsSegments, place: &Place) -> Vec<Arc<StorageFile>> {
    let mut files = segments.unsynced_files();
    files.extend(place.entries().filter(|entries| entries.needs_sync()).map(Arc::clone));
    files
}

struct Prepared {
    completion: Completion,
    operation: Operation,
}

fn nothing_to_do(buf: AlignedBuf) -> Completion {
    Completion::ready(Transfer { result: Ok(()), buf: Some(buf) })
}

impl Device for OsDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        match self.prepare_read(offset, buf) {
            Ok(Prepared { completion, operation }) => {
                self.place.backend.engine.submit(operation);
                completion
            }
            Err(completion) => completion,
        }
    }

    fn read_many(&self, reads: Vec<(u64, AlignedBuf)>) -> Vec<Completion> {
        let mut operations = Vec::with_capacity(reads.len());
        let mut completions = Vec::with_capacity(reads.len());
        for (offset, buf) in reads {
            completions.push(match self.prepare_read(offset, buf) {
                Ok(Prepared { completion, operation }) => {
                    operations.push(operation);
                    completion
                }
                Err(completion) => completion,
            });
        }
        if !operations.is_empty() {
            self.place.backend.engine.submit_many(operations);
        }
        completions
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let end = match self.geometry.check(offset, buf.len()) {
            Ok(end) if end == offset => return nothing_to_do(buf),
            Ok(end) => end,
            Err(error) => return Completion::refused(error, Some(buf)),
        };
        match self.segments.table.look_up(offset, end) {
            Lookup::Present(extents) => {
                let Prepared { completion, operation } = self.begin(Kind::Write, extents, buf);
                self.place.backend.engine.submit(operation);
                completion
            }
            Lookup::Missing(_) => self.open_first(Kind::Write, (offset, end), buf),
            Lookup::Discarded(error) => Completion::refused(error, Some(buf)),
        }
    }

    fn write_and_sync(&self, offset: u64, buf: AlignedBuf) -> Result<Completion, AlignedBuf> {
        let Ok(end) = self.geometry.check(offset, buf.len()) else {
            return Err(buf);
        };
        match self.segments.table.look_up(offset, end) {
            Lookup::Present(extents) if end > offset && self.segments.is_closed_synced() => {
                let Prepared { completion, operation } = self.begin(Kind::Write, extents, buf);
                self.place.backend.engine.submit(self.then_sync(operation));
                Ok(completion)
            }
            _ => Err(buf),
        }
    }

    fn sync(&self) -> Completion {
        if !self.segments.is_closed_synced() {
            return self.sync_closed_first();
        }
        self.place.start_sync(files_to_sync(&self.segments, &self.place))
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let segments = Arc::clone(&self.segments);
            self.place.call(move |place| segments.discard(place, offset)).await
        })
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.geometry.check(end, 0)?;
            let segments = Arc::clone(&self.segments);
            self.place.call(move |place| segments.truncate(place, end)).await
        })
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.segments.table.locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.segments.bytes_stored()
    }
}
