//! The commit points of sessions in checkpoints.
//!
//! # Where they are stored
//! A few commit points are in the manifest. Otherwise they are in files, called *layers*. Each
//! layer has the changes since the layer before it, and the manifest has the changes since the last
//! layer. A later point replaces an earlier one. So a checkpoint writes only the changes since the
//! previous checkpoint, however many sessions are idle. Each kept checkpoint names the layers with
//! its points.
//!
//! # Layers are merged
//! A new layer takes in the layers before it that have less than [`RATIO`] times as many points. So
//! each layer has at least that many times the points of the next, and there are few layers. A
//! point is written again only a few times, by later changes of as many other points.
//!
//! # The format of a layer
//! ```text
//!   id (16) | until (8) | version (8) | lengths (8) | first (8) | last (8) | first | ...
//!   | serial (8) | count (8) | name and bytes of the offset, zeros | id | ...
//!
//!   lengths: number of ranges (32 bits) | bytes of the name (16) | 1 + bytes of the offset (16)
//! ```
//! A layer is a stream of checksummed blocks. `serial` and `count` are there if there is an offset.
//! The point of a forgotten session is up to 0, and has no offset.
//!
//! Layers are always synced, whatever their checkpoint must survive, because later checkpoints use
//! them.

use super::checkpoint_files::{CheckpointFiles, SESSIONS};
use super::manifest::{CheckpointEntry, PointFile};
use super::stream::{Seal, StreamWriter};
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
use crate::checkpoint::progress::Progress;
use crate::store::StoreInner;
use crate::store::sessions::identity::{
    CommitPoint, LONGEST_NAME, LONGEST_OFFSET, Offset, SessionId,
};
use crate::store::sessions::points::{Points, first_of};
use crate::store::sessions::serials::Serials;
use kvick_io::BufPool;

/// The maximum number of points in the manifest. For more points a file takes fewer bytes to write.
const MOST_IN_MANIFEST: usize = 64;
/// The minimum ratio of the points of a layer to the points of the next one.
const RATIO: u64 = 4;
/// The number of points that are copied before other tasks run.
const AT_ONCE: usize = 256;

/// The layers of the newest checkpoint, on which the next one builds.
#[derive(Clone, Debug, Default)]
pub(in crate::checkpoint) struct Layers(Vec<Layer>);

#[derive(Clone, Copy, Debug)]
struct Layer {
    file: PointFile,
    /// The last generation of changes in this layer.
    end: u64,
}

impl Layers {
    /// Returns the layers of the recovered checkpoint. Their generations count as in [`read`].
    pub(in crate::checkpoint) fn of(record: Option<&CheckpointEntry>) -> Self {
        let files = record.into_iter().flat_map(|record| &record.point_files);
        Self(files.zip(1..).map(|(file, end)| Layer { file: *file, end }).collect())
    }

    /// Returns the generation with which the last layer ends.
    fn end(&self) -> u64 {
        self.0.last().map_or(0, |layer| layer.end)
    }

    /// Drops the layers that a new layer of this many points takes in.
    fn make_room(&mut self, mut points: u64) {
        debug_assert!(points > 0, "a layer has points");
        while let Some(last) = self.0.last().filter(|last| last.file.points < RATIO * points) {
            points += last.file.points;
            self.0.pop();
        }
    }
}

/// Writes the layer of one checkpoint.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct LayerWriter<'r> {
    pub(in crate::checkpoint) core: &'r StoreInner,
    pub(in crate::checkpoint) checkpoint_files: &'r CheckpointFiles,
    pub(in crate::checkpoint) token: u64,
    pub(in crate::checkpoint) progress: &'r Progress,
}

