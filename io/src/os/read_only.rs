//! A directory of real files that is never written, for inspecting a store from outside.
//!
//! The store may be running, in another process or in this one, or dead. So this module does not
//! take its lock, test its file system or create a file. It opens each file only for reading.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::backends::engine::run_blocking;
use crate::backends::threads::Threads;
use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, OpTable, SharedTable, Transfer};
use crate::contract::device::{Device, Geometry};
use crate::contract::directory::{DeviceOptions, Directory, Lock};
use crate::contract::names;
use crate::contract::read_only::{not_created, refusal, refuse, refuse_changes};
use crate::error::naming;
use crate::error::with_context;
use crate::files::file::StorageFile;
use crate::files::operation::{Engine, Kind, Operation};
use crate::files::root::{Access, Root};
use crate::files::segments::{Extents, Insertion, Lookup, Segments};

/// A read-only [`Directory`] of real files. For tools, such as a tool that inspects the store of
/// another process.
///
/// It blocks: each operation runs to its end on the thread that calls or polls it.
/// [`with_threads`](Self::with_threads) moves the reads of devices to threads. Reads use the page
/// cache, with a block of 512 bytes whatever the block of the writer. Only times of access may
/// change.
///
/// A running store changes meanwhile. Reads see later writes, also in segments that appear later,
/// and may see half of a write in flight. [`bytes_stored`](Device::bytes_stored) uses the length of
/// each segment when it was opened.
///
/// # Errors
/// * `ReadOnlyFilesystem`: an operation that would change a file, or a lock. A sync succeeds,
///   because it has nothing to do.
/// * `NotFound`: a device without a segment, even with `create`; a read of a segment that is
///   missing below others or between them.
/// * Others as for every [`Directory`] and [`Device`]. Symbolic links in the directory are not
///   followed.
#[derive(Debug)]
pub struct ReadOnlyDirectory {
    root: Arc<Root>,
    /// `None` means the thread that calls.
    engine: Option<Arc<dyn Engine>>,
}

impl ReadOnlyDirectory {
    /// Opens an existing directory. Creates nothing and takes no lock.
    ///
    /// # Errors
    /// `NotFound` if `path` does not exist; `NotADirectory` if it is not a directory. Others as the
    /// operating system reports them.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Absolute, so that a later change of the working directory does not matter.
        let path = std::path::absolute(path)?;
        let found = fs::metadata(&path).and_then(|found| {
            if found.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
        });
        let opened = found.and_then(|()| Root::open(&path));
        let opened =
            opened.map_err(|error| with_context(error, format!("opening {}", path.display())));
        Ok(Self { root: Arc::new(opened?), engine: None })
    }

    /// Moves the reads of devices that are opened from now on to at most `threads` threads of this
    /// directory, at least one. All else runs on the thread that calls.
    ///
    /// # Errors
    /// The error of the system if it refuses a thread.
    pub fn with_threads(self, threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        Ok(Self { engine: Some(Arc::new(Threads::start(threads, threads)?)), ..self })
    }

    fn device(&self, name: &str, options: DeviceOptions) -> io::Result<Arc<dyn Device>> {
        names::check(name)?;
        options.check()?;
        let files = open_present(&self.root, self.root.list_segments(name)?)?;
        if files.is_empty() {
            return Err(not_created(name));
        }
        let segments = Segments::new(name, options.segment_bytes, files);
        let (root, engine) = (Arc::clone(&self.root), self.engine.clone());
        Ok(Arc::new(ReadOnlyDevice { root, engine, segments, table: OpTable::new() }))
    }
}

impl Directory for ReadOnlyDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name = name.to_owned();
        Box::pin(async move { self.device(&name, options) })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move { self.root.list() })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            self.root.read_file(&name)
        })
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            self.root.file_bytes(&name).map_err(naming(&name))
        })
    }

    refuse_changes!();

    fn describe(&self) -> String {
        self.root.path().display().to_string()
    }
}

/// A [`Device`] made of files that are only read.
#[derive(Debug)]
struct ReadOnlyDevice {
    root: Arc<Root>,
    engine: Option<Arc<dyn Engine>>,
    segments: Segments<StorageFile>,
    table: SharedTable,
}

