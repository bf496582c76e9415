//! The backend with a kernel that refuses: at any step, for a while, forever, or a worker thread.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use io_uring::IoUring;
use rustix::io::Errno;

use super::*;
use crate::backends::Backend;
use crate::backends::threads::Threads;
use crate::contract::buf::AlignedBuf;
use crate::contract::directory::{DeviceOptions, Directory};
use crate::files::medium::Medium;
use crate::files::operation::tests::scratch;
use crate::files::root::Root;
use crate::os::directory::OsDirectory;

/// A kernel that refuses as scripted and otherwise works. Its clock advances only in pauses.
#[derive(Debug)]
struct Script {
    /// The numbers of the calls that are refused, with `errno`.
    refused: Range<u32>,
    errno: Errno,
    /// The number of the first completion entry that reports a missing worker.
    canceled_from: u32,
    calls: u32,
    answers: u32,
    started: Instant,
    waited: Duration,
}

/// The proof takes one call and one entry for each of its steps.
const PROOF: u32 = 3;

impl Script {
    fn refusing(refused: Range<u32>, errno: Errno) -> Self {
        let started = RealKernel.now();
        let (calls, answers, waited) = (0, 0, Duration::ZERO);
        Self { refused, errno, canceled_from: u32::MAX, calls, answers, started, waited }
    }

    fn canceling_from(answer: u32) -> Self {
        Self { canceled_from: answer, ..Self::refusing(0..0, Errno::PERM) }
    }
}

impl Kernel for Script {
    fn enter(&mut self, ring: &IoUring, want: usize) -> io::Result<usize> {
        self.calls += 1;
        if self.refused.contains(&(self.calls - 1)) {
            return Err(self.errno.into());
        }
        ring.submit_and_wait(want)
    }

    fn answer(&mut self, result: i32) -> i32 {
        self.answers += 1;
        if self.answers > self.canceled_from { -Errno::CANCELED.raw_os_error() } else { result }
    }

    fn now(&self) -> Instant {
        self.started + self.waited
    }

    fn pause(&mut self, time: Duration) {
        self.waited += time;
    }
}

const LIMITS: Limits = Limits { depth: 4, class: 3 };
const SEGMENT: u64 = 4096;

/// Starts a backend on such a kernel, or returns the error.
fn start(kernel: Script) -> io::Result<Backend> {
    let (_place, file) = scratch();
    let files = Arc::new(Blocking::start()?);
    let probe = file.try_clone()?;
    let engine = Uring::start_on(Box::new(kernel), LIMITS, probe, 512, Arc::clone(&files))?;
    Ok(Backend::new(Arc::new(engine), files))
}

/// Returns whether this machine has io_uring at all.
fn is_supported() -> bool {
    let started = start(Script::refusing(0..0, Errno::PERM));
    started.inspect_err(|error| println!("skipped: {error}")).is_ok()
}

fn directory(path: &Path, backend: Backend) -> OsDirectory {
    let medium = Medium { direct: false, block: 512, physical_block: 512 };
    OsDirectory::new(Root::open(path).expect("it is there"), medium, backend)
}

/// The outcomes of the operations of a test.
#[derive(Default)]
struct Outcomes {
    failed: Vec<String>,
    /// Offset and byte of each block that was written.
    written: BTreeMap<u64, u8>,
}

impl Outcomes {
    fn note<T>(&mut self, outcome: io::Result<T>) -> bool {
        let failed = outcome.err().map(|error| error.to_string());
        self.failed.extend(failed.clone());
        failed.is_none()
    }
}

/// Runs every operation of a device and of a directory, many of them at once.
async fn use_everything(directory: &OsDirectory) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
    let device = directory.open_device("log", options).await.expect("it needs no ring");
    for round in 0..3_u8 {
        let base = u64::from(round) * 2 * SEGMENT;
        // The first write creates two segments, and crosses from one into the other.
        let writes: Vec<_> = (0..8_u64)
            .map(|index| {
                let mut block = AlignedBuf::zeroed(1024);
                block.fill(round + 1);
                let offset = base + (index * 1024 + SEGMENT - 512) % (2 * SEGMENT - 1024);
                (offset, device.write_at(offset, block))
            })
            .collect();
        let sync = device.sync();
        for (offset, write) in writes {
            if outcomes.note(write.await.result) {
                outcomes.written.extend([(offset, round + 1), (offset + 512, round + 1)]);
            }
        }
        outcomes.note(sync.await.result);
        let reads = (0..8).map(|index| (base + index * 512, AlignedBuf::zeroed(512)));
        for read in device.read_many(reads.collect()) {
            outcomes.note(read.await.result);
        }
        drop(device.write_at(base, AlignedBuf::zeroed(0)));
        drop(device.read_at(base, AlignedBuf::zeroed(512)));
        outcomes.note(device.sync().await.result);
    }
    // Operations that need no ring work without a ring.
    device.discard_below(SEGMENT).await.expect("it needs no ring");
    device.truncate(6 * SEGMENT).await.expect("it needs no ring");
    directory.write_file("manifest.new", b"text").await.expect("it needs no ring");
    directory.rename("manifest.new", "manifest").await.expect("it needs no ring");
    outcomes.note(directory.sync().await);
    outcomes
}

