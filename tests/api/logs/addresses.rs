//! Every address that a user may hold, as the start of every kind of reader.
//!
//! A scan from an address within an entry returned the same error without end, so that `collect`
//! used up all memory. A scan from after the payload of a page panicked, and a scan from the end of
//! a page never returned anything. A range with an excluded start began in the middle of an entry.
//! The log here has all that an address may meet: zeros, entries of several pages, and entries that
//! were taken back or truncated. It also has records of commits, and gaps at the ends of pages.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::{Stream, StreamExt};
use kvick::io::MemoryDirectory;
use kvick::runtime::{Handle, block_on};
use kvick::{Error, ErrorKind, FasterLog, Result, log};

use tests::polling::AtMost;

use super::open;

const PAGE: u64 = 4096;

/// A log, and the entries that a reader must find in it.
struct Case {
    log: FasterLog,
    /// The visible entries, in order.
    entries: Vec<log::Entry>,
    committed: log::Address,
    voids: Vec<[u64; 2]>,
}

/// The items of a stream: its entries, then perhaps an error, and whether it has ended.
struct Given {
    entries: Vec<log::Address>,
    error: Option<Error>,
    is_over: bool,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls a stream until it waits or ends, and returns its items.
fn given(stream: impl Stream<Item = Result<log::Entry>>, name: &str) -> Given {
    let mut stream = pin!(stream);
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let mut given = Given { entries: Vec::new(), error: None, is_over: false };
    for _ in 0..1000 {
        match stream.as_mut().poll_next(&mut context) {
            Poll::Ready(Some(Ok(entry))) => {
                assert!(given.error.is_none(), "{name}: an entry after an error");
                given.entries.push(entry.address);
            }
            Poll::Ready(Some(Err(error))) => {
                assert!(given.error.is_none(), "{name}: a second error: {error}");
                given.error = Some(error);
            }
            Poll::Ready(None) => {
                given.is_over = true;
                return given;
            }
            Poll::Pending if flag.0.swap(false, Ordering::Relaxed) => {}
            Poll::Pending => return given,
        }
    }
    panic!("{name}: neither goes on nor ends");
}

/// Appends entries of these lengths. Their bytes look like frames of the log, or like unused room.
async fn append(log: &FasterLog, lengths: &[usize], byte: u8) -> Vec<log::Address> {
    let mut addresses = Vec::new();
    for length in lengths {
        addresses.push(log.append(&vec![byte; *length]).await.expect("appended"));
    }
    addresses
}

async fn visible(log: &FasterLog) -> Vec<log::Entry> {
    let scan = log.scan(..).uncommitted();
    scan.map(|entry| entry.expect("sound")).collect().await
}

/// Creates a log of about seven pages.
async fn made(directory: &Arc<MemoryDirectory>) -> (FasterLog, Vec<[u64; 2]>) {
    let log = open(directory).await;
    let gone = append(&log, &[100, 0, 700], 1).await;
    log.commit().await.expect("committed");
    append(&log, &[1000, 8, 9000, 40, 500], 0).await;
    log.commit().await.expect("committed");
    let back = append(&log, &[300, 300, 0, 200], 0xff).await;
    let void = [back[1].raw(), log.tail_address().raw()];
    log.truncate_suffix(back[1]).await.expect("taken back");
    // The last entry leaves a gap in its page that is too small for the next one.
    append(&log, &[1, 2000, 1500, 17], 0).await;
    log.truncate_until(gone[2]).await.expect("truncated");
    log.commit().await.expect("committed");
    append(&log, &[3000, 64, 2000], 3).await;
    log.commit().await.expect("committed");
    (log, vec![void])
}

async fn case(log: FasterLog, voids: Vec<[u64; 2]>) -> Case {
    let (entries, committed) = (visible(&log).await, log.committed_until());
    Case { log, entries, committed, voids }
}

impl Case {
    /// Returns whether a frame begins at the address, or no reader needs to find one there.
    fn is_place(&self, address: u64) -> bool {
        let mut places = self.entries.iter().flat_map(|entry| [entry.address, entry.next]);
        places.any(|place| place.raw() == address)
            || address <= self.log.begin_address().raw()
            || address == self.committed.raw()
            || address == self.log.tail_address().raw()
            || self.voids.iter().any(|[start, end]| (*start..*end).contains(&address))
    }

    /// Returns whether the address lies within an entry.
    fn is_inside(&self, address: u64) -> bool {
        self.entries.iter().any(|entry| {
            let end = match entry.next.raw() {
                next if next.is_multiple_of(PAGE) => next - PAGE / 512 * 8,
                next => next,
            };
            entry.address.raw() < address && address < end
        })
    }