impl LayerWriter<'_> {
    /// Returns the layers of this checkpoint, whose points have been read. Writes a new layer if
    /// much has changed.
    pub(in crate::checkpoint) async fn layers(self, before: &Layers) -> Result<Layers> {
        let mut layers = before.clone();
        let changes = self.core.sessions.points().count_since(layers.end());
        if changes > MOST_IN_MANIFEST {
            layers.make_room(changes as u64);
            let layer = self.layer(layers.end()).await?;
            assert!(layers.end() < layer.end, "a layer has the changes after the layers before it");
            layers.0.push(layer);
        }
        debug_assert!(
            layers.0.is_sorted_by(|below, above| below.end < above.end
                && below.file.points >= RATIO * above.file.points),
            "later layers have later changes and far fewer points: {layers:?}"
        );
        Ok(layers)
    }

    /// Writes the changes since the end of generation `after`, and makes them durable.
    async fn layer(self, after: u64) -> Result<Layer> {
        let sessions = &self.core.sessions;
        // A session that is forgotten from now on belongs to the next generation, so the manifest
        // has it.
        let end = sessions.points().end_generation();
        debug_assert!(after < end, "a layer has the changes of some generation: {after}, {end}");
        let device = self.checkpoint_files.device(SESSIONS, self.token, true).await?;
        let seal = seal(self.checkpoint_files.manifest().store.salt.0, self.token);
        let written = |bytes| self.progress.wrote(bytes);
        let mut writer = StreamWriter::new(&*device, self.core.log.file().writing(), seal, written);
        let (mut next, mut points) = (Some(first_of(after + 1)), 0);
        while let Some(from) = next {
            let pending = writer.pending();
            next = sessions.points().show((from, end), AT_ONCE, |id, point| {
                // The first layer omits forgotten sessions, because no layer below it has points of
                // them.
                if after > 0 || !point.is_empty() {
                    append(pending, id, point);
                    points += 1;
                }
            });
            writer.go_on().await?;
            yield_once().await;
        }
        let stream = writer.finish().await?;
        self.core.sync_file(&*device).await?;
        Ok(Layer { file: PointFile { points, stream }, end })
    }

    /// Enters the points of this checkpoint into its record.
    pub(in crate::checkpoint) fn enter_points(self, record: &mut CheckpointEntry, layers: &Layers) {
        let points = self.core.sessions.points();
        record.point_files = layers.0.iter().map(|layer| layer.file).collect();
        debug_assert!(
            layers.0.iter().all(|layer| layer.file.stream.token <= record.token),
            "no layer is of a later checkpoint: {layers:?}"
        );
        if layers.0.is_empty() {
            record.sessions = points.all();
        } else {
            record.sessions = points.since(layers.end());
            record.session_count = points.len() as u64;
        }
    }

    /// Drops forgotten sessions after the checkpoint with these layers was published.
    pub(in crate::checkpoint) fn forget_points(self, layers: &Layers) {
        // No layer has their points: the first layer omits them, and without layers there is no
        // file.
        let end = layers.0.first().map_or(u64::MAX, |layer| layer.end);
        self.core.sessions.points().drop_forgotten(end);
    }
}

/// Reads the commit points of a checkpoint. Each layer is a generation, and so is the manifest.
///
/// # Errors
/// `Corrupt` or `Io` of the first layer that cannot be read, unless `may_skip` accepts the error.
pub(crate) async fn read(
    checkpoint_files: &CheckpointFiles,
    record: &CheckpointEntry,
    may_skip: impl Fn(&Error) -> bool,
) -> Result<Points> {
    let mut points = Points::default();
    for file in &record.point_files {
        match read_layer(checkpoint_files, *file, &mut points).await {
            Err(error) if !may_skip(&error) => return Err(error),
            _ => points.end_generation(),
        };
    }
    record.sessions.iter().for_each(|(id, point)| points.set(*id, point));
    points.end_generation();
    Ok(points)
}

