//! A log with edited files: it opens with one of its commits, or returns an error.

use std::sync::{Arc, LazyLock};

use arbitrary::Unstructured;
use futures::TryStreamExt;
use kvick::io::MemoryDirectory;
use kvick::runtime::{Handle, Simulation};
use kvick::{FasterLog, log};

use super::edits::edited;
use crate::files::Files;
use crate::log_files::{BuiltLog, FoundLog, device_offset, open_log_in, reopen_log};
use crate::simulated::four_log_pages;

/// The log that targets damage.
pub(super) static LOG: LazyLock<BuiltLog> = LazyLock::new(|| BuiltLog::new(20, 9));

/// The same log at earlier moments, each at the end of a commit.
static OLDER: LazyLock<[Files; 2]> =
    LazyLock::new(|| [3, 7].map(|number| LOG.truncated(device_offset(LOG.commits[number].until))));

/// Edits the files of a log, and checks, repairs, opens and reads them.
///
/// # Panics
/// Panics if a reader sees an entry that was not appended, or misses an entry without an error.
pub fn log_edits(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let options: u8 = input.arbitrary().unwrap_or(0);
    let files = edited(&mut input, &LOG.files, &*OLDER);
    let config = four_log_pages().with_allow_fallback(options & 1 == 1);
    if options & 2 == 0 {
        check_found(&files, &reopen_log(&files, &config));
    } else {
        let simulation = Simulation::new(u64::from(options >> 4));
        simulation.run(repair(&files, config, simulation.handle()));
    }
}

fn check_found(files: &Files, found: &FoundLog) {
    let FoundLog::Opened(commit, entries, damage) = found else {
        return;
    };
    if commit.number == 0 {
        let is_data = |name: &String| name.starts_with("log.") || name.starts_with("manifest");
        assert!(!files.0.keys().any(is_data), "an empty log in place of {:?}", files.0.keys());
    } else {
        assert!(LOG.commits.contains(commit), "{commit:?} is no commit of the log");
    }
    let end = LOG.entries.partition_point(|(address, _)| *address < commit.until);
    assert!(LOG.entries[..end].starts_with(entries), "other entries than appended");
    assert!(damage.is_some() || entries.len() == end, "entries are missing without an error");
}

/// Repairs the log. It then opens without damage, and has no entry that was not appended.
async fn repair(files: &Files, config: log::Config, handle: Handle) {
    let directory = files.restore().await;
    let checked = log::check(Arc::new(directory.clone())).await;
    assert_eq!(Files::of(&directory).await, *files, "a check wrote to the log");
    let Ok(repaired) = log::repair(Arc::new(directory.clone())).await else {
        return;
    };
    assert_eq!(checked.expect("it was repaired"), repaired);
    let again = log::check(Arc::new(directory.clone())).await.expect("it was repaired");
    assert!(again.is_sound() && again.torn_bytes == 0, "{again:?} after {repaired:?}");
    let log = open_log_in(&directory, config.clone(), handle.clone()).await;
    let log = log.unwrap_or_else(|error| panic!("a repaired log is refused: {error}"));
    let entries = read_all(&log).await;
    assert_eq!(entries.len() as u64, again.entries, "{again:?}");
    let is_known = |entry| LOG.entries.binary_search(entry).is_ok();
    assert!(entries.iter().all(is_known), "other entries than appended");
    go_on(log, &directory, entries, config, handle).await;
}

/// Appends to a repaired log, and opens it again.
async fn go_on(
    log: FasterLog,
    directory: &MemoryDirectory,
    mut entries: Vec<(log::Address, Vec<u8>)>,
    config: log::Config,
    handle: Handle,
) {
    let payload = b"after the repair".to_vec();
    entries.push((log.append(&payload).await.expect("memory"), payload));
    log.close().await.expect("memory");
    drop(log);
    let log = open_log_in(directory, config, handle).await.expect("it was closed");
    assert!(read_all(&log).await == entries, "the log changed");
}

async fn read_all(log: &FasterLog) -> Vec<(log::Address, Vec<u8>)> {
    let entries = log.scan(..).map_ok(|entry| (entry.address, entry.payload.to_vec()));
    entries.try_collect().await.expect("the log is whole")
}