    /// Returns the entries that a reader must show from `address` on and below `until`.
    fn expected(&self, address: u64, excluded: bool, until: log::Address) -> Vec<log::Address> {
        let start = address + u64::from(excluded);
        let all = self.entries.iter().map(|entry| entry.address);
        all.filter(|at| at.raw() >= start && *at < until).collect()
    }

    fn check(&self, given: &Given, address: u64, expected: &[log::Address], name: &str) {
        match &given.error {
            None => {
                assert_eq!(given.entries, expected, "{name}");
                let is_known = address < self.committed.raw() || !expected.is_empty();
                assert!(!(is_known && self.is_inside(address)), "{name}: within an entry");
            }
            Some(error) => {
                assert!(!self.is_place(address), "{name}: {error}");
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}: {error}");
                assert!(error.to_string().contains(&address.to_string()), "{name}: {error}");
                assert!(given.entries.is_empty() && given.is_over, "{name}: not over");
            }
        }
    }

    fn scans(&self, raw: u64) {
        let (address, end) = (log::Address::new(raw), self.log.tail_address());
        let starts = [(Bound::Included(address), false), (Bound::Excluded(address), true)];
        for (start, excluded) in starts {
            for uncommitted in [false, true] {
                let name = format!("{start:?}, uncommitted {uncommitted}");
                let range = (start, Bound::Unbounded);
                let until = if uncommitted { end } else { self.committed };
                let mut scan = self.log.scan(range);
                if uncommitted {
                    scan = scan.uncommitted();
                }
                let found = given(scan, &name);
                assert!(found.is_over, "{name}: waits");
                if raw < until.raw() {
                    let expected = self.expected(raw, excluded, until);
                    self.check(&found, raw, &expected, &name);
                } else {
                    assert!(found.entries.is_empty() && found.error.is_none(), "{name}");
                }
            }
        }
    }

    fn tails(&self, raw: u64) {
        let (address, end) = (log::Address::new(raw), self.log.tail_address());
        for uncommitted in [false, true] {
            let name = format!("tail from {raw}, uncommitted {uncommitted}");
            let tail = self.log.follow_from(address);
            let (tail, until) =
                if uncommitted { (tail.uncommitted(), end) } else { (tail, self.committed) };
            let found = given(tail, &name);
            if raw > end.raw() {
                let error = found.error.expect("beyond the end");
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}: {error}");
                let text = format!("address {raw}: the log ends at {end}");
                assert!(error.to_string().contains(&text), "{name}: {error}");
            } else if raw < until.raw() {
                self.check(&found, raw, &self.expected(raw, false, until), &name);
            } else {
                // The tail waits for a commit, which shows whether the address was right.
                self.check(&found, raw, &[], &name);
            }
        }
    }

    fn reads(&self, raw: u64) {
        let read = block_on(AtMost::new(100, self.log.read(log::Address::new(raw))));
        let known = self.entries.iter().find(|entry| entry.address.raw() == raw);
        match (read.expect("nothing is being written"), known) {
            (Ok(read), Some(entry)) => assert_eq!(read.as_ref(), Some(&entry.payload), "{raw}"),
            (Ok(None), None) => {
                assert!(self.is_place(raw) || raw >= self.log.tail_address().raw(), "{raw}")
            }
            (Ok(Some(_)), None) => panic!("{raw}: a read found an entry that no append wrote"),
            (Err(error), known) => {
                assert_eq!((error.kind(), known), (ErrorKind::InvalidArgument, None), "{error}");
                assert!(
                    raw > self.log.begin_address().raw() && raw < self.log.tail_address().raw(),
                    "{error}"
                );
            }
        }
    }

    fn follows(&self, follower: &log::Follower, raw: u64) {
        let address = log::Address::new(raw);
        let starts = [(Bound::Included(address), false), (Bound::Excluded(address), true)];
        for (start, excluded) in starts {
            let name = format!("followed, {start:?}");
            let found = given(follower.scan((start, Bound::Unbounded)), &name);
            assert!(found.is_over, "{name}: waits");
            if raw < self.committed.raw() {
                let expected = self.expected(raw, excluded, self.committed);
                self.check(&found, raw, &expected, &name);
            } else {
                assert!(found.entries.is_empty() && found.error.is_none(), "{name}");
            }
        }
    }

    /// Returns addresses from before the log to after it: all that a frame may have, the neighbours
    /// of special ones, and the extreme numbers.
    fn addresses(&self) -> BTreeSet<u64> {
        let end = self.log.tail_address().raw();
        let mut addresses: BTreeSet<u64> = (0..end + 2 * PAGE).step_by(8).collect();
        let special = self.entries.iter().map(|entry| entry.address.raw());
        let special = special.chain([0, end, self.committed.raw(), self.log.begin_address().raw()]);
        for address in special.collect::<Vec<_>>() {
            addresses.extend(address.saturating_sub(9)..address + 10);
        }
        addresses.extend([1 << 31, 1 << 40, log::Address::MAX.raw() - 1, log::Address::MAX.raw()]);
        addresses.extend([u64::MAX - 1, u64::MAX]);
        addresses
    }

    fn try_all(&self) {
        for raw in self.addresses() {
            let raw = log::Address::new(raw).raw();
            self.scans(raw);
            self.tails(raw);
            self.reads(raw);
        }
    }
}

