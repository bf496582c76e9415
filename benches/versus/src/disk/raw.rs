//! The raw device: random reads with `O_DIRECT`, through io_uring and with blocking calls.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use benches::clock::Stopwatch;
use io_uring::{IoUring, opcode, types};
use versus::slices::{Slice, Walk, on_threads};
use versus::words::huge_words;

const CHUNK: usize = 1 << 20;

/// A file as large as the data, for reads at random offsets.
#[derive(Debug)]
pub struct Raw {
    file: File,
    bytes: u64,
}

impl Raw {
    /// Writes a file of `bytes`, rounded up to whole mebibytes.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written, or cannot be opened for direct reads.
    pub fn create(path: &Path, bytes: u64) -> std::io::Result<Self> {
        let mut file = File::create(path)?;
        let chunk: Vec<u8> = (0..CHUNK).map(|place| (place * 31 % 251) as u8).collect();
        for _ in 0..bytes.div_ceil(CHUNK as u64) {
            file.write_all(&chunk)?;
        }
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        Ok(Self { file: open_direct(path)?, bytes })
    }

    fn place(&self, target: u64, size: usize) -> u64 {
        let mixed = target.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        mixed % (self.bytes / size as u64) * size as u64
    }

    /// Runs a slice of blocking reads, with one thread for each walk.
    pub fn blocking(&self, walks: Vec<Walk>, size: usize, duration: Duration) -> Slice {
        on_threads(walks, duration, |walk| {
            // A page more than `size` lets the buffer start on a page.
            let mut room = vec![0u8; size + 4096];
            let start = room.as_ptr().align_offset(4096);
            let buffer = &mut room[start..start + size];
            while let Some([step]) = walk.take(1) {
                let started = Stopwatch::start();
                self.file.read_exact_at(buffer, self.place(step.target(), size)).expect("a read");
                walk.timed(&started);
            }
        })
    }

    /// Runs a slice of reads through one ring, `depth` of them in flight.
    pub fn uring(&self, walk: Walk, size: usize, depth: usize, duration: Duration) -> Slice {
        on_threads(vec![walk], duration, |walk| {
            self.keep_in_flight(walk, size, depth).expect("io_uring reads");
        })
    }

    fn keep_in_flight(&self, walk: &mut Walk, size: usize, depth: usize) -> std::io::Result<()> {
        let mut ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(u32::try_from(depth).expect("a small depth"))?;
        ring.submitter().register_files(&[self.file.as_raw_fd()])?;
        let buffers = ReadBuffers::new(size, depth);
        let mut started = vec![Stopwatch::start(); depth];
        let mut free: Vec<usize> = (0..depth).collect();
        let mut in_flight = 0;
        loop {
            while let Some(slot) = free.pop() {
                let Some([step]) = walk.take(1) else {
                    free.clear();
                    break;
                };
                started[slot] = Stopwatch::start();
                let read = opcode::Read::new(types::Fixed(0), buffers.start(slot), buffers.size)
                    .offset(self.place(step.target(), size))
                    .build()
                    .user_data(slot as u64);
                // SAFETY: the buffer is never unmapped, and its slot is used again only after
                // this read completed.
                unsafe { ring.submission().push(&read) }.expect("as many entries as slots");
                in_flight += 1;
            }
            if in_flight == 0 {
                return Ok(());
            }
            ring.submit_and_wait(1)?;
            for entry in ring.completion() {
                assert_eq!(usize::try_from(entry.result()), Ok(size), "a whole read");
                let slot = usize::try_from(entry.user_data()).expect("a slot");
                walk.timed(&started[slot]);
                free.push(slot);
                in_flight -= 1;
            }
        }
    }
}

/// Page-aligned memory for reads in flight. It is never unmapped, so that a late read cannot do
/// harm.
#[derive(Debug)]
struct ReadBuffers {
    words: &'static [AtomicU64],
    size: u32,
}

impl ReadBuffers {
    fn new(size: usize, depth: usize) -> Self {
        let words = huge_words(size.next_multiple_of(4096) * depth / size_of::<u64>());
        Self { words, size: u32::try_from(size).expect("a small read") }
    }

    fn start(&self, slot: usize) -> *mut u8 {
        let stride = (self.size as usize).next_multiple_of(4096) / size_of::<u64>();
        self.words[slot * stride].as_ptr().cast()
    }
}

/// Reads every file of a directory once from the device, so that a host with a cache has them in
/// it.
///
/// # Errors
///
/// Fails if a file cannot be read.
pub fn warm(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            warm(&entry.path())?;
            continue;
        }
        let Ok(file) = open_direct(&entry.path()) else {
            continue;
        };
        let mut room = vec![0u8; CHUNK + 4096];
        let start = room.as_ptr().align_offset(4096);
        let mut offset = 0;
        while let Ok(count @ 1..) = file.read_at(&mut room[start..start + CHUNK], offset) {
            offset += count as u64;
        }
    }
    Ok(())
}

fn open_direct(path: &Path) -> std::io::Result<File> {
    let direct = rustix::fs::OFlags::DIRECT.bits();
    OpenOptions::new().read(true).custom_flags(direct.cast_signed()).open(path)
}
