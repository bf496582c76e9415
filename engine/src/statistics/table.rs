//! Statistics as a table for people.

use super::checkpoints::CheckpointStats;
use super::device::DeviceStats;
use super::snapshot::Stats;
use std::fmt;
use std::time::Duration;

/// Writes a table: a line for each number, with its group, its name, and its value in a human unit.
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::config::Backend;
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// store.upsert(&1, &1).await?;
/// let table = store.stats().to_string();
/// assert!(table.lines().any(|line| line.split_whitespace().eq(["upserts", "1"])));
/// # store.close().await
/// # }).unwrap();
/// ```
impl fmt::Display for Stats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(formatter);
        let (operations, hits) = (&self.operations, &self.hits);
        table.row("operations", "reads", count(operations.reads))?;
        table.row("operations", "upserts", count(operations.upserts))?;
        table.row("operations", "modifies", count(operations.modifies))?;
        table.row("operations", "deletes", count(operations.deletes))?;
        table.row("operations", "suspensions", count(self.suspensions))?;
        table.row("operations", "appends", count(self.appends))?;
        table.row("found", "mutable", count(hits.mutable))?;
        table.row("found", "read-only", count(hits.read_only))?;
        table.row("found", "on device", count(hits.on_device))?;
        table.row("found", "absent", count(hits.absent))?;
        table.row("log", "mutable", size(self.log.mutable))?;
        table.row("log", "read-only", size(self.log.read_only))?;
        table.row("log", "on device", size(self.log.on_device))?;
        self.device.rows_of_reads(&mut table)?;
        self.device.rows_of_writes(&mut table)?;
        table.row("memory", "index", size(self.memory.index))?;
        table.row("memory", "frames", size(self.memory.frames))?;
        table.row("memory", "buffers", size(self.memory.buffers))?;
        table.row("memory", "seats", count(self.seats as u64))?;
        self.checkpoints.rows(&mut table)
    }
}

impl DeviceStats {
    fn rows_of_reads(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        table.row("device", "reads", count(self.reads))?;
        table.row("device", "read", size(self.read_bytes))?;
        table.row("device", "read p50", duration(self.read_latency_p50))?;
        table.row("device", "read p99", duration(self.read_latency_p99))
    }

    pub(crate) fn rows_of_writes(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        table.row("device", "writes", count(self.writes))?;
        table.row("device", "written", size(self.write_bytes))?;
        table.row("device", "write p50", duration(self.write_latency_p50))?;
        table.row("device", "write p99", duration(self.write_latency_p99))?;
        table.row("device", "stored", size(self.bytes_stored))
    }
}

impl CheckpointStats {
    fn rows(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        table.row("checkpoints", "taken", count(self.taken))?;
        table.row("checkpoints", "failed", count(self.failed))?;
        let Some(last) = &self.last else {
            return Ok(());
        };
        table.row("checkpoints", "last ended", format!("{} ago", duration(last.ago)))?;
        table.row("checkpoints", "last took", duration(last.took))?;
        match &last.error {
            Some((_, error)) => table.row("checkpoints", "last error", error),
            None => Ok(()),
        }
    }
}

/// Lines in groups. Only the first line of a group has its name.
pub(crate) struct Table<'t, 'f> {
    formatter: &'t mut fmt::Formatter<'f>,
    group: &'static str,
}

impl<'t, 'f> Table<'t, 'f> {
    pub(crate) fn new(formatter: &'t mut fmt::Formatter<'f>) -> Self {
        Self { formatter, group: "" }
    }

    pub(crate) fn row(
        &mut self,
        group: &'static str,
        name: &'static str,
        value: impl fmt::Display,
    ) -> fmt::Result {
        if !self.group.is_empty() {
            writeln!(self.formatter)?;
        }
        let shown = if self.group == group { "" } else { group };
        self.group = group;
        write!(self.formatter, "{shown:<13}{name:<12}{:>18}", value.to_string())
    }
}

/// Returns a number with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of bytes in the largest binary unit that it reaches, with one decimal.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, bits)| bytes >> bits > 0) {
        Some((unit, bits)) => {
            // The tenths of the rest, which is less than a unit.
            let tenths = ((bytes & ((1 << bits) - 1)) * 10) >> bits;
            format!("{}.{tenths} {unit}", bytes >> bits)
        }
        None => format!("{bytes} B"),
    }
}

/// Returns a duration in the units that it reaches: one with one decimal, or from a minute on two.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (whole, rest) = match seconds {
        0 => return fraction_of_second(duration.subsec_nanos()),
        1..60 => return format!("{seconds}.{} s", duration.subsec_millis() / 100),
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => ((seconds / 3600, "h"), (seconds / 60 % 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds / 3600 % 24, "h")),
    };
    format!("{} {} {} {}", whole.0, whole.1, rest.0, rest.1)
}

fn fraction_of_second(nanoseconds: u32) -> String {
    match nanoseconds {
        0..1000 => format!("{nanoseconds} ns"),
        1000..1_000_000 => format!("{}.{} us", nanoseconds / 1000, nanoseconds / 100 % 10),
        _ => format!("{}.{} ms", nanoseconds / 1_000_000, nanoseconds / 100_000 % 10),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        let counts = [0, 999, 1000, 12_345, 1_000_000, u64::MAX];
        let texts = ["0", "999", "1,000", "12,345", "1,000,000", "18,446,744,073,709,551,615"];
        assert_eq!(counts.map(count), texts);
    }

    #[test]
    fn sizes_have_one_decimal() {
        let sizes = [0, 1023, 1024, 1536, 5 << 20, (3 << 40) + (1 << 39), u64::MAX];
        let texts = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "3.5 TiB", "16777215.9 TiB"];
        assert_eq!(sizes.map(size), texts);
    }

    #[test]
    fn durations_have_the_units_that_they_reach() {
        let texts = [
            (0, "0 ns"),
            (999, "999 ns"),
            (131_072, "131.0 us"),
            (1_048_576, "1.0 ms"),
            (999_999_999, "999.9 ms"),
            (59_990_000_000, "59.9 s"),
            (60_000_000_000, "1 min 0 s"),
            (3_599_000_000_000, "59 min 59 s"),
            (86_399_000_000_000, "23 h 59 min"),
            (90_000_000_000_000, "1 d 1 h"),
        ];
        for (nanoseconds, text) in texts {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
