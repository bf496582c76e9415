//! The raw files of a log, to be damaged and opened again.

use std::sync::Arc;

use futures::TryStreamExt;
use kvick::io::MemoryDirectory;
use kvick::log::Commit;
use kvick::runtime::{Handle, Simulation};
use kvick::{Error, FasterLog, Result, log};

use crate::files::Files;
use crate::samples::pattern;
use crate::simulated::four_log_pages;

pub(crate) const PAGE: u64 = 4096;
pub(crate) const UNIT: u64 = 512;
const SEGMENT: u64 = 16 << 10;

/// The files of a log with several commits, and what each of them has.
#[derive(Debug)]
pub struct BuiltLog {
    /// As they were when it was running.
    pub files: Files,
    /// From that of the manifest on.
    pub commits: Vec<Commit>,
    /// All entries that were appended, also after the last commit.
    pub entries: Vec<(log::Address, Vec<u8>)>,
}

/// How a log was found.
#[derive(Debug)]
pub enum FoundLog {
    /// It was not opened, and nothing was touched.
    Refused(Error),
    /// It was: with this commit, these entries, and what was said when a scan could not go on.
    Opened(Commit, Vec<(log::Address, Vec<u8>)>, Option<Error>),
}

/// Opens a log in a directory in memory.
///
/// # Errors
/// As [`kvick::log::Builder::open_in_directory`].
pub async fn open_log_in(
    directory: &MemoryDirectory,
    config: log::Config,
    handle: Handle,
) -> Result<FasterLog> {
    let directory = Arc::new(directory.clone());
    FasterLog::builder(config)
        .runtime(handle)
        .directory(directory)
        .seed(7)
        .open_in_directory()
        .await
}

impl BuiltLog {
    /// A log that had `before` entries when its manifest was written, and then `commits` commits of
    /// some entries each; more entries follow that were written and not committed.
    pub fn new(before: u64, commits: u64) -> Self {
        let simulation = Simulation::new(before);
        let handle = simulation.handle();
        simulation.run(async {
            let directory = MemoryDirectory::new();
            let mut built =
                Self { files: Files::default(), commits: Vec::new(), entries: Vec::new() };
            let log = open_log_in(&directory, four_log_pages(), handle.clone()).await;
            let log = log.expect("created");
            built.append(&log, before).await;
            built.commit(&log).await;
            log.close().await.expect("closes");
            let log = open_log_in(&directory, four_log_pages(), handle).await;
            let log = log.expect("opens again");
            for number in 0..commits {
                built.append(&log, 1 + number % 5 * 2).await;
                built.commit(&log).await;
            }
            // More than memory takes: the first of them were written.
            for _ in 0..24 {
                let payload = pattern(built.entries.len() as u64, 900);
                let address = log.append(&payload).await.expect("appended");
                built.entries.push((address, payload));
            }
            built.files = Files::of(&directory).await;
            built.files.0.remove("lock");
            built
        })
    }

    async fn append(&mut self, log: &FasterLog, count: u64) {
        for _ in 0..count {
            let number = self.entries.len() as u64;
            // Some are longer than a page.
            let length = if number % 11 == 7 { 5000 } else { number * 73 % 500 };
            let payload = pattern(number, usize::try_from(length).expect("small"));
            let address = log.append(&payload).await.expect("appended");
            self.entries.push((address, payload));
        }
    }

    async fn commit(&mut self, log: &FasterLog) {
        let cookie = format!("after {}", self.entries.len());
        let commit = log.commit().cookie(cookie.as_bytes()).await.expect("committed");
        self.commits.push(commit);
    }

    /// The commit that the manifest has.
    #[must_use]
    pub fn saved(&self) -> &Commit {
        &self.commits[0]
    }

    /// The newest commit.
    #[must_use]
    pub fn last(&self) -> &Commit {
        self.commits.last().expect("there is one")
    }

    /// The entries of that.
    #[must_use]
    pub fn committed(&self) -> Vec<(log::Address, Vec<u8>)> {
        let until = self.last().until;
        self.entries.iter().filter(|(address, _)| *address < until).cloned().collect()
    }

    /// Where the last file ends on the device.
    #[must_use]
    pub fn end(&self) -> u64 {
        let (name, bytes) = self.segments().next_back().expect("there is one");
        name[4..].parse::<u64>().expect("a number") * SEGMENT + bytes.len() as u64
    }

    /// The files that hold the log itself.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = (&String, &Vec<u8>)> {
        self.files.0.iter().filter(|(name, _)| name.starts_with("log."))
    }

    /// The files of a log that ends at an offset of the device.
    #[must_use]
    pub fn cut(&self, end: u64) -> Files {
        let (last, within) = place_of(end);
        let mut files = self.files.clone();
        files.0.retain(|name, _| !name.starts_with("log.") || *name <= last);
        files.with(&last, |bytes| bytes.truncate(within))
    }

    /// The newest commit that lies below an offset of the device.
    #[must_use]
    pub fn newest_below(&self, offset: u64) -> Option<&Commit> {
        self.commits.iter().rfind(|commit| device_offset(commit.until) <= offset)
    }

    /// Checks that a log that was opened has exactly this commit.
    ///
    /// # Panics
    /// If it has another, or another entry.
    pub fn check(&self, found: &FoundLog, commit: &Commit, what: &str) {
        let FoundLog::Opened(opened, entries, damage) = found else {
            panic!("{what}: {found:?}, not {commit:?}");
        };
        assert_eq!(opened, commit, "{what}");
        assert!(damage.is_none(), "{what}: {damage:?}");
        let end = self.entries.partition_point(|(address, _)| *address < commit.until);
        assert!(*entries == self.entries[..end], "{what}: entries");
    }
}

/// Where the unit of an address begins on the device.
#[must_use]
pub fn device_offset(address: log::Address) -> u64 {
    let (page, offset) = (address.raw() / PAGE, address.raw() % PAGE);
    page * PAGE + offset / (UNIT - 8) * UNIT
}

/// The file of an offset of the device, and the offset within.
#[must_use]
pub fn place_of(offset: u64) -> (String, usize) {
    let within = usize::try_from(offset % SEGMENT).expect("small");
    (format!("log.{:06}", offset / SEGMENT), within)
}

/// Opens files as a log and reads it. Checks that a refusal touches nothing.
///
/// # Panics
/// If it does.
pub fn reopen_log(files: &Files, config: &log::Config) -> FoundLog {
    let simulation = Simulation::new(1);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = files.restore().await;
        let log = match open_log_in(&directory, config.clone(), handle).await {
            Ok(log) => log,
            Err(error) => {
                let mut after = Files::of(&directory).await;
                after.0.remove("lock");
                assert!(after == *files, "refused, but touched: {error}");
                return FoundLog::Refused(error);
            }
        };
        let mut scan = log.scan(..);
        let mut entries = Vec::new();
        let damage = loop {
            match scan.try_next().await {
                Ok(Some(entry)) => entries.push((entry.address, entry.payload.to_vec())),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        FoundLog::Opened(log.last_commit(), entries, damage)
    })
}
