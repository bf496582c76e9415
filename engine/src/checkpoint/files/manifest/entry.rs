//! The entries of a manifest: checkpoints, images of the index, and their files.

use crate::base::address::Address;
use crate::base::kinds::Durability;
use crate::base::serialized::bytes_of;
use crate::manifest::text;
use crate::store::sessions::identity::{CommitPoint, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointEntry {
    pub(crate) token: u64,
    pub(crate) kind: Kind,
    pub(crate) durability: Durability,
    /// The first address of the log.
    pub(crate) begin: u64,
    /// The log itself has the records below this address.
    pub(crate) flushed: u64,
    /// The address at which the version ends.
    pub(crate) end: u64,
    /// The address in the write-ahead log below which the checkpoint has every change. Absent if it
    /// is older than that log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wal: Option<u64>,
    /// The durable end of that log when the checkpoint was published, if it was before `wal`: the
    /// device of the log was full. Entries from there up to `wal` may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wal_durable: Option<u64>,
    /// Whether it was taken while an opening repeated that log. Then records, points and `wal` do
    /// not belong to one moment, and it is right only with the rest of the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_partial: bool,
    /// The token of the image of the index, if it has an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    /// The cookie in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) cookie: String,
    /// The files with the records from `flushed` on, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<PartFile>,
    /// The files of changes of the records in `parts`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deltas: Vec<BlockFile>,
    /// Files of commit points, if many sessions have changed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) point_files: Vec<PointFile>,
    /// The number of sessions in the checkpoint, if it has point files.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    pub(crate) session_count: u64,
    /// The commit points that have changed since the last point file. A forgotten session is up to
    /// 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sessions: BTreeMap<SessionId, CommitPoint>,
}

/// The kind of capture of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    FoldOver,
    Snapshot,
    Incremental,
}

/// A range of the log in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartFile {
    /// The checkpoint that wrote it.
    pub(crate) token: u64,
    pub(crate) from: u64,
    pub(crate) end: u64,
}

/// A file of checksummed blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockFile {
    /// The checkpoint that wrote it.
    pub(crate) token: u64,
    /// The number of bytes of its contents.
    pub(crate) bytes: u64,
    /// The number of bytes of a whole block.
    pub(crate) block: u64,
}

/// A file of changed commit points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PointFile {
    pub(crate) points: u64,
    pub(crate) stream: BlockFile,
}

/// An image of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexImage {
    /// Every record below this address is in the image, or in the log from here on.
    pub(crate) start: u64,
    /// The image leads to no record at or above this address.
    pub(crate) end: u64,
    pub(crate) buckets: u64,
    pub(crate) stream: BlockFile,
}

impl CheckpointEntry {
    /// Returns the cookie, in a manifest whose entries have been checked.
    pub(crate) fn cookie(&self) -> Vec<u8> {
        bytes_of(&self.cookie).expect("looked at when it was decoded")
    }

    /// Returns the address at which the version ends.
    pub(crate) fn end(&self) -> Address {
        Address::new(self.end)
    }

    /// Returns the address from which changes are repeated after the checkpoint.
    pub(crate) fn wal_cut(&self) -> Address {
        self.wal.map_or(Address::FIRST, Address::new)
    }

    /// Returns the cut if the write-ahead log may end before it. Later entries begin there.
    pub(crate) fn wal_continues_at(&self) -> Option<[Address; 2]> {
        Some([self.wal_durable?, self.wal?].map(Address::new))
    }

    /// Sets the cut, up to which the write-ahead log is durable.
    pub(crate) fn set_wal(&mut self, cut: Option<u64>) {
        (self.wal, self.wal_durable) = (cut, None);
    }

    /// Records that the log itself has the whole version, durably. Returns whether this is new.
    pub(crate) fn record_durable(&mut self) -> bool {
        let is_news = !self.parts.is_empty() || self.durability != Durability::PowerCut;
        self.parts.clear();
        self.deltas.clear();
        self.flushed = self.end;
        self.durability = Durability::PowerCut;
        is_news
    }

    /// Returns whether the fields fit together. `image` is the image with the token `index`.
    pub(super) fn is_sound(&self, image: Option<&IndexImage>) -> bool {
        let has_image = image.map(|image| image.stream.token) == self.index;
        let ends: Vec<u64> = self.parts.iter().flat_map(|part| [part.from, part.end]).collect();
        let joined = ends.windows(2).all(|pair| pair[0] <= pair[1]);
        let spans = match (ends.first(), ends.last()) {
            (Some(from), Some(end)) => *from <= self.flushed && *end == self.end,
            _ => self.flushed == self.end,
        };
        let lags = |durable| self.wal.is_some_and(|cut| durable < cut);
        joined
            && spans
            && self.wal_durable.is_none_or(|durable| !self.is_partial && lags(durable))
            && bytes_of(&self.cookie).is_some()
            && self.has_sound_points()
            && Address::FIRST.raw() <= self.begin
            && self.begin <= self.flushed
            && self.flushed <= self.end
            && self.end <= crate::base::address::ADDRESS_MASK
            && has_image
            && image.is_none_or(|image| self.begin <= image.start && image.end <= self.end)
    }

    /// Returns the number of sessions in this checkpoint.
    pub(crate) fn count_sessions(&self) -> usize {
        if self.point_files.is_empty() {
            return self.sessions.len();
        }
        usize::try_from(self.session_count).unwrap_or(usize::MAX)
    }

    fn has_sound_points(&self) -> bool {
        let tokens = self.point_files.iter().map(|file| file.stream.token);
        let tokens: Vec<u64> = tokens.chain([self.token + 1]).collect();
        let has_all = self.session_count == 0 && self.sessions.values().all(|it| !it.is_empty());
        tokens.windows(2).all(|pair| pair[0] < pair[1])
            && self.sessions.values().all(CommitPoint::is_sound)
            && (has_all || !self.point_files.is_empty())
    }
}
