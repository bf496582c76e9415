//! The raw files of a log, for tests that damage them and open the log again.

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

/// The files of a log with several commits, and the contents of each commit.
#[derive(Debug)]
pub struct BuiltLog {
    /// The files while the log was running.
    pub files: Files,
    /// The commits, from the commit of the manifest on.
    pub commits: Vec<Commit>,
    /// All appended entries, including those after the last commit.
    pub entries: Vec<(log::Address, Vec<u8>)>,
}

/// The result of opening a log.
#[derive(Debug)]
pub enum FoundLog {
    /// The log refused to open, and no file changed.
    Refused(Error),
    /// The log opened with this commit and these entries. The error, if any, ended the scan early.
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
    /// Builds a log that had `before` entries when its manifest was written. Then follow `commits`
    /// commits of some entries each, and entries that were written but not committed.
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
            // The entries exceed the memory, so the log has written the first of them.
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
            // Some entries are longer than a page.
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

    /// Returns the commit of the manifest.
    #[must_use]
    pub fn saved(&self) -> &Commit {
        &self.commits[0]
    }

    /// Returns the newest commit.
    #[must_use]
    pub fn last(&self) -> &Commit {
        self.commits.last().expect("there is one")
    }

    /// Returns the entries of the newest commit.
    #[must_use]
    pub fn committed(&self) -> Vec<(log::Address, Vec<u8>)> {
        let until = self.last().until;
        self.entries.iter().filter(|(address, _)| *address < until).cloned().collect()
    }

    /// Returns the device offset at which the last file ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        let (name, bytes) = self.segments().next_back().expect("there is one");
        name[4..].parse::<u64>().expect("a number") * SEGMENT + bytes.len() as u64
    }

    /// Returns the files that hold the entries of the log.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = (&String, &Vec<u8>)> {
        self.files.0.iter().filter(|(name, _)| name.starts_with("log."))
    }

    /// Returns the files of the log as they are if the device ends at this offset.
    #[must_use]
    pub fn truncated(&self, end: u64) -> Files {
        let (last, within) = place_of(end);
        let mut files = self.files.clone();
        files.0.retain(|name, _| !name.starts_with("log.") || *name <= last);
        files.with(&last, |bytes| bytes.truncate(within))
    }

    /// Returns the newest commit that ends below an offset of the device.
    #[must_use]
    pub fn newest_below(&self, offset: u64) -> Option<&Commit> {
        self.commits.iter().rfind(|commit| device_offset(commit.until) <= offset)
    }

    /// Checks that an opened log has exactly this commit.
    ///
    /// # Panics
    /// Panics if the log has another commit, or another entry.
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

/// Returns the device offset of the unit that contains an address.
#[must_use]
pub fn device_offset(address: log::Address) -> u64 {
    let (page, offset) = (address.raw() / PAGE, address.raw() % PAGE);
    page * PAGE + offset / (UNIT - 8) * UNIT
}

/// Returns the file that contains a device offset, and the offset within this file.
#[must_use]
pub fn place_of(offset: u64) -> (String, usize) {
    let within = usize::try_from(offset % SEGMENT).expect("small");
    (format!("log.{:06}", offset / SEGMENT), within)
}

/// Opens files as a log and reads it. Checks that a refusal changes no file.
///
/// # Panics
/// Panics if a refusal changed a file.
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
                assert!(after == *files, "refused, but changed: {error}");
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
