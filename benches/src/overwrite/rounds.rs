//! Rounds of updates of all keys in a store with a budget of the disk, and then no keys.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::Path;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Session};
use serde::Serialize;

use super::compact;
use crate::keys::key_of;
use crate::output::Output;
use crate::payload::Payload as _;
use crate::space::{Sampler, Space};

/// The number of keys of one call.
const BATCH: usize = 256;

/// Updates all keys in rounds, within a budget of the disk, and then deletes all of them.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of rounds.
    #[arg(long, default_value_t = 40)]
    pub rounds: u32,
    /// Number of keys.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Bytes of a value; not 8.
    #[arg(long, default_value_t = 100)]
    pub value: usize,
    /// Memory of the store, with a unit.
    #[arg(long, default_value = "4MiB")]
    pub memory: ByteSize,
    /// The budget of the disk, with a unit.
    #[arg(long, default_value = "48MiB")]
    pub disk: ByteSize,
    /// The place of the store and the file of the results.
    #[command(flatten)]
    pub output: Output,
}

impl Options {
    /// Returns the reason for which the options are refused.
    ///
    /// # Errors
    ///
    /// The error is the reason.
    pub fn check(&self) -> Result<(), String> {
        if self.rounds == 0 || self.keys == 0 || self.value <= 8 {
            return Err("one round, one key and values of 9 bytes, at least".to_owned());
        }
        Ok(())
    }
}

/// The results of one invocation of `kvbench rounds`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of rounds.
    pub rounds: u32,
    /// The number of keys.
    pub keys: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Memory of the store.
    pub memory_bytes: u64,
    /// The budget of the disk.
    pub disk_bytes: u64,
    /// The largest number of bytes of all files after a round.
    pub most_bytes: u64,
    /// The space at some moments, in order.
    pub moments: Vec<Moment>,
    /// The number of keys that were wrong or missing after the rounds.
    pub unsound: u64,
    /// The number of keys that were there after the deletion.
    pub undeleted: u64,
}

/// The space at a moment.
#[derive(Debug, Serialize)]
pub struct Moment {
    /// The name of the moment.
    pub name: &'static str,
    /// The space.
    #[serde(flatten)]
    pub space: Space,
    /// The number of files of the log.
    pub segments: usize,
    /// The number of rounds of compaction so far.
    pub compactions: u64,
}

impl Report {
    /// Returns whether exactly the right keys were there.
    pub fn is_sound(&self) -> bool {
        self.unsound == 0 && self.undeleted == 0
    }
}

/// Runs on a fresh store in the directory `path`.
///
/// # Errors
///
/// Returns the first error of the store.
pub fn run(options: &Options, path: &Path) -> Result<Report, Box<dyn Error>> {
    let mut config = Config::default().with_memory(options.memory).with_disk(options.disk);
    config.expected_keys = Some(options.keys);
    config.checkpoint_on_close = false;
    block_on(async {
        let store: FasterKv<u64, [u8]> = FasterKv::open(path, config).await?;
        let mut session = store.session()?;
        update(&mut session, options, 0).await?;
        let sampler = Sampler::new(&store, path, false);
        let mut moments = Vec::new();
        let note = |name| -> Result<Moment, Box<dyn Error>> {
            let (space, compactions) = (sampler.sample(), store.stats().space.rounds);
            Ok(Moment { name, space, segments: segments(path)?, compactions })
        };
        moments.push(note("loaded")?);
        let mut most_bytes = 0;
        for round in 1..=options.rounds {
            update(&mut session, options, round).await?;
            most_bytes = most_bytes.max(sampler.sample().disk_bytes);
        }
        moments.push(note("after the rounds")?);
        compact(&store).await?;
        moments.push(note("compacted")?);
        let unsound = verify(&mut session, options).await?;
        for first in (0..options.keys).step_by(BATCH) {
            let keys: Vec<u64> =
                (first..(first + BATCH as u64).min(options.keys)).map(key_of).collect();
            session.delete_many(&keys).await?;
        }
        moments.push(note("all deleted")?);
        compact(&store).await?;
        moments.push(note("all deleted, compacted")?);
        let undeleted = store.count().await?;
        drop(session);
        store.close().await?;
        Ok(Report {
            rounds: options.rounds,
            keys: options.keys,
            value_bytes: options.value,
            memory_bytes: options.memory.bytes(),
            disk_bytes: options.disk.bytes(),
            most_bytes,
            moments,
            unsound,
            undeleted,
        })
    })
}

/// Writes each key once, in another order than in the round before.
async fn update(
    session: &mut Session<u64, [u8]>,
    options: &Options,
    round: u32,
) -> kvick::Result<()> {
    let mut batch: Vec<(u64, Vec<u8>)> = Vec::new();
    let start = key_of(u64::from(round) + 1) % options.keys;
    for first in (0..options.keys).step_by(BATCH) {
        batch.clear();
        for index in first..(first + BATCH as u64).min(options.keys) {
            let key = key_of((start + index) % options.keys);
            let mut value = <[u8]>::buffer(options.value);
            <[u8]>::stamp(&mut value, key, round);
            batch.push((key, value));
        }
        session.upsert_many(&batch).await?;
    }
    Ok(())
}

/// Returns the number of keys that are missing or wrong.
async fn verify(session: &mut Session<u64, [u8]>, options: &Options) -> kvick::Result<u64> {
    let mut unsound = 0;
    for index in 0..options.keys {
        let (key, mut expected) = (key_of(index), <[u8]>::buffer(options.value));
        <[u8]>::stamp(&mut expected, key, options.rounds);
        let found = session.read_with(&key, |value| value == expected).await?;
        unsound += u64::from(found != Some(true));
    }
    Ok(unsound)
}

fn segments(path: &Path) -> std::io::Result<usize> {
    let mut segments = 0;
    for entry in fs::read_dir(path)? {
        segments += usize::from(entry?.file_name().to_string_lossy().starts_with("log."));
    }
    Ok(segments)
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, keys, value_bytes, unsound, undeleted, .. } = self;
        let [memory, disk, most] =
            [self.memory_bytes, self.disk_bytes, self.most_bytes].map(|bytes| bytes as f64 / 1e6);
        writeln!(
            formatter,
            "{rounds} rounds of updates of {keys} keys of 8 + {value_bytes} B, memory {memory:.1} \
             MB, budget {disk:.1} MB"
        )?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.add_row(["", "MB of files", "over live", "log files", "compactions"]);
        for Moment { name, space, segments, compactions } in &self.moments {
            table.add_row([
                (*name).to_owned(),
                format!("{:.2}", space.disk_bytes as f64 / 1e6),
                format!("{:.2}x", space.ratio()),
                segments.to_string(),
                compactions.to_string(),
            ]);
        }
        writeln!(formatter, "{table}")?;
        write!(
            formatter,
            "{most:.1} MB at most; {unsound} keys unsound, {undeleted} there after the deletion"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_key_is_there_and_then_none() {
        let scratch = Scratch::new(&std::env::temp_dir(), "rounds").unwrap();
        let options = Options {
            rounds: 5,
            keys: 5000,
            value: 50,
            memory: ByteSize::kib(512),
            disk: ByteSize::mib(2),
            output: Output { path: scratch.path().to_owned(), json: None },
        };
        let report = run(&options, scratch.path()).unwrap();
        assert!(report.is_sound(), "{report}");
        assert!(report.most_bytes > 0 && report.moments.len() == 5, "{report}");
        assert!(report.moments.iter().all(|moment| moment.segments > 0), "{report}");
    }
}
