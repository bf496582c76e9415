//! The backend with a kernel that refuses: reads, the wait for them, or one result.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::io::Errno;

use super::*;
use crate::backends::uring::Limits;
use crate::contract::completion::Completion;
use crate::files::file::StorageFile;
use crate::files::operation::tests::{operation, scratch};
use crate::threads::blocking::Blocking;

/// A kernel that refuses as scripted and otherwise works.
#[derive(Debug)]
struct Script {
    counts: Arc<Counts>,
    /// The number of the first submission that is refused.
    submissions_from: u32,
    /// The number of the first wait that is refused.
    waits_from: u32,
    /// The result of every event of a read.
    result: Option<i64>,
    /// Holds up the first wait until the sender is dropped.
    gate: Option<Mutex<Receiver<()>>>,
    /// Disconnects at the end of the context.
    _alive: Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    submissions: AtomicU32,
    waits: AtomicU32,
}

/// The proof takes one submission and one wait.
const PROOF: u32 = 1;

impl Refusals for Script {
    fn submission(&self) -> io::Result<()> {
        let number = self.counts.submissions.fetch_add(1, Ordering::Relaxed);
        if number < self.submissions_from { Ok(()) } else { Err(Errno::NOSYS.into()) }
    }

    fn wait(&self) -> io::Result<()> {
        let number = self.counts.waits.fetch_add(1, Ordering::Relaxed);
        if let Some(gate) = self.gate.as_ref().filter(|_| number == PROOF) {
            assert!(gate.lock().expect("one thread waits").recv().is_err(), "nothing is sent");
        }
        if number < self.waits_from { Ok(()) } else { Err(Errno::PERM.into()) }
    }

    fn answer(&self, result: i64) -> i64 {
        self.result.unwrap_or(result)
    }
}

/// An engine on a scripted kernel, and a file full of sevens.
struct Subject {
    engine: Arc<dyn Engine>,
    ring: Arc<Uring>,
    counts: Arc<Counts>,
    ended: Receiver<()>,
    file: Arc<StorageFile>,
    _place: tempfile::TempDir,
}

fn subject(script: impl FnOnce(Script) -> Script) -> Option<Subject> {
    let (place, file) = scratch();
    let files = Arc::new(Blocking::start().expect("a thread starts"));
    let limits = Limits { depth: 8, class: 6 };
    let ring = Uring::start(limits, file.try_clone().expect("a descriptor"), BLOCK, files)
        .inspect_err(|error| println!("skipped: {error}"));
    let (ring, counts, (alive, ended)) = (Arc::new(ring.ok()?), Arc::default(), channel());
    let never = u32::MAX;
    let kernel = script(Script {
        counts: Arc::clone(&counts),
        submissions_from: never,
        waits_from: never,
        result: None,
        gate: None,
        _alive: alive,
    });
    let direct = Direct::start_on(Box::new(kernel), &ring, 4)
        .inspect_err(|error| println!("skipped: {error}"));
    let engine = Arc::new(direct.ok()?);
    Some(Subject { engine, ring, counts, ended, file, _place: place })
}

const BLOCK: usize = 512;

impl Subject {
    fn read(&self) -> Completion {
        let (completion, operation) = operation(Kind::Read, &self.file, &[BLOCK]);
        self.engine.submit(operation);
        completion
    }

    fn submissions(&self) -> u32 {
        self.counts.submissions.load(Ordering::Relaxed)
    }
}

fn outcome(completion: Completion) -> io::Result<()> {
    pollster::block_on(completion).result
}

#[test]
fn callers_submit_small_reads_and_nothing_else() {
    let Some(subject) = subject(|script| script) else { return };
    for count in 1..20 {
        let buf = pollster::block_on(subject.read()).into_buf().unwrap();
        assert!(buf.iter().all(|&byte| byte == 7));
        assert_eq!(subject.submissions(), PROOF + count);
    }
    let used = subject.submissions();
    for (kind, bytes) in [(Kind::Write, BLOCK), (Kind::Read, MAX_READ + BLOCK)] {
        subject.file.file().set_len((MAX_READ + BLOCK) as u64).unwrap();
        let (completion, operation) = operation(kind, &subject.file, &[bytes]);
        subject.engine.submit(operation);
        outcome(completion).unwrap();
    }
    assert_eq!(subject.submissions(), used);
}

