//! The report as text, for people.

use super::{
    FileRole, InspectedCheckpoint, InspectedFile, InspectedIndex, InspectedStore, InspectedTable,
    InspectedWal, Inspection, ManifestCopy, Problem, RecordCounts,
};
use crate::checkpoint::{CheckpointKind, Durability};
use crate::config::ByteSize;
use std::fmt;

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.store {
            Some(store) => writeln!(formatter, "{}: {store}", self.place)?,
            None => writeln!(formatter, "{}: no store that could be looked at", self.place)?,
        }
        if self.from_copy {
            writeln!(formatter, "the manifest cannot be used: this is what its copy says")?;
        } else if self.copy == ManifestCopy::Different {
            writeln!(formatter, "the copy of the manifest is sound, and another one")?;
        } else if self.copy == ManifestCopy::Missing && self.store.is_some() {
            writeln!(formatter, "the manifest has no copy")?;
        }
        self.checkpoints.iter().try_for_each(|it| write!(formatter, "{it}"))?;
        self.indexes.iter().try_for_each(|it| writeln!(formatter, "{it}"))?;
        self.wal.iter().try_for_each(|it| writeln!(formatter, "{it}"))?;
        self.files.iter().try_for_each(|it| writeln!(formatter, "{it}"))?;
        match self.problems.len() {
            0 => return formatter.write_str("no problems"),
            1 => formatter.write_str("1 problem")?,
            more => write!(formatter, "{more} problems")?,
        }
        if self.has_changed {
            formatter
                .write_str(", of a store that changed meanwhile: files may be gone by right")?;
        }
        self.problems.iter().try_for_each(|it| write!(formatter, "\n  {it}"))
    }
}

impl fmt::Display for InspectedStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [page, segment] = [self.page_bytes, self.segment_bytes].map(ByteSize::new);
        match &*self.tables {
            [table] => write!(formatter, "{} under {}", table.value, table.key)?,
            tables => write!(formatter, "{} tables", tables.len())?,
        }
        write!(
            formatter,
            ", hashed by {}; format {}, pages of {page} in units of {}, segments of {segment}",
            self.hash, self.format, self.unit_bytes
        )?;
        if self.clock > 0 {
            write!(formatter, ", clock at {}", self.clock)?;
        }
        match &*self.tables {
            [_] => Ok(()),
            tables => tables.iter().try_for_each(|table| write!(formatter, "\n  {table}")),
        }
    }
}

impl fmt::Display for InspectedTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, name, key, value, .. } = self;
        write!(formatter, "table {number} `{name}`: {value} under {key}")?;
        if self.has_expiry {
            formatter.write_str(", with expiry")?;
        }
        if self.is_dropped { formatter.write_str(", dropped") } else { Ok(()) }
    }
}

impl fmt::Display for InspectedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            CheckpointKind::Auto => "auto",
            CheckpointKind::FoldOver => "fold-over",
            CheckpointKind::Snapshot => "snapshot",
            CheckpointKind::Incremental => "incremental",
            CheckpointKind::IndexOnly => "index only",
        };
        let survives = match self.durability {
            Durability::PowerCut => "power cuts",
            Durability::ProcessCrash => "the end of the process",
        };
        let state = state(self.is_sound);
        writeln!(formatter, "checkpoint {}: {kind}, survives {survives}: {state}", self.token)?;
        let log = &self.log;
        write!(formatter, "  log {:#x}..{:#x}", log.start, self.flushed.min(log.end))?;
        for (token, range) in &self.parts {
            write!(formatter, ", {:#x}..{:#x} in part {token}", range.start, range.end)?;
        }
        self.deltas.iter().try_for_each(|token| write!(formatter, ", delta {token}"))?;
        match self.index {
            Some(token) => writeln!(formatter, ", index {token}")?,
            None => writeln!(formatter, ", no index")?,
        }
        if let Some(cut) = self.wal {
            writeln!(formatter, "  write-ahead log from {cut:#x} on")?;
        }
        writeln!(formatter, "  {}", self.records)?;
        for (id, point) in &self.sessions {
            write!(formatter, "  session {id} up to {}", point.until)?;
            match point.excluded.len() {
                0 => writeln!(formatter)?,
                excluded => writeln!(formatter, " without {excluded}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for RecordCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { values, tombstones, in_pieces, pieces, invalid, .. } = self;
        write!(formatter, "{values} values, {tombstones} tombstones")?;
        for (count, what) in [(in_pieces, "in pieces"), (pieces, "pieces"), (invalid, "invalid")] {
            if *count > 0 {
                write!(formatter, ", {count} {what}")?;
            }
        }
        if let Some([first, last]) = self.expiries {
            write!(formatter, ", {} that expire at {first} to {last}", self.expiring)?;
        }
        let Self { record_bytes, padding_bytes, unread_bytes, .. } = self;
        write!(formatter, "; {record_bytes} B of records, {padding_bytes} B of padding")?;
        match unread_bytes {
            0 => Ok(()),
            _ => write!(formatter, ", {unread_bytes} B not counted for damage"),
        }
    }
}

impl fmt::Display for InspectedIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, entries, buckets, is_sound, .. } = self;
        let state = state(*is_sound);
        write!(formatter, "index {token}: {entries} entries in {buckets} buckets: {state}")
    }
}

impl fmt::Display for InspectedWal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, entries, entry_bytes, torn_bytes } = self;
        let (start, end) = (log.start, log.end);
        write!(formatter, "write-ahead log {start:#x}..{end:#x}: {entries} entries, ")?;
        write!(formatter, "{entry_bytes} B of them, {torn_bytes} B after the newest commit")
    }
}

impl fmt::Display for InspectedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "  {:<20} {:>12}  {}", self.name, self.bytes, self.role)
    }
}

impl fmt::Display for FileRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => formatter.write_str("manifest"),
            Self::ManifestCopy => formatter.write_str("copy of the manifest"),
            Self::Lock => formatter.write_str("lock"),
            Self::LogSegment => formatter.write_str("log"),
            Self::IndexImage(token) => write!(formatter, "image of the index, checkpoint {token}"),
            Self::Part(token) => write!(formatter, "part of the log, checkpoint {token}"),
            Self::Delta(token) => write!(formatter, "changes in parts, checkpoint {token}"),
            Self::Sessions(token) => write!(formatter, "points of sessions, checkpoint {token}"),
            Self::Debris => formatter.write_str("debris, not named by the manifest"),
            Self::Foreign => formatter.write_str("not of a store"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at offset {}: {}", self.file, self.offset, self.message)
    }
}

fn state(is_sound: bool) -> &'static str {
    if is_sound { "sound" } else { "DAMAGED" }
}
