//! The input: the bytes of many files as one stream, like the output of `cat`, read by threads.
//!
//! Reading a file blocks, and no executor should block. So a few threads read ahead and pass chunks
//! to the tasks through a short channel. Memory stays bounded, and a fast task takes more chunks
//! than a slow one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use futures::channel::mpsc;
use futures::lock::Mutex;
use futures::{SinkExt, StreamExt};

use crate::words;

/// Bytes of the stream in a chunk.
pub(crate) const CHUNK_BYTES: u64 = 256 << 10;
/// The number of reading threads.
const READERS: u64 = 2;
/// The number of chunks in the channel, besides one for each reader.
const READ_AHEAD: usize = 4;

/// Files as one stream.
#[derive(Debug)]
pub(crate) struct Input {
    parts: Vec<Part>,
    length: u64,
}

/// A file and its range in the stream.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    range: Range<u64>,
}

impl Input {
    /// Finds the named files, and all regular files below the named directories, sorted by path.
    pub(crate) fn find(paths: &[PathBuf]) -> io::Result<Self> {
        let mut files = Vec::new();
        for path in paths {
            let metadata = fs::metadata(path).map_err(|error| naming(path, error))?;
            if metadata.is_dir() {
                let mut below = Vec::new();
                add_files_below(path, &mut below)?;
                below.sort_by(|(one, _), (other, _)| {
                    let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
                    bytes(one).cmp(&bytes(other))
                });
                files.append(&mut below);
            } else {
                files.push((path.clone(), metadata.len()));
            }
        }
        let mut length = 0;
        let parts = files.into_iter().map(|(path, bytes)| {
            let range = length..length + bytes;
            length = range.end;
            Part { path, range }
        });
        let parts = parts.collect();
        Ok(Self { parts, length })
    }

    /// Returns the number of bytes of all files, at the time of the search.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of files.
    pub(crate) fn files(&self) -> usize {
        self.parts.len()
    }

    /// Returns the bytes of the stream in `range`.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        assert!(range.end <= self.length, "the stream has {} bytes", self.length);
        let mut bytes = Vec::new();
        let first = self.parts.partition_point(|part| part.range.end <= range.start);
        for part in &self.parts[first..] {
            if part.range.start >= range.end {
                break;
            }
            let start = part.range.start.max(range.start);
            let end = part.range.end.min(range.end);
            part.append(start..end, &mut bytes).map_err(|error| naming(&part.path, error))?;
        }
        Ok(bytes)
    }
}

impl Part {
    fn append(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        let wanted = range.end - range.start;
        if wanted == 0 {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(range.start - self.range.start))?;
        let got = file.take(wanted).read_to_end(bytes)?;
        if (got as u64) < wanted {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter during the count",
            ));
        }
        Ok(())
    }
}

/// Adds all regular files below a directory. It does not follow symbolic links, as `find` does not.
fn add_files_below(directory: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    let entries = fs::read_dir(directory).map_err(|error| naming(directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| naming(directory, error))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(|error| naming(&path, error))?;
        if metadata.is_dir() {
            add_files_below(&path, files)?;
        } else if metadata.is_file() {
            files.push((path, metadata.len()));
        }
    }
    Ok(())
}

fn naming(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A range of the input, ready to be counted.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Lower-case text with the words that begin in this range.
    pub(crate) text: Vec<u8>,
    /// Bytes of the input in this range.
    pub(crate) bytes: u64,
}

/// The chunks of an input. Each chunk goes to one of the tasks.
#[derive(Debug)]
pub(crate) struct Feed {
    length: u64,
    next: Arc<AtomicU64>,
    chunks: Mutex<mpsc::Receiver<io::Result<Chunk>>>,
}

impl Feed {
    /// Starts the threads. They end with the input, or soon after the feed is stopped or dropped.
    pub(crate) fn start(input: Arc<Input>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let next = Arc::new(AtomicU64::new(0));
        for reader in 0..READERS {
            let (input, next, sender) = (Arc::clone(&input), Arc::clone(&next), sender.clone());
            thread::Builder::new()
                .name(format!("reader-{reader}"))
                .spawn(move || send_chunks(&input, &next, sender))?;
        }
        Ok(Self { length: input.length(), next, chunks: Mutex::new(receiver) })
    }

    /// Returns the next chunk, or `None` at the end of the input.
    pub(crate) async fn next(&self) -> Option<io::Result<Chunk>> {
        self.chunks.lock().await.next().await
    }

    /// Ends the input here, except for the chunks that have been read ahead.
    pub(crate) fn stop(&self) {
        // Relaxed: the threads share only this number.
        self.next.store(self.length, Ordering::Relaxed);
    }
}

fn send_chunks(input: &Input, next: &AtomicU64, mut sender: mpsc::Sender<io::Result<Chunk>>) {
    loop {
        // Relaxed: the threads share only this number.
        let start = next.fetch_add(CHUNK_BYTES, Ordering::Relaxed);
        if start >= input.length() {
            return;
        }
        let end = (start + CHUNK_BYTES).min(input.length());
        let text = words::beginning_in(start..end, input.length(), |range| input.read(range));
        let bytes = end - start;
        let chunk = text.map(|text| Chunk { text, bytes });
        if kvick::runtime::block_on(sender.send(chunk)).is_err() {
            return;
        }
    }
}
