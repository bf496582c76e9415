//! The results of an inspection, as data and as text.

use crate::checkpoint::files::manifest::{
    CheckpointEntry, IndexImage, Manifest, PartFile, TableFormat,
};
use crate::checkpoint::{CheckpointKind, CheckpointToken, Durability};
use crate::store::sessions::identity::{CommitPoint, SessionId};
use std::collections::BTreeMap;
use std::ops::Range;

/// The results of [`inspect`](crate::inspect()) for the directory of a store. Their text is a
/// report of several lines. With the feature `serde` they can be serialized.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Inspection {
    /// A readable description of the directory.
    pub place: String,
    /// The description of the store; `None` if no manifest has it.
    pub store: Option<InspectedStore>,
    /// Whether the manifest is damaged or missing, so that the results come from its copy.
    pub from_copy: bool,
    /// The state of the manifest's copy.
    pub copy: ManifestCopy,
    /// Whether the store changed its manifest during the inspection. Then the files of the problems
    /// may be missing by right. It is only checked if there are problems.
    pub has_changed: bool,
    /// The kept checkpoints, oldest first.
    pub checkpoints: Vec<InspectedCheckpoint>,
    /// The images of the index, oldest first.
    pub indexes: Vec<InspectedIndex>,
    /// The write-ahead log, if the store has one that [`with_wal`](crate::inspect::with_wal) could
    /// read.
    pub wal: Option<InspectedWal>,
    /// All files with names that a store could use, by name.
    pub files: Vec<InspectedFile>,
    /// The problems, by file and offset. If there are none, every kept checkpoint can be recovered.
    pub problems: Vec<Problem>,
}

/// The sizes that a store was created with, and its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InspectedStore {
    /// The format of the store's files.
    pub format: u32,
    /// The tables by number, also the dropped tables.
    pub tables: Vec<InspectedTable>,
    /// The time of the store when the manifest was written, in seconds since 1970; 0 if no table
    /// has an expiry.
    pub clock: u32,
    /// The hash function of the keys.
    pub hash: String,
    /// The bytes of a page of the log.
    pub page_bytes: u64,
    /// The bytes of a unit, which has its own checksum within a page.
    pub unit_bytes: u64,
    /// The bytes of a file of the log.
    pub segment_bytes: u64,
}

/// A table of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InspectedTable {
    /// The number in the headers of the table's records.
    pub number: u8,
    /// The name of the table.
    pub name: String,
    /// Whether the table was dropped. Its records stay in the log, and its number stays taken.
    pub is_dropped: bool,
    /// The name of the key type.
    pub key: String,
    /// The name of the value type.
    pub value: String,
    /// The bytes of a key, if all keys have the same size.
    pub key_width: Option<usize>,
    /// The bytes of a value, if all values have the same size.
    pub value_width: Option<usize>,
    /// Whether its records have room for a time of expiry.
    pub has_expiry: bool,
}

/// A checkpoint, and the state of the files that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InspectedCheckpoint {
    /// The token of the checkpoint.
    pub token: CheckpointToken,
    /// The kind of the checkpoint.
    pub kind: CheckpointKind,
    /// The failures that the checkpoint survives.
    pub durability: Durability,
    /// The log addresses of the checkpoint.
    pub log: Range<u64>,
    /// The log itself holds the addresses of the checkpoint below this one.
    pub flushed: u64,
    /// The image of the index that the checkpoint uses.
    pub index: Option<CheckpointToken>,
    /// The parts of the log beside the log: the checkpoint that wrote each part, and its addresses.
    pub parts: Vec<(CheckpointToken, Range<u64>)>,
    /// The checkpoints that wrote changes in the parts, oldest first.
    pub deltas: Vec<CheckpointToken>,
    /// The address of the write-ahead log from which a recovery repeats changes.
    pub wal: Option<u64>,
    /// The commit point of each session in the checkpoint.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// The records of the checkpoint, both old and newest records of a key.
    pub records: RecordCounts,
    /// Whether every file that the checkpoint needs is present and sound.
    pub is_sound: bool,
}