/// Reads the points of one layer into `points`.
///
/// # Errors
/// `Corrupt` if the contents differ from the written contents; `Io`.
pub(crate) async fn read_layer(
    checkpoint_files: &CheckpointFiles,
    file: PointFile,
    points: &mut Points,
) -> Result<()> {
    let PointFile { stream, points: expected } = file;
    let device = checkpoint_files.device(SESSIONS, stream.token, false).await?;
    let seal = seal(checkpoint_files.manifest().store.salt.0, stream.token);
    let (mut pending, mut found) = (Vec::new(), 0);
    let (name, _) = device.locate(0);
    let take_in = |contents: &[u8]| {
        pending.extend_from_slice(contents);
        let mut done = 0;
        while let Some((id, point, length)) = entry(&pending[done..]) {
            let point = point.ok_or_else(|| {
                let what = format!("the commit point of session {id} contradicts itself");
                Error::damaged(&what, &name, 0)
            })?;
            points.set(id, &point);
            done += length;
            found += 1;
        }
        pending.drain(..done);
        Ok(())
    };
    stream.read(&*device, &BufPool::new(0), seal, take_in).await?;
    if !pending.is_empty() || found != expected {
        let what = format!("there are {found} commit points of {expected}");
        return Err(Error::damaged(&what, &name, stream.bytes));
    }
    Ok(())
}

/// Returns the checksum identity of the layer that checkpoint `token` wrote.
fn seal(salt: u64, token: u64) -> Seal {
    Seal { salt, what: b"sessions", token }
}

/// Appends a commit point to a layer.
fn append(layer: &mut Vec<u8>, id: SessionId, point: &CommitPoint) {
    debug_assert!(point.is_sound(), "recovery accepts the point of session {id}: {point:?}");
    let start = layer.len();
    let ranges: Vec<[u64; 2]> = point.excluded.clone().into();
    let name = point.name.as_deref().unwrap_or_default();
    let offset = point.offset.as_ref();
    let mut lengths = ranges.len() as u64 | (name.len() as u64) << 32;
    if let Some(offset) = offset {
        lengths |= (offset.bytes.len() as u64 + 1) << 48;
    }
    layer.extend_from_slice(&id.to_bytes());
    let words = [point.until, point.version, lengths].into_iter();
    let words = words.chain(ranges.as_flattened().iter().copied());
    for word in words.chain(offset.iter().flat_map(|offset| [offset.serial, offset.count])) {
        layer.extend_from_slice(&word.to_le_bytes());
    }
    layer.extend_from_slice(name.as_bytes());
    layer.extend_from_slice(offset.map_or(&[], |offset| &offset.bytes));
    layer.resize(start + (layer.len() - start).next_multiple_of(8), 0);
    debug_assert_eq!(
        entry(&layer[start..]),
        Some((id, Some(point.clone()), layer.len() - start)),
        "recovery reads the point that is written"
    );
}

/// The number of bytes of an entry before its ranges.
const HEADER: usize = 40;

