//! The extent of the log of a checkpoint: which of its records are in memory from the start.

use super::Opening;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::kinds::Durability;
use crate::checkpoint::files::manifest::{CheckpointEntry, IndexImage, Manifest};
use crate::config::index_sizes::IndexSizes;
use crate::config::{ByteSize, Geometry};
use crate::hash_index::HashIndex;
use crate::hybrid_log::{HybridLog, LEAST_FRAMES, Life, LogExtent};

impl Opening {
    /// Returns the extent of the log of a checkpoint, with about `frames` pages in memory.
    ///
    /// # Errors
    /// `InvalidArgument` for a reader without the memory of the pages that the log itself lacks.
    pub(super) fn extent(
        &self,
        record: &CheckpointEntry,
        geometry: &Geometry,
        frames: u32,
    ) -> Result<LogExtent> {
        // Bytes that were not synced are written again before the log counts as flushed there. A
        // reader writes nothing, and reads them as they are.
        let is_strong = record.durability == Durability::PowerCut || self.reads_only;
        let flushed = if is_strong { record.flushed } else { 0 };
        let marks = [record.begin, flushed, record.end].map(Address::new);
        let frames = if self.is_lean { LEAST_FRAMES } else { frames.min(geometry.frames) };
        let extent = LogExtent::within(marks, geometry.page_bits, frames);
        if !self.reads_only {
            return Ok(extent);
        }
        let extent = extent.with_memory_from(Address::new(flushed), geometry.page_bits);
        let page_bytes = 1 << geometry.page_bits;
        self.check_parts([extent.pages_in_memory(geometry.page_bits) * page_bytes, 0])?;
        Ok(extent)
    }

    /// Checks that what a reader has restored fits in its memory.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn check_memory(&self, index: &HashIndex, log: &HybridLog) -> Result<()> {
        let page_bytes = 1 << log.file().units().page_bits();
        self.check_parts([log.pages_in_memory() * page_bytes, index.bytes()])
    }

    fn check_parts(&self, [pages, index]: [u64; 2]) -> Result<()> {
        if pages + index <= self.config.memory.bytes() {
            return Ok(());
        }
        let [all, index] = [pages + index, index].map(|it| it.next_multiple_of(1 << 10));
        let [memory, all, index] = [self.config.memory.bytes(), all, index].map(ByteSize::new);
        Err(Error::invalid(format!(
            "memory = {memory}: must be at least {all} for this checkpoint, of it the index \
             {index}; give a reader as much memory as the writer has"
        )))
    }

    /// Returns the life of the log that continues after a checkpoint. The flag tells whether the
    /// manifest names it already.
    pub(super) fn life_after(
        &self,
        manifest: &Manifest,
        record: Option<&CheckpointEntry>,
    ) -> Result<(Life, bool)> {
        if self.reads_only {
            // Units of a later life are of a writer that has gone back to an older checkpoint.
            return Ok((manifest.life(), true));
        }
        let begin = record.map_or(Address::NONE, CheckpointEntry::end);
        Ok((manifest.next_life(begin, self.lost_lives)?, false))
    }
}

/// The bytes of an average record, for an estimate.
const RECORD_BYTES: u64 = 64;

/// Returns about how many bytes the index of a checkpoint will take.
pub(super) fn estimated_index_bytes(
    sizes: IndexSizes,
    record: &CheckpointEntry,
    image: Option<&IndexImage>,
) -> u64 {
    let (from, known) = image.map_or((record.begin, 0), |image| (image.start, image.stream.bytes));
    let entries = known / 8 + record.end.saturating_sub(from) / RECORD_BYTES;
    sizes.bytes_of(entries)
}
