//! The same reads without this crate, as the measure of its cost.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use io_uring::{IoUring, opcode, types};
use kvick_io::AlignedBuf;
use rustix::fs::OFlags;

use crate::arms::FILE;
use crate::measure::{Figures, Job, Offsets, READ, Stopwatch};

/// Makes blocking reads, one after the other.
pub(crate) fn pread(path: &Path, job: &Job) -> io::Result<Figures> {
    let (file, mut offsets) = (open(path)?, Offsets::new(job, 0));
    let mut buf = AlignedBuf::zeroed(READ);
    let (watch, mut reads) = (Stopwatch::start(), 0);
    while watch.elapsed() < job.time {
        file.read_exact_at(&mut buf, offsets.next())?;
        reads += 1;
    }
    Ok(watch.stop(reads))
}

/// Runs one thread and one ring, with `depth` buffers that are never idle.
pub(crate) fn io_uring(path: &Path, job: &Job, depth: usize) -> io::Result<Figures> {
    let mut bare = Bare::new(path, job, depth)?;
    let (watch, mut reads) = (Stopwatch::start(), 0);
    for index in 0..depth {
        bare.push(index);
    }
    let (mut in_flight, mut done) = (depth, Vec::with_capacity(depth));
    while in_flight > 0 {
        bare.ring.submit_and_wait(1)?;
        done.extend(bare.ring.completion().map(|entry| (entry.user_data(), entry.result())));
        reads += done.len() as u64;
        in_flight -= done.len();
        let more = watch.elapsed() < job.time;
        for (index, result) in done.drain(..) {
            assert_eq!(usize::try_from(result).ok(), Some(READ), "every read is complete");
            if more {
                bare.push(usize::try_from(index).expect("the index of a buffer"));
                in_flight += 1;
            }
        }
    }
    Ok(watch.stop(reads))
}

struct Bare {
    // First, so that it is closed before the buffers are dropped. Nothing is in flight by then.
    ring: IoUring,
    buffers: Vec<AlignedBuf>,
    file: File,
    offsets: Offsets,
}

impl Bare {
    fn new(path: &Path, job: &Job, depth: usize) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        Ok(Self {
            ring: builder.build(256)?,
            buffers: (0..depth).map(|_| AlignedBuf::zeroed(READ)).collect(),
            file: open(path)?,
            offsets: Offsets::new(job, 0),
        })
    }

    fn push(&mut self, index: usize) {
        let (fd, buf) = (types::Fd(self.file.as_raw_fd()), self.buffers[index].as_mut_ptr());
        let len = u32::try_from(READ).expect("a sector is small");
        let read = opcode::Read::new(fd, buf, len).offset(self.offsets.next());
        let entry = read.build().user_data(index as u64);
        let mut queue = self.ring.submission();
        // SAFETY: the buffer and the file live in `self`. `io_uring` returns only when nothing is
        // in flight, or with an error of the ring, after which the example ends.
        #[expect(unsafe_code, reason = "lends memory to the kernel")]
        let pushed = unsafe { queue.push(&entry) };
        pushed.expect("the ring is larger than the depth");
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECT.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path.join(FILE))
}
