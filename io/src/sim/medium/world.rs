//! The state of a simulated disk: its directories, and the operations in flight.
//!
//! An operation takes effect when it ends, and no caller sees any effect before. Only a power cut
//! may find any portion of a write in flight on the medium.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::contract::completion::{CompletionSink, Transfer};
use crate::error::ErrorClass;
use crate::error::with_context;
use crate::files::segments::Extent;
use crate::sim::faults::Faults;
use crate::sim::medium::file::{Contents, SimFile};
use crate::sim::medium::history::{History, OperationKind};
use crate::sim::medium::namespace::Namespace;
use crate::sim::medium::work::{Coverage, CoveredNames, Ended, InFlight, Work, overlap, read};
use crate::sim::{Random, SimOptions};

#[derive(Debug)]
pub(in crate::sim) struct World {
    pub(in crate::sim) options: SimOptions,
    pub(in crate::sim) directories: BTreeMap<String, Namespace>,
    /// Names locked, by directory. Under its own lock: a [`crate::Lock`] may be dropped anywhere.
    pub(in crate::sim) locked: Arc<Mutex<BTreeSet<(String, String)>>>,
    pub(in crate::sim) faults: Faults,
    pub(in crate::sim) history: History,
    pub(in crate::sim) random: Random,
    pub(in crate::sim) stalled: bool,
    pub(in crate::sim) read_only: bool,
    pub(in crate::sim) now: Duration,
    /// Ordered by the time of the end, then by number.
    pub(in crate::sim) in_flight: BTreeMap<(Duration, u64), InFlight<Self>>,
    pub(in crate::sim) bytes_used: u64,
    pub(in crate::sim) files_made: u64,
}

impl World {
    pub(in crate::sim) fn new(seed: u64, options: SimOptions) -> Self {
        options.check();
        let faults = Faults { rates: options.fault_rates, ..Faults::default() };
        Self {
            options,
            directories: BTreeMap::new(),
            locked: Arc::default(),
            faults,
            history: History::default(),
            random: Random::new(seed),
            stalled: false,
            read_only: false,
            now: Duration::ZERO,
            in_flight: BTreeMap::new(),
            bytes_used: 0,
            files_made: 0,
        }
    }

    pub(in crate::sim) fn directory(&mut self, path: &str) -> &mut Namespace {
        self.directories.get_mut(path).expect("a directory is made with its handle, and stays")
    }

    /// Starts an operation.
    pub(in crate::sim) fn begin(
        &mut self,
        kind: OperationKind,
        subject: String,
        work: Work<Self>,
        sink: CompletionSink,
    ) {
        self.audit_overlap(&work, &subject);
        let number = self.history.begin(self.now, kind, subject.clone());
        let (fastest, slowest) = (*self.options.latency.start(), *self.options.latency.end());
        let spread = u64::try_from((slowest - fastest).as_nanos()).unwrap_or(u64::MAX - 1);
        let latency = fastest + Duration::from_nanos(self.random.below(spread.saturating_add(1)));
        let operation = InFlight { number, kind, subject, sink, work };
        self.in_flight.insert((self.now + latency, number), operation);
    }

    pub(in crate::sim) fn next_event(&self) -> Option<Duration> {
        let (&(time, _), _) = self.in_flight.first_key_value()?;
        // Operations that a stall held back are due at once.
        (!self.stalled).then(|| time.max(self.now))
    }

    /// Moves the clock, and ends the operations that are due.
    pub(in crate::sim) fn run(&mut self, now: Duration) -> Vec<Ended> {
        self.now = self.now.max(now);
        let mut ended = Vec::new();
        while self.next_event().is_some_and(|time| time <= self.now) {
            let (_, operation) = self.in_flight.pop_first().expect("there is a next event");
            ended.extend(self.end(operation));
        }
        ended
    }

    /// Ends an operation. A write that a sync follows goes on.
    fn end(&mut self, operation: InFlight<Self>) -> Option<Ended> {
        let InFlight { number, kind, subject, sink, work } = operation;
        let verdict = self
            .faults
            .verdict(number, kind, &mut self.random)
            .and_then(|()| if kind.is_change() { self.check_changes(&subject) } else { Ok(()) })
            .map_err(|error| with_context(error, subject.clone()));
        // The device contract: an operation without a waiting caller may be skipped, except some
        // kinds.
        let skipped = sink.is_abandoned() && !kind.is_never_skipped() && self.random.chance(0.5);
        let (result, buf) = match work {
            work if skipped => (Ok(()), work.into_buf()),
            Work::Read(extents, mut buf) => {
                let result = verdict.and_then(|()| read(&extents, &mut buf, &subject));
                if result.is_err() {
                    buf.fill(FILLER);
                }
                (result, Some(buf))
            }
            Work::Write(extents, buf, next) => {
                let result = self.write(verdict, &extents, &buf);
                if let (Ok(()), Some(next)) = (&result, next) {
                    self.history.end(self.now, (number, kind), Ok(()));
                    let work = Work::Sync(next(), Some(buf));
                    self.begin(OperationKind::Sync, subject, work, sink);
                    return None;
                }
                (result, Some(buf))
            }
            Work::Sync(coverage, buf) => {
                let result = self.sync(verdict, &coverage);
                // As the contract says of a sync that follows a write.
                let is_next = buf.is_some();
                (if is_next { result.map_err(io::Error::other) } else { result }, buf)
            }
            Work::Other(effect) => {
                let end = effect(self, verdict);
                self.history.end(self.now, (number, kind), end);
                let (result, buf) = (Ok(()), None);
                return Some((sink, Transfer { result, buf }));
            }
        };
        let end = result.as_ref().map(|&()| ()).map_err(io::Error::kind);
        self.history.end(self.now, (number, kind), end);
        Some((sink, Transfer { result, buf }))
    }

