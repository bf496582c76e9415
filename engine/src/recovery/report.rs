//! The report of a recovery.

use crate::base::address::PublicAddress;
use crate::base::human::{count, duration, size};
use crate::checkpoint::CheckpointToken;
use crate::store::sessions::identity::{CommitPoint, SessionId};
use crate::store::sessions::points::Points;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

#[cfg(feature = "serde")]
use crate::base::serialized::seconds;

/// The result of a recovery. The text is for people. With the feature `serde` it can be serialized.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The checkpoint that was recovered. `None` if the store started empty: it had no checkpoint,
    /// or only damaged checkpoints that need not survive a power cut.
    pub chosen: Option<CheckpointToken>,
    /// The [cookie](crate::checkpoint::Request::cookie) of the chosen checkpoint.
    pub cookie: Vec<u8>,
    /// The log has kept its records below this address as they were. Records from here on may be
    /// gone, or may be others at the same addresses, even if a [reader of the log](crate::feed) had
    /// seen them. After a fold-over, as the checkpoint of `close` is, it is the end of the log.
    /// `None` if the store started empty.
    pub kept_until: Option<PublicAddress>,
    /// The newer checkpoints that were not used, and the reasons.
    pub rejected: Vec<(CheckpointToken, String)>,
    /// Whether the copy of the manifest was used, because the manifest was damaged or missing.
    pub from_copy: bool,
    /// The sessions with more operations in rejected checkpoints. These operations are lost.
    /// Contains only commit points that can still be read.
    pub lost: BTreeMap<SessionId, LostOperations>,
    /// The commit points of sessions in the chosen checkpoint, and in the write-ahead log after it.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// The number of bytes of log that were read to complete the index, or to fill memory.
    pub replayed_bytes: u64,
    /// The number of records of the log that were put into the index, after its image was read.
    pub replayed_records: u64,
    /// The number of changes in the write-ahead log that were repeated, since the checkpoint does
    /// not have them.
    pub repeated: u64,
    /// The number of bytes of the write-ahead log that were read for that.
    pub wal_bytes: u64,
    /// The number of bytes that were read of the image of the index and of files of commit points.
    pub image_bytes: u64,
    /// The duration of the recovery.
    #[cfg_attr(feature = "serde", serde(rename = "took_seconds", serialize_with = "seconds"))]
    pub took: Duration,
}

/// The operations of a session that are in a rejected checkpoint, and not in the chosen checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LostOperations {
    /// The serial number of the first lost operation.
    pub first: u64,
    /// The serial number of the last lost operation.
    pub last: u64,
}

/// The progress of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RecoveryProgress {
    /// The present phase.
    pub phase: RecoveryPhase,
    /// The number of bytes read so far in this phase.
    pub bytes: u64,
    /// The number of all bytes to read in this phase.
    pub total: u64,
}

/// A phase of a recovery; they follow each other in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum RecoveryPhase {
    /// The log and the index of a checkpoint are read.
    Checkpoint,
    /// The changes after it in the write-ahead log are made again.
    WriteAheadLog,
}

impl RecoveryReport {
    /// Records the sessions after the changes in the write-ahead log. They may have what a rejected
    /// checkpoint had.
    pub(super) fn note_repeated(&mut self, sessions: BTreeMap<SessionId, CommitPoint>) {
        self.lost.retain(|id, lost| {
            let kept = sessions.get(id).map_or(0, |point| point.until);
            lost.first = lost.first.max(kept.saturating_add(1));
            kept < lost.last
        });
        self.sessions = sessions;
    }

    /// Makes this report, of an opening in two parts, that of both. The `first` part has recovered
    /// what was there, and the second one only what the first has left.
    pub(crate) fn join(&mut self, first: Self) {
        let second = std::mem::replace(self, first);
        self.took += second.took;
        self.replayed_bytes += second.replayed_bytes;
        self.replayed_records += second.replayed_records;
        self.image_bytes += second.image_bytes;
    }