/// The numbers of records by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RecordCounts {
    /// The number of records with a value of their own.
    pub values: u64,
    /// The number of records that mark their key as deleted.
    pub tombstones: u64,
    /// The number of records with a value in pieces. The pieces are records too.
    pub in_pieces: u64,
    /// The number of pieces of such values.
    pub pieces: u64,
    /// The number of records with a value, of their own or in pieces, that expire.
    pub expiring: u64,
    /// The earliest and the latest expiry of these records, in seconds since 1970.
    pub expiries: Option<[u32; 2]>,
    /// The number of records that were abandoned before any other record or entry led to them.
    pub invalid: u64,
    /// The bytes of all these records.
    pub record_bytes: u64,
    /// The bytes without a record, at the end of a page or of the flushed log.
    pub padding_bytes: u64,
    /// The bytes in which no record was counted, because their page is damaged.
    pub unread_bytes: u64,
}

/// The write-ahead log of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InspectedWal {
    /// The addresses from its begin to its newest commit.
    pub log: Range<u64>,
    /// The number of readable entries in them.
    pub entries: u64,
    /// The bytes of these entries.
    pub entry_bytes: u64,
    /// The bytes after the newest commit. They were never reported as durable.
    pub torn_bytes: u64,
}

/// An image of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InspectedIndex {
    /// The checkpoint that wrote the image.
    pub token: CheckpointToken,
    /// The number of buckets of the index.
    pub buckets: u64,
    /// The number of readable entries that lead to a record.
    pub entries: u64,
    /// The bytes of the image's contents.
    pub bytes: u64,
    /// Whether the whole image is present and sound.
    pub is_sound: bool,
}

/// A file in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InspectedFile {
    /// The name of the file.
    pub name: String,
    /// The length of the file.
    pub bytes: u64,
    /// The role of the file.
    pub role: FileRole,
}

/// The role of a file in the directory of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum FileRole {
    /// The manifest.
    Manifest,
    /// The copy of the manifest.
    ManifestCopy,
    /// The lock.
    Lock,
    /// A segment of the log.
    LogSegment,
    /// A segment of the image of the index that this checkpoint wrote.
    IndexImage(CheckpointToken),
    /// A segment of the part of the log that this checkpoint wrote beside it.
    Part(CheckpointToken),
    /// A segment of the changes in earlier parts.
    Delta(CheckpointToken),
    /// A segment of session commit points that changed since an earlier such file.
    Sessions(CheckpointToken),
    /// A file that the manifest does not name. It belongs to a checkpoint in progress, a failed
    /// checkpoint, or one that is no longer needed. A store removes it.
    Debris,
    /// A file that belongs to no store.
    Foreign,
}

/// The state of the copy of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ManifestCopy {
    /// The copy equals the manifest.
    Same,
    /// The copy is sound but differs: a crash came between the two writes, or the manifest is
    /// damaged.
    Different,
    /// The copy is missing.
    Missing,
    /// The copy is damaged.
    Damaged,
}

/// A problem in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Problem {
    /// The name of the file.
    pub file: String,
    /// The offset in the file.
    pub offset: u64,
    /// A description of the problem.
    pub message: String,
}

impl InspectedStore {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let store = manifest.store.clone();
        Self {
            format: manifest.format,
            clock: manifest.clock,
            tables: store.tables.into_iter().map(InspectedTable::of).collect(),
            hash: store.hash,
            page_bytes: store.page_bytes,
            unit_bytes: store.unit_bytes,
            segment_bytes: store.segment_bytes,
        }
    }
}

impl InspectedTable {
    fn of(table: TableFormat) -> Self {
        Self {
            has_expiry: table.has_expiry(),
            number: table.number,
            name: table.name,
            is_dropped: table.dropped,
            key: table.key,
            value: table.value,
            key_width: table.key_width,
            value_width: table.value_width,
        }
    }
}

impl InspectedCheckpoint {
    pub(super) fn of(
        record: &CheckpointEntry,
        sessions: BTreeMap<SessionId, CommitPoint>,
        records: RecordCounts,
        is_sound: bool,
    ) -> Self {
        let part = |part: &PartFile| (CheckpointToken(part.token), part.from..part.end);
        Self {
            token: CheckpointToken(record.token),
            kind: record.kind.into(),
            durability: record.durability,
            log: record.begin..record.end,
            flushed: record.flushed,
            index: record.index.map(CheckpointToken),
            parts: record.parts.iter().map(part).collect(),
            deltas: record.deltas.iter().map(|delta| CheckpointToken(delta.token)).collect(),
            wal: record.wal,
            sessions,
            records,
            is_sound,
        }
    }
}

impl InspectedIndex {
    pub(super) fn of(image: &IndexImage, entries: u64, is_sound: bool) -> Self {
        let token = CheckpointToken(image.stream.token);
        Self { token, buckets: image.buckets, entries, bytes: image.stream.bytes, is_sound }
    }
}
