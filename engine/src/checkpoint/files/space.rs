//! The space that checkpoints take beside the log.

use super::checkpoint_files::CheckpointFiles;
use crate::base::error::Result;
use crate::base::kinds::CheckpointKind;
use crate::hybrid_log::HybridLog;
use crate::space::Beside;
use crate::store::StoreInner;

/// The bytes by which a manifest grows with a checkpoint, without commit points.
const ENTRY_BYTES: u64 = 1536;
/// The bytes of a commit point, in a manifest or in a layer.
const POINT_BYTES: u64 = 128;
/// The most bytes of a name and an offset, in a manifest: digits, keys and the head of a table.
const TEXT_BYTES: u64 = 1024;
/// The commit points that a manifest has. More are in layers.
const POINTS_IN_MANIFEST: u64 = 64;
/// The sessions that may begin before the next checkpoint.
const MORE_SESSIONS: u64 = 8;
/// The bytes by which the last block of a stream is longer than its contents.
const BLOCK_BYTES: u64 = 8 << 10;

/// Returns the bytes of the files beside the log, and of what the next checkpoint of `kind` adds.
///
/// # Errors
/// Why the files could not be listed.
pub(in crate::checkpoint) async fn beside(
    core: &StoreInner,
    files: &CheckpointFiles,
    kind: CheckpointKind,
) -> Result<Beside> {
    let cookies = files.manifest().checkpoints.iter().map(|record| record.cookie.len()).max();
    let [files, manifest] = files.bytes_beside().await?;
    let (points, texts) = {
        let points = core.sessions.points();
        let texts = if points.texts() == 0 { 0 } else { points.texts() as u64 + MORE_SESSIONS };
        (points.len() as u64 + MORE_SESSIONS, texts)
    };
    let bytes_of = |points: u64, texts: u64| points * POINT_BYTES + texts * TEXT_BYTES;
    let has_layer = points > POINTS_IN_MANIFEST;
    let layer = if has_layer { bytes_of(points, texts) + BLOCK_BYTES } else { 0 };
    let entry = ENTRY_BYTES + cookies.unwrap_or(0) as u64;
    let [points, texts] = [points, texts].map(|count| count.min(POINTS_IN_MANIFEST));
    let next = manifest + entry + bytes_of(points, texts);
    // The new manifest, and the growth of the manifest and its copy.
    let reserved = 3 * next - 2 * manifest + layer;
    let part = match kind {
        CheckpointKind::Snapshot | CheckpointKind::Incremental | CheckpointKind::Auto => {
            let log = core.log.tail_address().raw() - core.log.pages().begin().raw();
            part_bytes(log.min(core.log.pages().bytes()), kind)
        }
        CheckpointKind::FoldOver | CheckpointKind::IndexOnly => 0,
    };
    Ok(Beside { files, reserved, optional: part + image_bytes(core) })
}

/// Returns the bytes of an image of the index, with a fifth more entries than it has.
pub(in crate::checkpoint) fn image_bytes(core: &StoreInner) -> u64 {
    let (entries, buckets) = (core.index.entries(), core.index.buckets());
    entries * 10 + entries.min(buckets) * 8 + BLOCK_BYTES
}

/// Returns the most bytes of the files in which a checkpoint keeps `log` bytes of log beside the
/// log.
pub(in crate::checkpoint) fn part_bytes(log: u64, kind: CheckpointKind) -> u64 {
    // An increment may have each record of the log again, with its address.
    let times = if kind == CheckpointKind::Snapshot { 1 } else { 2 };
    log * times + 2 * BLOCK_BYTES
}

/// Returns the most bytes of log between what is flushed and `end`.
pub(in crate::checkpoint) fn unflushed_bytes(log: &HybridLog, end: u64) -> u64 {
    let page = 1 << log.file().units().page_bits();
    end.next_multiple_of(page) - log.flushing().flushed().raw() / page * page
}