/// Returns the entry at the front of `bytes` and its length, if it is complete. The point is `None`
/// if it contradicts itself.
fn entry(bytes: &[u8]) -> Option<(SessionId, Option<CommitPoint>, usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (id, words) = header.split_at(16);
    let id = SessionId::from_bytes(id.try_into().expect("16 bytes"));
    let [until, version, lengths] = [0, 8, 16].map(|at| word(&words[at..at + 8]));
    let lengths = [lengths & 0xffff_ffff, lengths >> 32 & 0xffff, lengths >> 48];
    let [ranges, name, offset] = lengths.map(|it| usize::try_from(it).expect("32 bits fit"));
    if name > LONGEST_NAME || offset > LONGEST_OFFSET + 1 {
        return Some((id, None, HEADER));
    }
    let Some(ranges) = ranges.checked_mul(16) else {
        return Some((id, None, HEADER));
    };
    let texts = if offset > 0 { 16 + offset - 1 } else { 0 } + name;
    let length = ranges.checked_add(texts.next_multiple_of(8))?;
    let (ranges, rest) = rest.get(..length)?.split_at(ranges);
    let ranges = ranges.chunks_exact(16);
    let ranges: Vec<_> = ranges.map(|range| [word(&range[..8]), word(&range[8..])]).collect();
    let (place, texts) = rest.split_at(if offset > 0 { 16 } else { 0 });
    let (name, texts) = texts.split_at(name);
    let offset = (offset > 0).then(|| Offset {
        bytes: texts[..offset - 1].to_vec(),
        serial: word(&place[..8]),
        count: word(&place[8..]),
    });
    let name = (!name.is_empty()).then(|| String::from_utf8(name.to_vec())).transpose();
    let point = Serials::try_from(ranges).ok().zip(name.ok()).map(|(excluded, name)| {
        let point = CommitPoint { until, excluded, version, name, offset };
        point.is_sound().then_some(point)
    });
    Some((id, point.flatten(), HEADER + length))
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::checkpoint::files::manifest::BlockFile;

    fn points() -> Vec<(SessionId, CommitPoint)> {
        let point = |until, excluded: &[u64]| {
            let excluded = excluded.iter().copied().collect();
            CommitPoint { until, excluded, version: until + 1, ..CommitPoint::default() }
        };
        let name = Some("partition-3".to_owned());
        let offset = |bytes: &[u8]| Some(Offset { bytes: bytes.to_vec(), serial: 2, count: 9 });
        vec![
            (SessionId::new(7, 3), CommitPoint { name: name.clone(), ..point(9, &[3]) }),
            (SessionId::new(7, 4), CommitPoint { offset: offset(b""), ..point(9, &[3]) }),
            (
                SessionId::new(7, 5),
                CommitPoint { name, offset: offset(&[7; 256]), ..point(2, &[]) },
            ),
            (SessionId::new(7, 1), point(9, &[])),
            (SessionId::new(7, 2), point(100, &[1, 2, 3, 50, 100])),
            (SessionId::new(8, u64::MAX), CommitPoint::default()),
        ]
    }

    #[test]
    fn what_is_appended_is_found() {
        let mut layer = Vec::new();
        for (id, point) in points() {
            append(&mut layer, id, &point);
        }
        let (mut at, mut found) = (0, Vec::new());
        while let Some((id, point, length)) = entry(&layer[at..]) {
            found.push((id, point.expect("sound")));
            at += length;
        }
        assert_eq!(found, points());
        assert_eq!(at, layer.len());
    }

    #[test]
    fn an_entry_is_whole_or_none() {
        for (id, point) in points() {
            let mut layer = Vec::new();
            append(&mut layer, id, &point);
            for length in 0..layer.len() {
                assert!(entry(&layer[..length]).is_none(), "{length} bytes of {id}");
            }
        }
    }

    #[test]
    fn points_that_cannot_be_are_found() {
        for (until, ranges) in [(5_u64, vec![[3, 2]]), (5, vec![[3, 6]]), (0, vec![[1, 1]])] {
            let mut layer = Vec::new();
            append(&mut layer, SessionId::new(1, 1), &CommitPoint::default());
            layer.truncate(16);
            for word in [until, 1, 1].iter().chain(ranges.as_flattened()) {
                layer.extend_from_slice(&word.to_le_bytes());
            }
            let (_, point, _) = entry(&layer).expect("whole");
            assert_eq!(point, None, "up to {until} without {ranges:?}");
        }
        let mut layer = vec![0; 32];
        layer.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(entry(&layer), Some((_, None, _))), "more ranges than memory has");
    }

    /// Each layer has several times the points of the next, so there are few.
    #[test]
    fn layers_are_few_and_what_they_cost_is_bounded() {
        for (changes, sessions) in [(65, 100_000), (1000, 100_000), (65, 200), (99, 100)] {
            let (mut layers, mut written) = (Layers::default(), 0);
            let most = 1000;
            for token in 1..=most {
                layers.make_room(changes);
                let below: u64 = layers.0.iter().map(|layer| layer.file.points).sum();
                // As if no session did something twice: then all the points of the merged layers
                // are distinct.
                let all = (token * changes).min(sessions);
                let points = all.saturating_sub(below).max(changes);
                let stream = BlockFile { token, bytes: 0, block: 4096 };
                layers.0.push(Layer { file: PointFile { points, stream }, end: token });
                written += points;
                let sizes: Vec<u64> = layers.0.iter().map(|layer| layer.file.points).collect();
                assert!(sizes.len() <= 8, "{sizes:?}");
            }
            let each = written / most;
            assert!(each <= changes * 40, "{changes} of {sessions}: {each} written for each");
        }
    }
}
