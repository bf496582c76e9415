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
use crate::files::root::Root;
use crate::files::segments::{Extents, Insertion, Lookup, Segments};
use crate::os::shared_files::SharedFiles;

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
    files: Arc<SharedFiles>,
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
        Ok(Self { files: Arc::new(SharedFiles::new(opened?)), engine: None })
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
        let segments = Segments::new(name, options.segment_bytes, BTreeMap::new());
        let root = self.files.root();
        if !insert_present(&segments, root, root.list_segments(name)?)? {
            return Err(not_created(name));
        }
        let (files, engine) = (Arc::clone(&self.files), self.engine.clone());
        Ok(Arc::new(ReadOnlyDevice { files, engine, segments, table: OpTable::new() }))
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
        Box::pin(async move { self.files.root().list() })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            self.files.root().read_file(&name)
        })
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            self.files.root().file_bytes(&name).map_err(naming(&name))
        })
    }

    refuse_changes!();

    fn describe(&self) -> String {
        self.files.root().path().display().to_string()
    }
}

/// A [`Device`] made of files that are only read. A segment is opened when it is read first.
#[derive(Debug)]
struct ReadOnlyDevice {
    files: Arc<SharedFiles>,
    engine: Option<Arc<dyn Engine>>,
    segments: Segments<StorageFile>,
    table: SharedTable,
}

impl ReadOnlyDevice {
    fn look_up(&self, offset: u64, end: u64) -> io::Result<Extents<StorageFile>> {
        let bytes = self.segments.segment_bytes();
        // No segment of the range is closed to make room for another.
        let mut pinned = Vec::new();
        loop {
            let stale = match self.segments.look_up(offset, end) {
                Lookup::Present(extents) => {
                    let files = std::iter::once(&extents.first).chain(&extents.rest);
                    let mut numbered = files.zip(offset / bytes..);
                    match numbered.find(|(extent, _)| extent.file.is_deleted()) {
                        Some((_, index)) if self.open(index, &mut pinned)? => continue,
                        _ => {
                            self.files.touch(&extents);
                            return Ok(extents);
                        }
                    }
                }
                Lookup::Discarded(error) => return Err(error),
                Lookup::Missing(index) => index,
            };
            if !self.open(stale, &mut pinned)? {
                return Err(self.missing(stale, offset));
            }
        }
    }

    /// Opens a segment that is not open, that has appeared since, or that has replaced a deleted
    /// segment. Adds it to `pinned`. Returns whether the segment exists.
    fn open(&self, index: u64, pinned: &mut Vec<Arc<StorageFile>>) -> io::Result<bool> {
        match self.files.open(&self.segments, index) {
            Ok(file) => {
                pinned.push(Arc::clone(&file));
                self.segments.remove(index);
                Ok(self.segments.insert(index, file) == Insertion::Present)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(naming(&self.segments.file_name(index))(error)),
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

/// Adds the listed segments that still exist, which are opened later. A running store may have
/// discarded some since the listing. Returns whether there is one.
fn insert_present(
    segments: &Segments<StorageFile>,
    root: &Root,
    listed: Vec<(u64, String)>,
) -> io::Result<bool> {
    let mut has_any = false;
    for (index, name) in listed {
        match root.file_bytes(&name) {
            Ok(length) => segments.insert_closed(index, length),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(naming(&name)(error)),
        }
        has_any = true;
    }
    segments.begin_at_the_lowest();
    Ok(has_any)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_was_discarded_since_it_was_listed_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("log.000001"), [7; 512]).unwrap();
        let listed = [0, 1].map(|index| (index, names::segment("log", index)));
        let segments = Segments::new("log", 4096, BTreeMap::new());
        let root = Root::open(place.path()).unwrap();
        assert!(insert_present(&segments, &root, listed.to_vec()).unwrap());
        assert_eq!([0, 1].map(|index| segments.exists(index)), [false, true]);
    }

    /// Devices of one directory share descriptors, open no more than a few files, and hold no
    /// deleted file once the last of them is dropped.
    #[test]
    fn a_file_is_open_once_and_only_while_it_is_used() {
        const SEGMENTS: u64 = 40;
        let place = tempfile::tempdir().unwrap();
        for index in 0..SEGMENTS {
            fs::write(place.path().join(names::segment("log", index)), [7; 4096]).unwrap();
        }
        let files = SharedFiles::new(Root::open(place.path()).unwrap()).with_max_open(8);
        let directory = ReadOnlyDirectory { files: Arc::new(files), engine: None };
        let options = DeviceOptions { segment_bytes: 4096, create: false };
        let open = || directory.device("log", options).unwrap();
        let read = |device: &Arc<dyn Device>, index: u64| {
            let read = device.read_at(index * 4096, AlignedBuf::zeroed(512));
            pollster::block_on(read).result.unwrap();
        };
        let one = open();
        assert_eq!(directory.files.count_open(), 0, "nothing was read");
        (0..SEGMENTS).for_each(|index| read(&one, index));
        assert_eq!(directory.files.count_open(), 8);
        let other = open();
        (SEGMENTS - 8..SEGMENTS).for_each(|index| read(&other, index));
        assert_eq!(directory.files.count_open(), 8, "they are open already");
        (0..SEGMENTS).for_each(|index| read(&other, index));
        assert!(directory.files.count_open() <= 9, "{}", directory.files.count_open());
        drop(one);
        (0..SEGMENTS).for_each(|index| read(&other, index));
        assert!(directory.files.count_open() <= 9, "{}", directory.files.count_open());
        drop(other);
        assert_eq!(directory.files.count_open(), 0);
        // More segments in one read than may stay open.
        let device = open();
        let read = device.read_at(0, AlignedBuf::zeroed(20 * 4096));
        pollster::block_on(read).result.unwrap();
        assert_eq!(directory.files.count_open(), 20);
    }
}
