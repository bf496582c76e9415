//! Segments of a log with any bytes, raw or as frames under checksums that are right.

use std::sync::{Arc, LazyLock};

use arbitrary::{Result, Unstructured};
use futures::TryStreamExt;
use kvick::io::MemoryDirectory;
use kvick::runtime::{Handle, Simulation};
use kvick::{FasterLog, log};

use super::checksums::{CAPACITY, PAGE, PAYLOAD, frame, padding, salt_of, units};
use crate::files::Files;
use crate::log_files::open_log_in;
use crate::simulated::four_log_pages;

const SEGMENT: usize = 16 << 10;
const FIRST: u64 = 64;
const COMMIT: u32 = 5;

/// The manifest of an empty log, and its salt.
static EMPTY: LazyLock<(Files, u64)> = LazyLock::new(|| {
    let simulation = Simulation::new(1);
    let handle = simulation.handle();
    let files = simulation.run(async {
        let directory = MemoryDirectory::new();
        let log = open_log_in(&directory, four_log_pages(), handle).await.expect("created");
        log.close().await.expect("closes");
        Files::of(&directory).await.without("lock")
    });
    let salt = salt_of(files.manifest());
    (files, salt)
});

/// Checks, opens, reads and repairs a log with these segments.
///
/// # Panics
/// Panics if the engine does, or if a repair leaves a log that is damaged.
pub fn log_frames(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let options: u8 = input.arbitrary().unwrap_or(0);
    let salt = EMPTY.1;
    let bytes = match options & 3 {
        0 => input.take_rest().to_vec(),
        1 => units(salt, &[], 0, input.take_rest()),
        _ => units(salt, &[], 0, &Frames::of(&mut input, salt)),
    };
    let files = segments(&bytes);
    let simulation = Simulation::new(u64::from(options >> 4));
    let handle = simulation.handle();
    simulation.run(async {
        open(&files, handle.clone()).await;
        repair(&files, handle).await;
    });
}

/// Returns the files of a log with these bytes.
fn segments(bytes: &[u8]) -> Files {
    let mut files = EMPTY.0.clone();
    files.0.retain(|name, _| !name.starts_with("log."));
    for (number, segment) in bytes.chunks(SEGMENT).enumerate() {
        files.0.insert(format!("log.{number:06}"), segment.to_vec());
    }
    files
}

/// Opens, reads and closes a log.
pub(super) async fn open(files: &Files, handle: Handle) {
    let directory = files.restore().await;
    // Checksums that were forged allow any result but a panic.
    if let Ok(log) = open_log_in(&directory, four_log_pages(), handle).await {
        read(&log).await;
        let appended = log.append(b"more").await;
        if appended.is_ok() {
            drop(log.close().await);
        }
    }
}

async fn read(log: &FasterLog) {
    let mut scan = log.scan(..);
    while let Ok(Some(entry)) = scan.try_next().await {
        assert!(entry.address < entry.next, "a reader does not advance");
    }
    for address in [FIRST, 504, 1008, PAGE] {
        drop(log.read(log::Address::new(address)).await);
        drop(log.read_at_or_after(log::Address::new(address)).await);
    }
    drop(log.last().await);
}

async fn repair(files: &Files, handle: Handle) {
    let directory = files.restore().await;
    let checked = log::check(Arc::new(directory.clone())).await;
    let Ok(repaired) = log::repair(Arc::new(directory.clone())).await else {
        return;
    };
    assert_eq!(checked.expect("it was repaired"), repaired);
    let again = log::check(Arc::new(directory.clone())).await.expect("it was repaired");
    assert!(again.is_sound(), "{again:?} after {repaired:?}");
    open(&Files::of(&directory).await.without("lock"), handle).await;
}

/// The payload of a log, frame by frame.
struct Frames {
    salt: u64,
    payload: Vec<u8>,
    number: u64,
    durable: u64,
}

impl Frames {
    fn new(salt: u64) -> Self {
        let payload = vec![0; usize::try_from(FIRST).expect("small")];
        Self { salt, payload, number: 0, durable: FIRST }
    }

    fn of(input: &mut Unstructured<'_>, salt: u64) -> Vec<u8> {
        let mut frames = Self::new(salt);
        while !input.is_empty() && frames.add(input).is_ok() {}
        frames.payload
    }

    /// The address of the next byte.
    fn address(&self) -> u64 {
        let bytes = self.payload.len() as u64;
        bytes / CAPACITY * PAGE + bytes % CAPACITY
    }

    fn left_of_page(&self) -> usize {
        usize::try_from(CAPACITY - self.payload.len() as u64 % CAPACITY).expect("small")
    }

