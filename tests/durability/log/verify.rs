//! The verifier of a log: a fresh process that opens it and reports its contents.

use super::worker::Outcome;
use super::{Found, ITERATOR, Mark, open, parts};
use crate::content::Content;
use crate::job::{Job, Verdict};
use futures::StreamExt;
use kvick::io::{IoConfig, open_directory};
use kvick::{FasterLog, Result, log};
use std::collections::BTreeMap;

pub(crate) async fn verify(job: &Job) -> Verdict {
    let log = match open(job).await {
        Ok(log) => log,
        Err(error) => return Verdict::refused(&error),
    };
    let commit = log.last_commit();
    let place = log.iterators().get(ITERATOR).map_or(0, |place| place.raw());
    let cookie = commit.cookie.try_into().map_or(0, u64::from_le_bytes);
    let begin = (Mark::Begin, log.begin_address().raw());
    let mut found = Found {
        number: commit.number,
        until: commit.until.raw(),
        marks: vec![begin, (Mark::Place, place), (Mark::Cookie, cookie)],
        entries: Vec::new(),
        wrong: Vec::new(),
    };
    if let Err(error) = read(&log, &mut found).await {
        found.wrong.push(format!("reading: {:?}: {error}", error.kind()));
    }
    if let Err(error) = log.close().await {
        found.wrong.push(format!("closing: {error}"));
    }
    if let Err(error) = check(job, &mut found).await {
        found.wrong.push(format!("checking: {error}"));
    }
    found.wrong.truncate(SHOWN);
    Verdict::Log(found)
}

/// Reads all entries, and some of them again by their addresses.
async fn read(log: &FasterLog, found: &mut Found) -> Result<()> {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut scan = log.scan(..);
    while let Some(entry) = scan.next().await {
        let entry = entry?;
        let address = entry.address.raw();
        let Some(word) = <[u8]>::word(&entry.payload.to_vec()) else {
            found.wrong.push(format!("the entry at {address} is no word's"));
            continue;
        };
        let (task, number) = parts(word);
        if last.insert(task, number).is_some_and(|last| last >= number) {
            found.wrong.push(format!("{word:#x} at {address} is not after those before it"));
        }
        found.entries.push((address, word));
    }
    for (address, word) in found.entries.iter().step_by(RARELY) {
        let entry = log.read(log::Address::new(*address)).await?;
        if entry.and_then(|entry| <[u8]>::word(&entry.to_vec())) != Some(*word) {
            found.wrong.push(format!("{word:#x} is not read alone at {address}"));
        }
    }
    Ok(())
}

/// Checks that `log::check` finds the same entries in the files.
async fn check(job: &Job, found: &mut Found) -> Outcome {
    let directory = open_directory(&job.path, &IoConfig::default())?;
    let check = log::check(directory).await?;
    let entries = found.entries.len() as u64;
    if !check.is_sound() || check.entries != entries || check.torn_bytes != 0 {
        found.wrong.push(format!("{entries} entries, and this check: {check:?}"));
    }
    Ok(())
}

/// The number of reported differences. More of them add no information.
const SHOWN: usize = 8;
const RARELY: usize = 50;