#[test]
fn every_address_in_memory_is_a_start_or_refused() {
    block_on(async {
        let (log, voids) = made(&Arc::new(MemoryDirectory::new())).await;
        append(&log, &[100, 1000, 5000, 8, 0], 0).await;
        let case = case(log, voids).await;
        assert!(case.committed < case.log.tail_address());
        case.try_all();
        case.log.close().await.expect("closes");
    });
}

#[test]
fn every_address_on_the_device_is_a_start_or_refused() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let (log, voids) = made(&directory).await;
        log.close().await.expect("closes");
        let log = open(&directory).await;
        append(&log, &[100, 0, 5000, 8], 0).await;
        let case = case(log, voids).await;
        case.try_all();
        case.log.close().await.expect("closes");
    });
}

#[test]
fn every_address_is_a_start_or_refused_by_a_follower() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let (log, voids) = made(&directory).await;
        append(&log, &[100], 0).await;
        let handle = Handle::background().expect("starts");
        let follower = log::Follower::open_in(directory, handle).await.expect("follows");
        let case = case(log, voids).await;
        for raw in case.addresses() {
            case.follows(&follower, log::Address::new(raw).raw());
        }
        case.log.close().await.expect("closes");
    });
}

/// A range that ended after an entry of several pages also showed the later entries in the last of
/// these pages.
#[test]
fn every_entry_is_an_end() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let (log, _) = made(&directory).await;
        append(&log, &[9000, 8, 8, 5000, 0, 4016, 8], 0).await;
        log.commit().await.expect("committed");
        let entries = visible(&log).await;
        check_ends(&log, &entries).await;
        log.close().await.expect("closes");
        let log = open(&directory).await;
        check_ends(&log, &entries).await;
        log.close().await.expect("closes");
    });
}

async fn check_ends(log: &FasterLog, entries: &[log::Entry]) {
    for (number, entry) in entries.iter().enumerate() {
        let inside = log::Address::new(entry.address.raw() + 1);
        let expected = [number, number + 1, number + 1, number + 1];
        let ranges = [
            (Bound::Unbounded, Bound::Excluded(entry.address)),
            (Bound::Unbounded, Bound::Included(entry.address)),
            (Bound::Unbounded, Bound::Excluded(inside)),
            (Bound::Unbounded, Bound::Excluded(entry.next)),
        ];
        for (range, count) in ranges.into_iter().zip(expected) {
            let found: Vec<_> = log.scan(range).map(|found| found.expect("sound")).collect().await;
            assert_eq!(found.len(), count, "{range:?}");
            assert_eq!(found[..], entries[..count], "{range:?}");
        }
    }
}

/// The stream repeated its first error again and again.
#[test]
fn a_stream_is_over_after_its_error() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let at = append(&log, &[100], 5).await[0];
        log.commit().await.expect("committed");
        let inside = log::Address::new(at.raw() + 8);
        assert_eq!(log.scan(inside..).collect::<Vec<_>>().await.len(), 1);
        let sound = log.follow_from(inside).filter_map(|entry| async { entry.ok() });
        assert_eq!(sound.count().await, 0);
        log.close().await.expect("closes");
    });
}

#[test]
fn a_range_that_excludes_its_start_begins_with_the_next_entry() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let one = log.append(b"one").await.expect("appended");
        let two = log.append(b"two").await.expect("appended");
        log.commit().await.expect("committed");
        let behind = |at| (Bound::Excluded(at), Bound::Unbounded);
        let mut scan = log.scan(behind(one));
        assert_eq!(scan.next().await.expect("there").expect("sound").payload[..], *b"two");
        assert_eq!(log.scan(behind(two)).count().await, 0);
        assert_eq!(log.scan((Bound::Excluded(one), Bound::Excluded(two))).count().await, 0);
        log.close().await.expect("closes");
    });
}
