//! oxifaster's FasterLog and okaywal: logs that block the thread that appends.
//!
//! - oxifaster: as much memory as kvick; small pages, because its commits write whole pages. Its
//!   appends do not wait for the device, and overwrite entries that are not committed in time.
//! - okaywal: large segments; one entry for each batch, with a chunk for each entry of the batch.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::log::entries::Entries;
use okaywal::{Configuration, LogVoid, WriteAheadLog};
use oxifaster::device::FileSystemDisk;
use oxifaster::log::{FasterLog, FasterLogConfig};
use versus::slices::{Slice, Walk, on_threads};

use crate::Contest;
use crate::ours::fill;

/// The memory of kvick by default.
const MEMORY: u64 = 64 << 20;
const OXI_PAGE: usize = 64 << 10;
const OKAY_SEGMENT: u32 = 64 << 20;

/// A function that appends a batch, and waits until it is durable if the flag is set.
pub type Append<'a> = Box<dyn FnMut(&[Vec<u8>], bool) + 'a>;

/// A log that blocks.
pub trait Rival: Sync {
    /// Returns the function with which a caller appends.
    fn caller(&self, number: usize) -> Append<'_>;
}

/// Runs a slice with a thread for every caller.
pub fn run(rival: &dyn Rival, contest: Contest, duration: Duration) -> Slice {
    let walks = (0..contest.callers).map(|_| Walk::free()).collect();
    let callers = AtomicUsize::new(0);
    on_threads(walks, duration, |walk| {
        let number = callers.fetch_add(1, Ordering::Relaxed);
        let mut append = rival.caller(number);
        let mut entries = Entries::new(number, contest.entry_bytes);
        let mut batch = vec![Vec::new(); contest.batch];
        let is_timed = contest.durable || contest.batch > 1;
        let mut appended = 0;
        while walk.goes_on(batch.len()) {
            fill(&mut batch, &mut entries, appended);
            appended += batch.len() as u64;
            if is_timed {
                let started = Stopwatch::start();
                append(&batch, contest.durable);
                walk.timed(&started);
            } else {
                append(&batch, false);
            }
        }
    })
}

/// oxifaster's FasterLog.
pub struct Oxi(FasterLog<FileSystemDisk>);

impl Oxi {
    /// Opens a fresh log.
    ///
    /// # Errors
    ///
    /// Returns any error of the log.
    pub fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let config = FasterLogConfig::new(MEMORY, OXI_PAGE);
        let log = FasterLog::open(config, FileSystemDisk::single_file(path)?)
            .map_err(|status| format!("oxifaster: {status:?}"))?;
        Ok(Self(log))
    }
}

impl Rival for Oxi {
    fn caller(&self, _number: usize) -> Append<'_> {
        Box::new(|batch, durable| {
            for entry in batch {
                self.0.append(entry).expect("oxifaster appends");
            }
            if durable {
                let until = self.0.commit().expect("oxifaster commits");
                self.0.wait_for_commit(until).expect("oxifaster waits");
            }
        })
    }
}

/// okaywal.
pub struct Okay(WriteAheadLog);

impl Okay {
    /// Opens a fresh log.
    ///
    /// # Errors
    ///
    /// Returns any error of the log.
    pub fn open(path: &Path) -> io::Result<Self> {
        let config = Configuration::default_for(path)
            .preallocate_bytes(OKAY_SEGMENT)
            .checkpoint_after_bytes(u64::from(OKAY_SEGMENT) / 4 * 3);
        config.open(LogVoid).map(Self)
    }
}

impl Rival for Okay {
    fn caller(&self, _number: usize) -> Append<'_> {
        Box::new(|batch, _always_durable| {
            let mut writer = self.0.begin_entry().expect("okaywal begins");
            for entry in batch {
                writer.write_chunk(entry).expect("okaywal writes");
            }
            writer.commit().expect("okaywal commits");
        })
    }
}