    fn add(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=9)? {
            0..4 => self.commit(input)?,
            4 => self.pad(self.left_of_page()),
            5 => {
                let bytes = usize::from(input.arbitrary::<u8>()?).min(input.len());
                self.payload.extend_from_slice(input.bytes(bytes)?);
            }
            6 => {
                // Half of the frame is missing, or follows as other bytes.
                let frame = self.any_frame(input)?;
                self.payload.extend_from_slice(&frame[..frame.len() / 2]);
            }
            _ => {
                let frame = self.any_frame(input)?;
                if frame.len() > self.left_of_page() {
                    self.pad(self.left_of_page());
                }
                self.payload.extend(frame);
            }
        }
        Ok(())
    }

    fn any_frame(&self, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let kind = input.int_in_range(0..=7)?;
        let length = usize::from(input.arbitrary::<u16>()?) % 1200;
        let byte = input.arbitrary()?;
        Ok(frame(self.salt, self.address(), kind, &vec![byte; length]))
    }

    /// Adds a commit record, mostly one that the engine would write.
    fn commit(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let (mut begin, mut number, mut durable) = (FIRST, self.number + 1, self.durable);
        for field in [&mut begin, &mut number, &mut durable] {
            if input.ratio(1, 8)? {
                *field = any_number(input)?;
            }
        }
        let mut record = Vec::new();
        record.push(u8::from(input.ratio(1, 16)?));
        record.extend(0_u32.to_le_bytes());
        let iterators: u32 = input.int_in_range(0..=2)?;
        record.extend(iterators.to_le_bytes());
        for _ in 0..iterators {
            record.extend([1, 0, input.arbitrary()?]);
            record.extend(any_number(input)?.to_le_bytes());
        }
        let voids: u32 = input.int_in_range(0..=2)?;
        record.extend(voids.to_le_bytes());
        for _ in 0..2 * voids {
            record.extend(any_number(input)?.to_le_bytes());
        }
        let bytes = 8 + 3 * 8 + record.len().next_multiple_of(8);
        if bytes > self.left_of_page() {
            self.pad(self.left_of_page());
            return Ok(());
        }
        self.record([number, begin, durable], &record);
        if !input.ratio(1, 16)? {
            self.pad_unit();
        }
        Ok(())
    }

    /// Adds a commit record with these numbers: its own, begin, and durable end.
    fn record(&mut self, numbers: [u64; 3], rest: &[u8]) {
        let record = [&numbers.map(u64::to_le_bytes).concat(), rest].concat();
        self.payload.extend(frame(self.salt, self.address(), COMMIT, &record));
        (self.number, self.durable) = (numbers[0], self.address());
    }

    fn pad_unit(&mut self) {
        self.pad((PAYLOAD - self.payload.len() % PAYLOAD) % PAYLOAD);
    }

    /// Adds padding of so many bytes.
    fn pad(&mut self, bytes: usize) {
        let end = self.payload.len() + bytes;
        if bytes >= 8 {
            self.payload.extend(padding(self.salt, self.address(), bytes));
        }
        self.payload.resize(end, 0);
    }
}