    fn write(
        &mut self,
        verdict: io::Result<()>,
        extents: &[Extent<SimFile>],
        bytes: &[u8],
    ) -> io::Result<()> {
        let growth = extents.iter().map(|extent| {
            let contents = extent.file.contents();
            u64::from(contents.linked) * contents.growth(extent.offset, extent.len)
        });
        let needed = self.bytes_used + growth.sum::<u64>();
        let fits = self.options.capacity.is_none_or(|limit| needed <= limit);
        let share = match &verdict {
            Ok(()) if fits => 1.0,
            // Any portion of a failed write may have reached the medium.
            Err(error) if fits && !did_not_begin(error) => 0.5,
            _ => 0.0,
        };
        let mut random = self.random.fork();
        let mut rest = bytes;
        for extent in extents {
            let (part, tail) = rest.split_at(extent.len);
            rest = tail;
            self.change(&extent.file, |contents| {
                contents.write(extent.offset, part, |_| random.chance(share));
            });
        }
        match verdict {
            Ok(()) if !fits => {
                let message = format!("the simulated disk is full: {needed} bytes needed");
                Err(io::Error::new(io::ErrorKind::StorageFull, message))
            }
            verdict => verdict,
        }
    }

    fn sync(&mut self, verdict: io::Result<()>, coverage: &Coverage) -> io::Result<()> {
        coverage.check()?;
        if self.options.ignore_syncs || verdict.as_ref().is_err_and(is_not_now) {
            return verdict;
        }
        let mut failed = Vec::new();
        for (file, stamp) in &coverage.files {
            if verdict.is_ok() || self.random.chance(0.5) {
                file.contents().sync(*stamp);
            } else {
                file.contents().fail_sync(*stamp, &mut self.random);
                failed.push(file.id);
            }
        }
        if let Err(error) = verdict {
            // The system names at least one file.
            failed.extend(coverage.ids().last().filter(|_| failed.is_empty()));
            return Err(coverage.failures.note(&failed, error));
        }
        if let Some(CoveredNames { path, .. }) = &coverage.directory {
            self.directory(path).sync_created(&coverage.ids());
        }
        Ok(())
    }

    /// Fails if the disk is read-only.
    pub(in crate::sim) fn check_changes(&self, what: &str) -> io::Result<()> {
        if !self.read_only {
            return Ok(());
        }
        let message = format!("{what}: the simulated disk is read-only");
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, message))
    }

    /// Fails if a file cannot be created now.
    pub(in crate::sim) fn check_opening(&self, name: &str) -> io::Result<()> {
        self.check_changes(name)?;
        match self.faults.opens {
            Some(fault) => Err(with_context(fault.error(), name.to_owned())),
            None => Ok(()),
        }
    }

    /// Changes a file and updates the count of used bytes.
    pub(in crate::sim) fn change<R>(
        &mut self,
        file: &SimFile,
        change: impl FnOnce(&mut Contents) -> R,
    ) -> R {
        let mut contents = file.contents();
        let space = |contents: &Contents| u64::from(contents.linked) * contents.bytes_held();
        let before = space(&contents);
        let result = change(&mut contents);
        self.bytes_used = self.bytes_used - before + space(&contents);
        result
    }

    /// Returns the file with this name on the medium.
    pub(in crate::sim) fn durable_file(&self, path: &str, name: &str) -> Option<&Arc<SimFile>> {
        self.directories.get(path)?.durable_file(name)
    }

    /// Returns the file with this name, created if absent.
    pub(in crate::sim) fn file_or_new(&mut self, path: &str, name: &str) -> Arc<SimFile> {
        if let Some(file) = self.directory(path).names().get(name) {
            return Arc::clone(file);
        }
        self.files_made += 1;
        let file = SimFile::new(self.files_made, Contents::new(self.options.block));
        self.directory(path).create(name, &file);
        file
    }

    /// Removes a name, and frees the space.
    pub(in crate::sim) fn unlink(&mut self, path: &str, name: &str) -> io::Result<()> {
        let file = self.directory(path).remove(name);
        let file = file.ok_or_else(|| not_found(name))?;
        self.change(&file, |contents| contents.linked = false);
        Ok(())
    }

    fn audit_overlap(&self, work: &Work<Self>, subject: &str) {
        let (true, Work::Write(extents, ..)) = (self.options.audit, work) else {
            return;
        };
        for other in self.in_flight.values() {
            let Work::Write(others, ..) = &other.work else {
                continue;
            };
            let overlapping =
                |extent: &Extent<SimFile>| others.iter().any(|other| overlap(extent, other));
            if extents.iter().any(overlapping) {
                let InFlight { number, subject: s, .. } = other;
                self.misuse(&format!("the write of {subject} overlaps operation {number}, of {s}"));
            }
        }
    }

    /// Panics with a message and the last operations.
    pub(in crate::sim) fn misuse(&self, what: &str) -> ! {
        panic!("{what}; the last operations:{}", self.history)
    }
}

/// Returns whether a sync that failed with this error changed nothing.
pub(in crate::sim) fn is_not_now(error: &io::Error) -> bool {
    ErrorClass::of(error) == ErrorClass::NotNow
}

/// Returns whether a change that failed with this error changed nothing.
pub(in crate::sim) fn did_not_begin(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ReadOnlyFilesystem || ErrorClass::of(error) != ErrorClass::Never
}

pub(in crate::sim) fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} does not exist"))
}

/// The filler byte that a failed read leaves in its buffer.
const FILLER: u8 = 0xdb;
