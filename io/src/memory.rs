//! A directory in memory: the same contract as on disk, without waits and without persistence.
//!
//! A file is a sparse array of chunks under a lock. Every operation is finished when the call
//! returns, so completions are ready at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, Transfer};
use crate::contract::device::{Device, Geometry};
use crate::contract::directory::{DeviceOptions, Directory, Lock};
use crate::contract::names;
use crate::files::segments::{Extents, Insertion, Lookup, Segments, Truncation, past_the_end};

/// A [`Directory`] whose files live in memory. Clones share the files.
///
/// Contents stay as long as a clone or a device exists. Opening a device again finds its bytes.
#[derive(Clone, Debug, Default)]
pub struct MemoryDirectory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    locked: Mutex<BTreeSet<String>>,
    /// The physical block that devices report; 0 stands for the block.
    physical_block: u32,
}

impl MemoryDirectory {
    /// Creates an empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty directory whose devices report this [physical
    /// block](Geometry::physical_block), as a disk may.
    ///
    /// # Panics
    /// If `bytes` is not a power of two from 512 to 64 KiB.
    pub fn with_physical_block(bytes: u32) -> Self {
        let sound = bytes.is_power_of_two() && (BLOCK..=64 << 10).contains(&bytes);
        assert!(sound, "physical block {bytes} is wrong; choose a power of two from 512 to 65536");
        Self { shared: Arc::new(Shared { physical_block: bytes, ..Shared::default() }) }
    }
}

impl Shared {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryFile>>> {
        // Every update is one call of the map: a panic elsewhere cannot leave it half done.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_or_new(&self, name: &str) -> Arc<MemoryFile> {
        Arc::clone(self.files().entry(name.to_owned()).or_default())
    }

    fn open(self: &Arc<Self>, name: &str, options: DeviceOptions) -> io::Result<Arc<dyn Device>> {
        names::check(name)?;
        options.check()?;
        let found = self
            .files()
            .iter()
            .filter_map(|(file, contents)| {
                Some((names::segment_index(name, file)?, Arc::clone(contents)))
            })
            .collect::<BTreeMap<_, _>>();
        if found.is_empty() && !options.create {
            return Err(not_found(name));
        }
        let segments = Segments::new(name, options.segment_bytes, found);
        if segments.files().is_empty() {
            let file = self.file_or_new(&segments.file_name(0));
            assert_eq!(segments.insert(0, file), Insertion::Present);
        }
        Ok(Arc::new(MemoryDevice { segments, directory: Arc::clone(self) }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        names::check(from)?;
        names::check(to)?;
        let mut files = self.files();
        let file = files.remove(from).ok_or_else(|| not_found(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn exchange(&self, one: &str, other: &str) -> io::Result<()> {
        names::check(one)?;
        names::check(other)?;
        let mut files = self.files();
        let find = |name: &str| files.get(name).map(Arc::clone).ok_or_else(|| not_found(name));
        let (first, second) = (find(one)?, find(other)?);
        files.insert(one.to_owned(), second);
        files.insert(other.to_owned(), first);
        Ok(())
    }

    fn lock(self: &Arc<Self>, name: &str) -> io::Result<Box<dyn Lock>> {
        names::check(name)?;
        if !self.locked().insert(name.to_owned()) {
            let message = format!("{name} is locked by another handle; close it first");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        self.file_or_new(name);
        Ok(Box::new(MemoryLock { name: name.to_owned(), directory: Arc::clone(self) }))
    }
}

impl Directory for MemoryDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name = name.to_owned();
        Box::pin(async move { self.shared.open(&name, options) })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move { Ok(self.shared.files().keys().cloned().collect()) })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            let file = self.shared.files().get(&name).map(Arc::clone);
            file.map(|file| file.contents()).ok_or_else(|| not_found(&name))
        })
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            let file = self.shared.files().get(&name).map(Arc::clone);
            file.map(|file| file.length()).ok_or_else(|| not_found(&name))
        })
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        Box::pin(async move {
            names::check(&name)?;
            let file = self.shared.file_or_new(&name);
            file.truncate(0);
            file.write(0, &bytes);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(async move { self.shared.rename(&from, &to) })
    }

    fn exchange(&self, one: &str, other: &str) -> BoxFuture<'_, io::Result<()>> {
        let (one, other) = (one.to_owned(), other.to_owned());
        Box::pin(async move { self.shared.exchange(&one, &other) })
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        let name = name.to_owned();
        Box::pin(async move {
            names::check(&name)?;
            self.shared.files().remove(&name).map(drop).ok_or_else(|| not_found(&name))
        })
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        let name = name.to_owned();
        Box::pin(async move { self.shared.lock(&name) })
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

#[derive(Debug)]
struct MemoryLock {
    name: String,
    directory: Arc<Shared>,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.directory.locked().remove(&self.name);
    }
}

#[derive(Debug)]
struct MemoryDevice {
    segments: Segments<MemoryFile>,
    directory: Arc<Shared>,
}

impl MemoryDevice {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = self.geometry().check(offset, buf.len())?;
        if buf.is_empty() {
            return Ok(());
        }
        let extents = match self.segments.look_up(offset, end) {
            Lookup::Present(extents) => extents,
            Lookup::Missing(_) => return Err(self.segments.past_the_end(offset)),
            Lookup::Discarded(error) => return Err(error),
        };
        let mut rest = buf;
        let mut at = offset;
        for extent in in_order(extents) {
            let (part, tail) = rest.split_at_mut(extent.len);
            if !extent.file.read(extent.offset, part) {
                let (file, within) = self.segments.locate(at);
                return Err(past_the_end(&file, within));
            }
            at += extent.len as u64;
            rest = tail;
        }
        Ok(())
    }