/// Draws a number of the size of an address, or any number.
fn any_number(input: &mut Unstructured<'_>) -> Result<u64> {
    match input.int_in_range(0..=3)? {
        0 => input.arbitrary(),
        1 => Ok(u64::from(input.arbitrary::<u16>()?) / 504 * 504),
        _ => Ok(u64::from(input.arbitrary::<u16>()?) % 5000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvick::log;
    use kvick::runtime::block_on;

    const NOTHING_ELSE: [u8; 13] = [0; 13];

    fn entry(frames: &mut Frames) {
        frames.payload.extend(frame(frames.salt, frames.address(), 1, b"an entry"));
    }

    fn commit(frames: &mut Frames, begin: u64) {
        let numbers = [frames.number + 1, begin, frames.durable];
        frames.record(numbers, &NOTHING_ELSE);
        frames.pad_unit();
    }

    fn check(frames: &Frames) -> log::Check {
        let files = segments(&units(frames.salt, &[], 0, &frames.payload));
        block_on(async {
            let directory = Arc::new(files.restore().await);
            let check = log::check(directory.clone()).await.expect("there is a log");
            assert_eq!(log::repair(directory.clone()).await.expect("memory"), check);
            let again = log::check(directory).await.expect("it was repaired");
            assert!(again.is_sound() && again.entries == check.entries, "{again:?}");
            check
        })
    }

    /// A log had a unit without a frame, and after it an entry and the newest commit. A check found
    /// no frame in the sound units up to the end of the log, and a repair dropped the entry.
    #[test]
    fn entries_after_a_unit_without_a_frame_are_found() {
        let mut frames = Frames::new(EMPTY.1);
        entry(&mut frames);
        commit(&mut frames, FIRST);
        frames.payload.extend([0xff; PAYLOAD]);
        frames.durable = frames.address();
        entry(&mut frames);
        commit(&mut frames, FIRST);
        let check = check(&frames);
        assert_eq!((check.entries, check.commit.number), (2, 2), "{check:?}");
        let damage = &check.damage[0];
        assert_eq!([damage.start.raw(), damage.end.raw()], [504, 1008], "{check:?}");
    }

    /// A commit record claimed that the log begins after its own end, and a repair panicked.
    #[test]
    fn a_log_that_begins_after_its_end_is_not_believed() {
        let mut frames = Frames::new(EMPTY.1);
        entry(&mut frames);
        commit(&mut frames, FIRST);
        entry(&mut frames);
        commit(&mut frames, 5000);
        let check = check(&frames);
        assert_eq!((check.begin.raw(), check.commit.number), (FIRST, 1), "{check:?}");
    }

    /// The newest commit had truncated an entry, and the manifest was older than that. A check
    /// counted the entry.
    #[test]
    fn an_entry_before_the_begin_of_the_newest_commit_is_not_counted() {
        let mut frames = Frames::new(EMPTY.1);
        entry(&mut frames);
        commit(&mut frames, FIRST);
        let begin = frames.address();
        entry(&mut frames);
        commit(&mut frames, begin);
        let check = check(&frames);
        assert_eq!((check.begin.raw(), check.entries, check.commit.number), (begin, 1, 2));
        assert!(check.is_sound(), "{check:?}");
    }

    /// The newest commit claimed that the log begins in the middle of an entry. A check found no
    /// damage, a repair named that begin in the manifest, and no reader could start there.
    #[test]
    fn a_log_begins_at_a_frame_after_its_repair() {
        let mut frames = Frames::new(EMPTY.1);
        entry(&mut frames);
        commit(&mut frames, FIRST);
        let sound = frames.address();
        entry(&mut frames);
        commit(&mut frames, FIRST + 8);
        let check = check(&frames);
        let damage: Vec<_> = check.damage.iter().map(|lost| [lost.start, lost.end]).collect();
        assert_eq!(damage, [[FIRST + 8, sound].map(log::Address::new)], "{check:?}");
        assert_eq!(check.entries, 1, "{check:?}");
    }

    /// The last piece of an entry was missing, and another entry followed. A check found no damage,
    /// and the search for the last entry never ended.
    #[test]
    fn an_entry_without_its_last_piece_is_lost() {
        let mut frames = Frames::new(EMPTY.1);
        entry(&mut frames);
        let first = frames.address();
        frames.payload.extend(frame(frames.salt, first, 2, b"a piece."));
        let next = frames.address();
        entry(&mut frames);
        commit(&mut frames, FIRST);
        let check = check(&frames);
        let damage: Vec<_> = check.damage.iter().map(|lost| [lost.start, lost.end]).collect();
        assert_eq!(damage, [[first, next].map(log::Address::new)], "{check:?}");
        assert_eq!(check.entries, 2, "{check:?}");
        assert_eq!(read_below(&frames, PAGE), [b"an entry"; 2]);
    }

    /// A scan ended between two pieces in one page, and never found the second one.
    #[test]
    fn a_scan_that_ends_between_pieces_completes_the_entry() {
        let mut frames = Frames::new(EMPTY.1);
        frames.payload.extend(frame(frames.salt, FIRST, 2, b"a piece."));
        let end = frames.address();
        frames.payload.extend(frame(frames.salt, end, 4, b"the end."));
        commit(&mut frames, FIRST);
        assert_eq!(read_below(&frames, end), [b"a piece.the end."]);
    }

    /// Repairs a log, and returns its entries that begin below `end`.
    fn read_below(frames: &Frames, end: u64) -> Vec<Vec<u8>> {
        let files = segments(&units(frames.salt, &[], 0, &frames.payload));
        let simulation = Simulation::new(1);
        let handle = simulation.handle();
        simulation.run(async {
            let directory = files.restore().await;
            log::repair(Arc::new(directory.clone())).await.expect("memory");
            let log = open_log_in(&directory, four_log_pages(), handle).await.expect("sound");
            assert!(log.last().await.expect("sound").is_some());
            let scan = log.scan(..log::Address::new(end));
            let entries: Vec<_> = scan.try_collect().await.expect("sound");
            log.close().await.expect("closes");
            entries.iter().map(|entry| entry.payload.to_vec()).collect()
        })
    }
}