impl ReadOnlyDevice {
    fn look_up(&self, offset: u64, end: u64) -> io::Result<Extents<StorageFile>> {
        let bytes = self.segments.segment_bytes();
        loop {
            let stale = match self.segments.look_up(offset, end) {
                Lookup::Present(extents) => {
                    let files = std::iter::once(&extents.first).chain(&extents.rest);
                    let mut numbered = files.zip(offset / bytes..);
                    match numbered.find(|(extent, _)| extent.file.is_deleted()) {
                        Some((_, index)) if self.open_again(index)? => continue,
                        _ => return Ok(extents),
                    }
                }
                Lookup::Discarded(error) => return Err(error),
                Lookup::Missing(index) => index,
            };
            if !self.open_again(stale)? {
                return Err(self.missing(stale, offset));
            }
        }
    }

    /// Opens a segment that has appeared since, or that has replaced a deleted segment. Returns
    /// whether the segment exists.
    fn open_again(&self, index: u64) -> io::Result<bool> {
        let name = self.segments.file_name(index);
        match self.root.open_storage(&name, Access::READ) {
            Ok(file) => {
                self.segments.remove(index);
                Ok(self.segments.insert(index, Arc::new(file)) == Insertion::Present)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(naming(&name)(error)),
        }
    }

    /// Returns the error of a read in a missing segment.
    fn missing(&self, index: u64, offset: u64) -> io::Error {
        if self.segments.last().is_none_or(|last| index > last) {
            return self.segments.past_the_end(offset);
        }
        let message = format!(
            "{} is missing; restore it unless the store discarded it",
            self.segments.file_name(index)
        );
        io::Error::new(io::ErrorKind::NotFound, message)
    }

    fn place_of(&self, offset: u64) -> String {
        let (file, within) = self.segments.locate(offset);
        format!("{file} at offset {within}")
    }
}

impl Device for ReadOnlyDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let extents = match self.geometry().check(offset, buf.len()) {
            Ok(end) if end == offset => {
                return Completion::ready(Transfer { result: Ok(()), buf: Some(buf) });
            }
            Ok(end) => self.look_up(offset, end),
            Err(error) => Err(error),
        };
        match extents {
            Ok(extents) => {
                let (completion, sink) = OpTable::begin(&self.table);
                let operation = Operation::transfer(Kind::Read, extents, buf, sink);
                match &self.engine {
                    Some(engine) => engine.submit(operation),
                    None => run_blocking(operation),
                }
                completion
            }
            Err(error) => Completion::refused(error, Some(buf)),
        }
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        Completion::refused(refusal("writing", &self.place_of(offset)), Some(buf))
    }

    fn sync(&self) -> Completion {
        Completion::ready(Transfer { result: Ok(()), buf: None })
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse("discarding below", &self.place_of(offset))
    }

    fn forget_below(&self, offset: u64) {
        // Segments in use by a read stay open until the read ends.
        drop(self.segments.discard_below(offset));
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse("truncating", &self.place_of(end))
    }

    fn geometry(&self) -> Geometry {
        let segment_bytes = self.segments.segment_bytes();
        let backend = "read-only";
        Geometry { block: 512, physical_block: 512, direct: false, backend, segment_bytes }
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.segments.locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.segments.sum(StorageFile::length)
    }
}

/// Opens the listed segments that still exist. A running store may have discarded some since the
/// listing.
fn open_present(
    root: &Root,
    listed: Vec<(u64, String)>,
) -> io::Result<BTreeMap<u64, Arc<StorageFile>>> {
    let mut files = BTreeMap::new();
    for (index, name) in listed {
        match root.open_storage(&name, Access::READ) {
            Ok(file) => drop(files.insert(index, Arc::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(naming(&name)(error)),
        }
    }
    Ok(files)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_was_discarded_since_it_was_listed_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("log.000001"), [7; 512]).unwrap();
        let listed = [0, 1].map(|index| (index, names::segment("log", index)));
        let files = open_present(&Root::open(place.path()).unwrap(), listed.to_vec()).unwrap();
        assert_eq!(files.into_keys().collect::<Vec<_>>(), [1]);
    }
}
