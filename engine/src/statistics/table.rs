//! Statistics as a table for people.

use super::checkpoints::CheckpointStats;
use super::device::DeviceStats;
use super::snapshot::Stats;
use super::space::SpaceStats;
use super::wal::WalStats;
use crate::base::human::{count, duration, size};
use std::fmt;

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
        table.row("operations", "expired", count(self.expired))?;
        table.row("operations", "misses", count(self.misses))?;
        table.row("operations", "promotions", count(self.promotions))?;
        table.row("found", "mutable", count(hits.mutable))?;
        table.row("found", "read-only", count(hits.read_only))?;
        table.row("found", "on device", count(hits.on_device))?;
        table.row("found", "absent", count(hits.absent))?;
        table.row("found", "read cache", count(hits.read_cache))?;
        table.row("index", "entries", count(self.index.entries))?;
        table.row("index", "prefixes", count(self.index.prefixes))?;
        table.row("index", "buckets", count(self.index.buckets))?;
        table.row("log", "mutable", size(self.log.mutable))?;
        table.row("log", "read-only", size(self.log.read_only))?;
        table.row("log", "on device", size(self.log.on_device))?;
        table.row("scans", "in progress", count(self.scans.in_progress))?;
        table.row("scans", "log readers", count(self.scans.log_readers))?;
        table.row("scans", "needed", size(self.scans.needed))?;
        self.space.rows(&mut table)?;
        self.device.rows_of_reads(&mut table)?;
        self.device.rows_of_writes(&mut table)?;
        table.row("memory", "index", size(self.memory.index))?;
        table.row("memory", "frames", size(self.memory.frames))?;
        table.row("memory", "buffers", size(self.memory.buffers))?;
        table.row("memory", "read cache", size(self.memory.read_cache))?;
        table.row("memory", "sessions", size(self.memory.sessions))?;
        table.row("memory", "waits", size(self.memory.waits))?;
        table.row("memory", "budget", size(self.memory.budget))?;
        table.row("memory", "floor", size(self.memory.floor))?;
        table.row("memory", "waited", count(self.memory.waited))?;
        table.row("memory", "seats", count(self.seats as u64))?;
        self.checkpoints.rows(&mut table)?;
        self.wal.map_or(Ok(()), |wal| wal.rows(&mut table))
    }
}

impl SpaceStats {
    fn rows(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        if let Some(budget) = self.budget {
            table.row("space", "budget", size(budget))?;
        }
        table.row("space", "used", size(self.used_bytes))?;
        table.row("space", "live", size(self.live_bytes))?;
        table.row("space", "dead", size(self.dead_bytes))?;
        table.row("space", "ratio", format!("{:.2}", self.ratio()))?;
        table.row("space", "pinned", size(self.pinned_bytes))?;
        table.row("space", "debt", size(self.debt_bytes))?;
        table.row("space", "waiting", count(self.waiting))?;
        table.row("space", "waits", count(self.waits))?;
        table.row("space", "refused", count(self.refused))?;
        table.row("space", "compacted", size(self.compacted_bytes))?;
        table.row("space", "copied", size(self.copied_bytes))?;
        table.row("space", "evicted", size(self.evicted_bytes))
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

impl WalStats {
    fn rows(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        table.row("wal", "kept", size(self.kept_bytes))?;
        table.row("wal", "to replay", size(self.replay_bytes))?;
        table.row("wal", "uncommitted", size(self.uncommitted_bytes))?;
        table.row("wal", "commits", count(self.commits))?;
        table.row("wal", "memory", size(self.memory_bytes))?;
        table.row("wal", "written", size(self.device.write_bytes))?;
        table.row("wal", "write p50", duration(self.device.write_latency_p50))?;
        table.row("wal", "write p99", duration(self.device.write_latency_p99))?;
        table.row("wal", "stored", size(self.device.bytes_stored))
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
