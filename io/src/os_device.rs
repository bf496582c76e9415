//! A device over segment files, whatever engine moves the bytes.
//!
//! A transfer to segments that exist goes straight to the engine. The first write into a new
//! segment goes to a thread that may block, which creates the file and then passes the operation
//! on: callers never wait for the file system.

use std::io;
use std::sync::Arc;

use crate::buf::AlignedBuf;
use crate::completion::{Completion, CompletionSink, OpTable, Transfer};
use crate::device::{Device, Geometry};
use crate::directory::BoxFuture;
use crate::file::StorageFile;
use crate::operation::{Kind, Operation, with_context};
use crate::os_directory::Place;
use crate::segments::{Extents, Insertion, Lookup, Segments, Truncation};

/// A [`Device`] made of real files.
#[derive(Debug)]
pub(crate) struct OsDevice {
    segments: Arc<Segments<StorageFile>>,
    place: Arc<Place>,
    geometry: Geometry,
}

impl OsDevice {
    pub(crate) fn new(segments: Arc<Segments<StorageFile>>, place: Arc<Place>) -> Self {
        let geometry = Geometry {
            block: place.medium.block,
            physical_block: place.medium.physical_block,
            direct: place.medium.direct,
            backend: place.backend.engine.name(),
            segment_bytes: segments.segment_bytes(),
        };
        Self { segments, place, geometry }
    }

    /// The operation of a read, or the completion of one that ends here.
    fn prepare_read(&self, offset: u64, buf: AlignedBuf) -> Result<Prepared, Completion> {
        let end = match self.geometry.check(offset, buf.len()) {
            Ok(end) if end == offset => return Err(nothing_to_do(buf)),
            Ok(end) => end,
            Err(error) => return Err(Completion::refused(error, Some(buf))),
        };
        match self.segments.look_up(offset, end) {
            Lookup::Present(extents) => Ok(self.begin(Kind::Read, extents, buf)),
            Lookup::Missing(_) => {
                let error = self.segments.past_the_end(offset);
                Err(Completion::refused(error, Some(buf)))
            }
            Lookup::Discarded(error) => Err(Completion::refused(error, Some(buf))),
        }
    }

    fn begin(&self, kind: Kind, extents: Extents<StorageFile>, buf: AlignedBuf) -> Prepared {
        let (completion, sink) = OpTable::begin(&self.place.backend.table);
        let mut operation = Operation::transfer(kind, extents, buf, sink);
        if kind == Kind::Write {
            operation = operation.holding(self.place.locks.hold());
        }
        Prepared { completion, operation }
    }

    /// Writes where segments are missing: creates them first, on a thread that may block.
    #[cold]
    fn write_creating(&self, offset: u64, end: u64, buf: AlignedBuf) -> Completion {
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
            match create_segments(&segments, &place, offset, end) {
                Ok(extents) => {
                    let operation = Operation::transfer(Kind::Write, extents, buf, sink);
                    let operation = operation.holding(hold);
                    place.backend.engine.submit(operation);
                }
                Err(error) => {
                    drop(hold);
                    fail(sink, error, buf);
                }
            }
        });
        completion
    }
}

struct Prepared {
    completion: Completion,
    operation: Operation,
}

fn nothing_to_do(buf: AlignedBuf) -> Completion {
    Completion::ready(Transfer { result: Ok(()), buf: Some(buf) })
}

fn fail(sink: CompletionSink, error: io::Error, buf: AlignedBuf) {
    sink.complete(Transfer { result: Err(error), buf: Some(buf) });
}

fn create_segments(
    segments: &Segments<StorageFile>,
    place: &Place,
    offset: u64,
    end: u64,
) -> io::Result<Extents<StorageFile>> {
    // One at a time: what another write has just created is not to be cut.
    let _creating = segments.creating();
    loop {
        match segments.look_up(offset, end) {
            Lookup::Present(extents) => return Ok(extents),
            Lookup::Discarded(error) => return Err(error),
            Lookup::Missing(index) => {
                let name = segments.file_name(index);
                let file = Arc::new(place.create_segment(&name)?);
                if segments.insert(index, file) == Insertion::Discarded {
                    place.remove(&name)?;
                }
            }
        }
    }
}

fn truncate(segments: &Segments<StorageFile>, place: &Place, end: u64) -> io::Result<()> {
    let Truncation { removed, cut } = segments.truncation(end)?;
    for (index, file) in removed {
        place.remove(&segments.file_name(index))?;
        segments.remove(index);
        place.close_deleted(file);
        if let Some(entries) = place.entries() {
            entries.note_written(0);
        }
    }
    match cut {
        Some((file, length)) => file.truncate(length).map_err(|error| {
            with_context(error, format!("truncating {} to {length} bytes", file.name()))
        }),
        None => Ok(()),
    }
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
        match self.segments.look_up(offset, end) {
            Lookup::Present(extents) => {
                let Prepared { completion, operation } = self.begin(Kind::Write, extents, buf);
                self.place.backend.engine.submit(operation);
                completion
            }
            Lookup::Missing(_) => self.write_creating(offset, end, buf),
            Lookup::Discarded(error) => Completion::refused(error, Some(buf)),
        }
    }

    fn sync(&self) -> Completion {
        let mut files = self.segments.files();
        // The entries last: they name files whose contents are then durable.
        files.extend(self.place.entries().map(Arc::clone));
        files.retain(|file| file.needs_sync());
        self.place.start_sync(files)
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let segments = Arc::clone(&self.segments);
            let job = move |place: &Arc<Place>| {
                for (index, file) in segments.discard_below(offset) {
                    place.remove(&segments.file_name(index))?;
                    place.close_deleted(file);
                }
                Ok(())
            };
            self.place.call(job).await
        })
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.geometry.check(end, 0)?;
            let segments = Arc::clone(&self.segments);
            self.place.call(move |place| truncate(&segments, place, end)).await
        })
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.segments.locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.segments.sum(StorageFile::length)
    }
}