    /// Records that `chosen` is served in place of `rejected`.
    pub(super) fn note_lost(&mut self, rejected: &Points, chosen: &Points) {
        let chosen = chosen.all();
        for (id, point) in &rejected.all() {
            let kept = chosen.get(id).map_or(0, |point| point.until);
            if kept < point.until {
                let first = kept + 1;
                let lost = self.lost.entry(*id).or_insert(LostOperations { first, last: 0 });
                lost.last = lost.last.max(point.until);
            }
        }
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = duration(self.took);
        match self.chosen {
            Some(token) => write!(formatter, "recovered checkpoint {token} in {took}")?,
            None => write!(formatter, "started empty in {took}")?,
        }
        let (log, image) = (size(self.replayed_bytes), size(self.image_bytes));
        let records = count(self.replayed_records);
        write!(formatter, ": read {log} of log with {records} new records, and {image} of images")?;
        if self.repeated > 0 {
            let (changes, bytes) = (count(self.repeated), size(self.wal_bytes));
            write!(formatter, "\nrepeated {changes} changes in {bytes} of the write-ahead log")?;
        }
        if self.from_copy {
            write!(formatter, "\nthe manifest is damaged or missing: its copy was used")?;
        }
        for (token, reason) in &self.rejected {
            write!(formatter, "\ncheckpoint {token} was not used: {reason}")?;
        }
        for (id, LostOperations { first, last }) in &self.lost {
            write!(formatter, "\nsession {id} lost its operations {first} to {last}")?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn sample() -> RecoveryReport {
        let lost = LostOperations { first: 10, last: 12 };
        RecoveryReport {
            chosen: Some(CheckpointToken::new(7)),
            kept_until: Some(PublicAddress::new(4096)),
            rejected: vec![(CheckpointToken::new(8), "its image is damaged".to_owned())],
            from_copy: true,
            lost: [(SessionId::new(1, 1), lost)].into(),
            replayed_bytes: 3 << 20,
            replayed_records: 12_345,
            image_bytes: 1536,
            took: Duration::from_millis(1250),
            ..RecoveryReport::default()
        }
    }

    #[test]
    fn a_text_has_a_line_for_each_loss() {
        let expected = "\
recovered checkpoint 7 in 1.2 s: read 3.0 MiB of log with 12,345 new records, and 1.5 KiB of images
the manifest is damaged or missing: its copy was used
checkpoint 8 was not used: its image is damaged
session 00000000000000010000000000000001 lost its operations 10 to 12";
        assert_eq!(sample().to_string(), expected);
        let empty = "started empty in 0 ns: read 0 B of log with 0 new records, and 0 B of images";
        assert_eq!(RecoveryReport::default().to_string(), empty);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn data_has_the_names_of_the_fields() {
        let expected = concat!(
            r#"{"chosen":7,"cookie":[],"kept_until":4096,"#,
            r#""rejected":[[8,"its image is damaged"]],"from_copy":true,"#,
            r#""lost":{"00000000000000010000000000000001":{"first":10,"last":12}},"#,
            r#""sessions":{},"replayed_bytes":3145728,"replayed_records":12345,"#,
            r#""repeated":0,"wal_bytes":0,"image_bytes":1536,"took_seconds":1.25}"#
        );
        assert_eq!(serde_json::to_string(&sample()).expect("data"), expected);
    }

    /// A commit point said that a session had done all operations that there are numbers for, and
    /// the number of the next one overflowed. A fuzz target forged that point.
    #[test]
    fn a_session_without_a_next_number_loses_nothing() {
        let point = |until| {
            let mut points = Points::default();
            let point = CommitPoint { until, ..CommitPoint::default() };
            points.set(SessionId::new(1, 1), &point);
            points
        };
        let mut report = RecoveryReport::default();
        report.note_lost(&point(9), &point(u64::MAX));
        assert!(report.lost.is_empty());
        report.note_lost(&point(u64::MAX), &point(9));
        let lost = report.lost.values().next().expect("a session lost operations");
        assert_eq!((lost.first, lost.last), (10, u64::MAX));
    }
}