    fn write(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let end = self.geometry().check(offset, buf.len())?;
        if buf.is_empty() {
            return Ok(());
        }
        loop {
            match self.segments.look_up(offset, end) {
                Lookup::Discarded(error) => return Err(error),
                Lookup::Missing(index) => {
                    let name = self.segments.file_name(index);
                    let file = self.directory.file_or_new(&name);
                    if self.segments.insert(index, file) == Insertion::Discarded {
                        self.directory.files().remove(&name);
                    }
                }
                Lookup::Present(extents) => {
                    let mut rest = buf;
                    for extent in in_order(extents) {
                        let (part, tail) = rest.split_at(extent.len);
                        extent.file.write(extent.offset, part);
                        rest = tail;
                    }
                    return Ok(());
                }
            }
        }
    }
}

fn in_order<F>(extents: Extents<F>) -> impl Iterator<Item = crate::files::segments::Extent<F>> {
    std::iter::once(extents.first).chain(extents.rest)
}

impl Device for MemoryDevice {
    fn read_at(&self, offset: u64, mut buf: AlignedBuf) -> Completion {
        let result = self.read(offset, &mut buf);
        Completion::ready(Transfer { result, buf: Some(buf) })
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let result = self.write(offset, &buf);
        Completion::ready(Transfer { result, buf: Some(buf) })
    }

    fn sync(&self) -> Completion {
        Completion::ready(Transfer { result: Ok(()), buf: None })
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let mut files = self.directory.files();
            for (index, _) in self.segments.discard_below(offset) {
                files.remove(&self.segments.file_name(index));
                self.segments.note_deleted(index);
            }
            Ok(())
        })
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.geometry().check(end, 0)?;
            let mut files = self.directory.files();
            let Truncation { removed, cut, .. } = self.segments.truncation(end)?;
            for (index, _) in removed {
                files.remove(&self.segments.file_name(index));
                self.segments.remove(index);
            }
            if let Some((file, length)) = cut {
                file.truncate(length);
            }
            Ok(())
        })
    }

    fn geometry(&self) -> Geometry {
        let segment_bytes = self.segments.segment_bytes();
        let physical_block = self.directory.physical_block.max(BLOCK);
        Geometry { block: BLOCK, physical_block, direct: false, backend: "memory", segment_bytes }
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.segments.locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.segments.sum(MemoryFile::length)
    }
}

/// Bytes in chunks; a chunk that was never written reads as zeros.
#[derive(Default)]
struct MemoryFile {
    contents: RwLock<Contents>,
}

#[derive(Default)]
struct Contents {
    len: u64,
    chunks: BTreeMap<u64, Box<[u8]>>,
}

const CHUNK: usize = 256 << 10;
const BLOCK: u32 = 512;

impl MemoryFile {
    /// Fills `buf` from `offset`. Returns false if that reaches past the end.
    fn read(&self, offset: u64, buf: &mut [u8]) -> bool {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        if offset + buf.len() as u64 > contents.len {
            return false;
        }
        contents.copy_to(offset, buf);
        true
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        contents.len = contents.len.max(offset + bytes.len() as u64);
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (index, within) = position(at);
            let (part, tail) = rest.split_at(rest.len().min(CHUNK - within));
            let chunk =
                contents.chunks.entry(index).or_insert_with(|| vec![0; CHUNK].into_boxed_slice());
            chunk[within..within + part.len()].copy_from_slice(part);
            at += part.len() as u64;
            rest = tail;
        }
    }

    /// Deletes the bytes at and above `length`. Does nothing if the file ends there or below.
    fn truncate(&self, length: u64) {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        if contents.len <= length {
            return;
        }
        contents.len = length;
        let (index, within) = position(length);
        drop(contents.chunks.split_off(&(index + u64::from(within > 0))));
        // The rest of the last chunk becomes a gap after a write at a higher offset.
        if let Some(chunk) = contents.chunks.get_mut(&index) {
            chunk[within..].fill(0);
        }
    }

    fn length(&self) -> u64 {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).len
    }

    fn contents(&self) -> Vec<u8> {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; usize::try_from(contents.len).expect("it is in memory")];
        contents.copy_to(0, &mut bytes);
        bytes
    }
}

impl Contents {
    fn copy_to(&self, offset: u64, buf: &mut [u8]) {
        let mut rest = buf;
        let mut at = offset;
        while !rest.is_empty() {
            let (index, within) = position(at);
            let len = rest.len().min(CHUNK - within);
            let (part, tail) = rest.split_at_mut(len);
            match self.chunks.get(&index) {
                Some(chunk) => part.copy_from_slice(&chunk[within..within + len]),
                None => part.fill(0),
            }
            at += len as u64;
            rest = tail;
        }
    }
}

/// Returns the chunk that has a byte, and the position in it.
fn position(offset: u64) -> (u64, usize) {
    let within = usize::try_from(offset % CHUNK as u64).expect("less than a chunk");
    (offset / CHUNK as u64, within)
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "MemoryFile({} bytes, {} chunks)", contents.len, contents.chunks.len())
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} does not exist"))
}
