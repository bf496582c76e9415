//! What an inspection found, as data and as text.

use crate::checkpoint::manifest::{IndexImage, Manifest, Part, Record};
use crate::checkpoint::{CheckpointKind, CheckpointToken, Durability};
use crate::store::identity::{CommitPoint, SessionId};
use std::collections::BTreeMap;
use std::ops::Range;

/// What [`inspect`](crate::inspect) found in the directory of a store. Its text is a report of
/// several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The directory, for people.
    pub place: String,
    /// What the store is; `None` if no manifest says so.
    pub store: Option<InspectedStore>,
    /// Whether the manifest is damaged or gone, and all of this is by what its copy says.
    pub from_copy: bool,
    /// How the copy of the manifest compares.
    pub copy: ManifestCopy,
    /// Whether the store changed its manifest during the inspection: then what the problems are
    /// about may be gone for good reasons. Only looked at if there are problems.
    pub has_changed: bool,
    /// The checkpoints that are kept, oldest first.
    pub checkpoints: Vec<InspectedCheckpoint>,
    /// The images of the index, oldest first.
    pub indexes: Vec<InspectedIndex>,
    /// All files with names that a store could give, by name.
    pub files: Vec<InspectedFile>,
    /// What is wrong, by file and offset. Empty: each checkpoint that is kept can be recovered.
    pub problems: Vec<Problem>,
}

/// What a store was created as.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedStore {
    /// The format of its files.
    pub format: u32,
    /// The name of the type of its keys.
    pub key: String,
    /// The name of the type of its values.
    pub value: String,
    /// Bytes of every key, if they are all alike.
    pub key_width: Option<usize>,
    /// Bytes of every value, if they are all alike.
    pub value_width: Option<usize>,
    /// The hash function of its keys.
    pub hash: String,
    /// Bytes of a page of the log.
    pub page_bytes: u64,
    /// Bytes of the part of a page that has a checksum of its own.
    pub unit_bytes: u64,
    /// Bytes of a file of the log.
    pub segment_bytes: u64,
}

/// A checkpoint, and the state of what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedCheckpoint {
    /// Its name.
    pub token: CheckpointToken,
    /// How it was taken.
    pub kind: CheckpointKind,
    /// What it survives.
    pub durability: Durability,
    /// The addresses of the log that it covers.
    pub log: Range<u64>,
    /// Below this address the log itself has it.
    pub flushed: u64,
    /// The image of the index that it uses.
    pub index: Option<CheckpointToken>,
    /// Where the log is beside the log: who wrote the part, and its addresses.
    pub parts: Vec<(CheckpointToken, Range<u64>)>,
    /// What has changed in the parts: who wrote that, oldest first.
    pub deltas: Vec<CheckpointToken>,
    /// What it has of each session.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// The records that it covers, old ones of a key as well as the newest.
    pub records: RecordCounts,
    /// Whether all that it needs is there and sound.
    pub is_sound: bool,
}

/// How many records of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordCounts {
    /// With a value of their own.
    pub values: u64,
    /// That say that their key was deleted.
    pub tombstones: u64,
    /// With a value in pieces, which are records too.
    pub in_pieces: u64,
    /// Pieces of such values.
    pub pieces: u64,
    /// That were given up before anything led to them.
    pub invalid: u64,
    /// Bytes of all these.
    pub record_bytes: u64,
    /// Bytes without a record: at the end of a page, or of what was flushed.
    pub padding_bytes: u64,
    /// Bytes in which no record was counted, because of damage in their page.
    pub unread_bytes: u64,
}

/// An image of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedIndex {
    /// The checkpoint that wrote it.
    pub token: CheckpointToken,
    /// Buckets of the index.
    pub buckets: u64,
    /// Entries that lead to a record, as far as they could be read.
    pub entries: u64,
    /// Bytes of its contents.
    pub bytes: u64,
    /// Whether all of it is there and sound.
    pub is_sound: bool,
}

/// A file in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub role: FileRole,
}

/// What a file in the directory of a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileRole {
    /// The manifest.
    Manifest,
    /// Its copy.
    ManifestCopy,
    /// The lock.
    Lock,
    /// A segment of the log.
    LogSegment,
    /// A segment of the image of the index that this checkpoint wrote.
    IndexImage(CheckpointToken),
    /// A segment of the part of the log that this checkpoint wrote beside it.
    Part(CheckpointToken),
    /// A segment of what had changed in earlier parts.
    Delta(CheckpointToken),
    /// A segment of the commit points of sessions that had changed since an earlier such file.
    Sessions(CheckpointToken),
    /// Not named by the manifest: of a checkpoint that is being taken or that failed, or no longer
    /// needed. A store removes it.
    Debris,
    /// Not of a store.
    Foreign,
}

/// How the copy of the manifest compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestCopy {
    /// It is the same.
    Same,
    /// It is sound, and another: a crash came between the two, or the manifest is damaged.
    Different,
    /// It is not there.
    Missing,
    /// It is damaged.
    Damaged,
}

/// Something that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
    /// What is wrong there.
    pub message: String,
}

impl InspectedStore {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let store = manifest.store.clone();
        Self {
            format: manifest.format,
            key: store.key,
            value: store.value,
            key_width: store.key_width,
            value_width: store.value_width,
            hash: store.hash,
            page_bytes: store.page_bytes,
            unit_bytes: store.unit_bytes,
            segment_bytes: store.segment_bytes,
        }
    }
}

impl InspectedCheckpoint {
    pub(super) fn of(
        record: &Record,
        sessions: BTreeMap<SessionId, CommitPoint>,
        records: RecordCounts,
        is_sound: bool,
    ) -> Self {
        let part = |part: &Part| (CheckpointToken(part.token), part.from..part.end);
        Self {
            token: CheckpointToken(record.token),
            kind: record.kind.into(),
            durability: record.durability,
            log: record.begin..record.end,
            flushed: record.flushed,
            index: record.index.map(CheckpointToken),
            parts: record.parts.iter().map(part).collect(),
            deltas: record.deltas.iter().map(|delta| CheckpointToken(delta.token)).collect(),
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