#[test]
fn the_ring_has_the_reads_that_find_no_room() {
    let Some(subject) = subject(|script| script) else { return };
    let pairs = (0..100).map(|_| operation(Kind::Read, &subject.file, &[BLOCK]));
    let (completions, operations): (Vec<_>, Vec<_>) = pairs.unzip();
    subject.engine.submit_many(operations);
    completions.into_iter().for_each(|completion| outcome(completion).unwrap());
}

#[test]
fn the_ring_has_the_reads_that_the_kernel_refuses_and_callers_stop_trying() {
    let Some(subject) = subject(|script| Script { submissions_from: PROOF, ..script }) else {
        return;
    };
    (0..100).for_each(|_| outcome(subject.read()).unwrap());
    assert!(subject.submissions() < PROOF + 50, "they pause");
}

#[test]
fn the_ring_has_the_reads_that_would_block_and_callers_stop_trying() {
    // Some devices cannot say whether they would.
    for errno in [Errno::AGAIN, Errno::OPNOTSUPP] {
        let blocks = -i64::from(errno.raw_os_error());
        let Some(subject) = subject(|script| Script { result: Some(blocks), ..script }) else {
            return;
        };
        (0..100).for_each(|_| outcome(subject.read()).unwrap());
        assert!(subject.submissions() < PROOF + 50, "they pause");
    }
}

#[test]
fn the_ring_has_the_rest_of_a_short_read() {
    let Some(subject) = subject(|script| script) else { return };
    subject.file.file().set_len(BLOCK as u64 / 2).unwrap();
    let error = outcome(subject.read()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
    let short = Some(BLOCK as i64 / 2);
    let Some(subject) = self::subject(|script| Script { result: short, ..script }) else { return };
    (0..10).for_each(|_| outcome(subject.read()).unwrap());
}

#[test]
fn a_read_that_fails_names_the_cause() {
    let broken = Some(-i64::from(Errno::IO.raw_os_error()));
    let Some(subject) = subject(|script| Script { result: broken, ..script }) else { return };
    let error = outcome(subject.read()).unwrap_err();
    assert!(error.to_string().contains("reading"), "{error}");
    assert_eq!(error.kind(), io::Error::from(Errno::IO).kind());
}

/// No future hangs when the kernel stops to report events, and the ring serves later reads.
#[test]
fn reads_whose_events_never_come_fail_and_later_ones_succeed() {
    for refused in [PROOF, PROOF + 1, PROOF + 5] {
        let Some(subject) = subject(|script| Script { waits_from: refused, ..script }) else {
            return;
        };
        let outcomes: Vec<_> = (0..100).map(|_| outcome(subject.read())).collect();
        let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        for error in failed.clone() {
            assert!(error.to_string().contains("not permitted"), "{error}");
        }
        assert!(failed.count() <= 4, "no more than were in flight");
        assert!(outcomes[50..].iter().all(io::Result::is_ok));
        assert!(!subject.ring.is_dead());
    }
}

#[test]
fn the_thread_ends_after_the_last_read_and_only_then() {
    for reads in [0, 1, 4, 20] {
        let (opened, gate) = channel();
        let gate = Some(Mutex::new(gate));
        let Some(subject) = subject(|script| Script { gate, ..script }) else { return };
        let completions: Vec<_> = (0..reads).map(|_| subject.read()).collect();
        let Subject { engine, ring, ended, .. } = subject;
        drop((engine, ring));
        drop(opened);
        completions.into_iter().for_each(|completion| outcome(completion).unwrap());
        assert!(ended.recv().is_err(), "the context has ended");
    }
}