/// Reads the written blocks through a backend that works.
async fn check(path: &Path, written: &BTreeMap<u64, u8>) {
    let threads = Arc::new(Threads::start(2, 1).expect("a thread starts"));
    let files = Arc::new(Blocking::start().expect("a thread starts"));
    let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
    let directory = directory(path, Backend::new(threads, files));
    let device = directory.open_device("log", options).await.expect("it exists");
    for (&offset, &byte) in written.range(SEGMENT..) {
        let block = device.read_at(offset, AlignedBuf::zeroed(512)).await.into_buf();
        let block = block.expect("the written bytes are there");
        assert!(block.iter().all(|&found| found == byte), "{offset} is not {byte}");
    }
}

/// A process sandboxed itself, and the kernel then refused its ring. Operations in flight never
/// ended, and the tasks that awaited them hung.
#[test]
fn a_ring_that_dies_at_any_step_fails_every_operation_and_loses_none_that_succeeded() {
    if !is_supported() {
        return;
    }
    for step in PROOF.. {
        let place = tempfile::tempdir().unwrap();
        let backend = start(Script::refusing(step..u32::MAX, Errno::PERM)).unwrap();
        let engine = Arc::clone(&backend.engine);
        let outcomes = pollster::block_on(use_everything(&directory(place.path(), backend)));
        for error in &outcomes.failed {
            let named = error.contains("io_uring failed") && error.contains("not permitted");
            assert!(named && error.contains("open the directory again"), "step {step}: {error}");
        }
        pollster::block_on(check(place.path(), &outcomes.written));
        if outcomes.failed.is_empty() {
            assert!(step > PROOF + 10, "it died at some steps");
            return;
        }
        assert!(engine.is_dead(), "step {step}");
    }
}

/// In a container without a spare task the kernel cancels operations that need a new worker thread.
/// A store took that for a broken disk and refused every later write.
#[test]
fn what_the_kernel_has_no_worker_for_is_done_by_a_file_thread() {
    if !is_supported() {
        return;
    }
    for first in [PROOF, PROOF + 1, PROOF + 7] {
        let place = tempfile::tempdir().unwrap();
        let backend = start(Script::canceling_from(first)).unwrap();
        let engine = Arc::clone(&backend.engine);
        let outcomes = pollster::block_on(use_everything(&directory(place.path(), backend)));
        assert_eq!(outcomes.failed, [""; 0], "nothing fails");
        pollster::block_on(check(place.path(), &outcomes.written));
        assert!(!engine.is_dead());
    }
}

#[test]
fn a_kernel_without_a_worker_is_found_when_the_ring_starts() {
    if is_supported() {
        let error = start(Script::canceling_from(PROOF - 1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("worker thread"), "{error}");
    }
}

/// With endless `EAGAIN` the driver spun, and opening a directory never returned.
#[test]
fn refusals_that_do_not_end_are_given_up() {
    if !is_supported() {
        return;
    }
    for errno in [Errno::AGAIN, Errno::BUSY] {
        let error = start(Script::refusing(1..u32::MAX, errno)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
        let place = tempfile::tempdir().unwrap();
        let backend = start(Script::refusing(PROOF + 2..u32::MAX, errno)).unwrap();
        let outcomes = pollster::block_on(use_everything(&directory(place.path(), backend)));
        let last = outcomes.failed.last().expect("the driver has given up");
        assert!(last.contains("refused to work for seconds"), "{last}");
    }
}

#[test]
fn refusals_that_end_are_waited_for() {
    if !is_supported() {
        return;
    }
    for errno in [Errno::AGAIN, Errno::BUSY, Errno::INTR] {
        for from in [0, 2, PROOF, PROOF + 5] {
            let place = tempfile::tempdir().unwrap();
            let backend = start(Script::refusing(from..from + 50, errno)).unwrap();
            let outcomes = pollster::block_on(use_everything(&directory(place.path(), backend)));
            assert_eq!(outcomes.failed, [""; 0], "{errno}");
        }
    }
}
