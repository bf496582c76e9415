//! Computes sizes from settings, and checks every bound once.
//!
//! ```text
//!   memory = index + I/O buffers + frames * page
//!             |          |                |
//!             |    memory / 16, <= 32 MiB   the rest, at least memory / 8 and 2 frames
//!        128 B a bucket, a bucket for 12 expected keys, else memory / 128. It grows with the keys,
//!        and frames leave memory for it.
//! ```
//!
//! On a device a page is a row of units, each with a trailer of 8 bytes. In memory it has only the
//! payload of these units. So a page of `2^n` addresses holds slightly fewer bytes of records.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ByteSize, Config};
use crate::base::error::{Error, Result};
use crate::base::kinds::CheckpointKind;
use crate::base::memory::RESERVES_LAZILY;
use crate::config::index_sizes::{BUCKET_BYTES, IndexSizes, KEYS_PER_BUCKET};
use crate::config::page_sizes::{UNIT_BYTES, max_inline, page_capacity};
use crate::config::space_sizes::SpaceSizes;

/// The sizes of one store, all in their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// A page has `2^page_bits` bytes of addresses.
    pub(crate) page_bits: u32,
    /// The number of pages in memory, at least 2.
    pub(crate) frames: u32,
    /// The number of pages for which address space is reserved.
    pub(crate) reserved_frames: u32,
    /// The bytes of a unit on the device, with its trailer.
    pub(crate) unit_bytes: usize,
    /// The sizes of the index of a new store.
    pub(crate) index: IndexSizes,
    /// The bytes of I/O buffers.
    pub(crate) io_budget_bytes: usize,
    /// The bytes of a file of the log.
    pub(crate) segment_bytes: u64,
    /// The longest key, in bytes.
    pub(crate) max_key: usize,
    /// The longest value, in bytes.
    pub(crate) max_value: usize,
    /// The longest key and value together whose entry fits in the write-ahead log, if the store has
    /// one.
    pub(crate) max_logged: Option<usize>,
    /// The longest record that is stored in one piece, in bytes.
    pub(crate) max_inline: usize,
    /// The bytes of records that a page holds, in units of the smallest size.
    pub(crate) page_capacity: usize,
}

// The bounds of settings. The I/O layer defines the last two.
const MEMORY: RangeInclusive<ByteSize> = ByteSize::kib(64)..=ByteSize::gib(16 << 10);
const PAGE: RangeInclusive<ByteSize> = ByteSize::kib(4)..=ByteSize::mib(32);
const VALUE: RangeInclusive<ByteSize> = ByteSize::new(1)..=ByteSize::gib(1);
const MUTABLE_FRACTION: RangeInclusive<f64> = 0.0..=0.95;
const SPACE_RATIO: RangeInclusive<f64> = 1.1..=1000.0;
const BUCKETS: RangeInclusive<u64> = 1..=(1 << 37);
const INDEX: RangeInclusive<ByteSize> = ByteSize::new(BUCKET_BYTES)..=ByteSize::gib(16 << 10);
const KEYS: RangeInclusive<u64> = 0..=(1 << 37) * KEYS_PER_BUCKET;
const SEGMENT_MAX: ByteSize = ByteSize::gib(1 << 10);
/// A new store with a budget for the disk has at least about so many files of its log.
const SEGMENTS_OF_DISK: u64 = 32;
const DEPTH: RangeInclusive<u32> = 2..=16_384;
const KEPT_CHECKPOINTS: RangeInclusive<u32> = 1..=1024;
const CHECKPOINT_EVERY_MIN: Duration = Duration::from_millis(1);
const LOG_GROWTH: RangeInclusive<ByteSize> = ByteSize::kib(4)..=ByteSize::gib(1 << 18);
const IO_THREADS: RangeInclusive<u32> = 1..=1024;

/// The limit of the default page, in bytes. A log has at least `DEFAULT_PAGES` default pages,
/// unless they would be smaller than 4 KiB.
const DEFAULT_PAGE_MAX: u64 = 4 << 20;
const DEFAULT_PAGES: u64 = 32;
const FRAMES_MIN: u64 = 2;
const FRAMES_MAX: u64 = 1 << 28;

/// The factor of `memory` up to which memory can grow by default.
const MEMORY_MAX_TIMES: u64 = 16;

/// The divisor of the memory for the least bytes of pages.
const PAGES_PART: u64 = 8;
const IO_PART: u64 = 16;
const IO_MIN: u64 = 8 << 10;
const IO_MAX: u64 = 32 << 20;

impl Geometry {
    /// Checks every setting against its bounds.
    pub(crate) fn of(config: &Config) -> Result<Self> {
        check_bounds(config)?;
        let index = IndexSizes::of(config);
        let shares = Shares::of(config, index)?;
        let page_bytes = page_bytes(config, shares.log);
        let frames = shares.frames(config, page_bytes)?;
        let (max_inline, segment_bytes) =
            (max_inline(page_bytes), segment_bytes(config, page_bytes)?);
        SpaceSizes::of(config, page_bytes, segment_bytes).map_or(Ok(()), SpaceSizes::check)?;
        Ok(Self {
            page_bits: page_bytes.ilog2(),
            frames,
            reserved_frames: reserved_frames(config, page_bytes, frames),
            unit_bytes: in_memory("unit", UNIT_BYTES)?,
            index,
            io_budget_bytes: in_memory("memory", shares.io)?,
            segment_bytes,
            max_key: in_memory("page_size", max_inline / 2)?,
            max_value: in_memory("max_value", config.max_value.bytes())?,
            max_logged: match config.has_wal() {
                true => Some(in_memory("wal_memory", config.wal_pair_most())?),
                false => None,
            },
            max_inline: in_memory("page_size", max_inline)?,
            page_capacity: in_memory("page_size", page_capacity(page_bytes))?,
        })
    }

    /// Limits keys and values together to those that an open write-ahead log takes.
    pub(crate) fn limit_logged(&mut self, most: u64) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.max_logged = self.max_logged.map(|pair| pair.min(most));
    }
}

/// Checks each setting that does not depend on another.
fn check_bounds(config: &Config) -> Result<()> {
    within("memory", config.memory, &MEMORY)?;
    if let Some(most) = config.memory_max {
        within("memory_max", most, &(config.memory..=*MEMORY.end()))?;
    }
    if let Some(bytes) = config.read_cache {
        within("read_cache", bytes, &(ByteSize::new(0)..=config.memory))?;
    }
    within("max_value", config.max_value, &VALUE)?;
    within("mutable_fraction", config.mutable_fraction, &MUTABLE_FRACTION)?;
    config.space_ratio.map_or(Ok(()), |ratio| within("space_ratio", ratio, &SPACE_RATIO))?;
    within("depth", config.depth, &DEPTH)?;
    within("io_threads", config.io_threads, &IO_THREADS)?;
    check_checkpoints(config)?;
    config.check_wal()?;
    if let Some(buckets) = config.index_buckets {
        within("index_buckets", buckets, &BUCKETS)?;
    }
    for (name, bytes) in [("index_min", config.index_min), ("index_max", config.index_max)] {
        bytes.map_or(Ok(()), |bytes| within(name, bytes, &INDEX))?;
    }
    if let (None, Some(most)) = (config.index_buckets, config.index_max) {
        let least = IndexSizes::least(config);
        if most < least {
            let message = format!("index_max = {most}: must be at least index_min, {least}");
            return Err(Error::invalid(message));
        }
    }
    if let Some(keys) = config.expected_keys {
        within("expected_keys", keys, &KEYS)?;
    }
    let Some(page) = config.page_size else {
        return Ok(());
    };
    within("page_size", page, &PAGE)?;
    if !page.bytes().is_power_of_two() {
        let message = format!("page_size = {page}: must be a power of two");
        return Err(Error::invalid(message));
    }
    Ok(())
}

fn check_checkpoints(config: &Config) -> Result<()> {
    within("keep_checkpoints", config.keep_checkpoints, &KEPT_CHECKPOINTS)?;
    if let Some(bytes) = config.checkpoint_log_growth {
        within("checkpoint_log_growth", bytes, &LOG_GROWTH)?;
    }
    if let Some(every) = config.checkpoint_every.filter(|every| *every < CHECKPOINT_EVERY_MIN) {
        let message =
            format!("checkpoint_every = {every:?}: must be at least {CHECKPOINT_EVERY_MIN:?}");
        return Err(Error::invalid(message));
    }
    if config.checkpoint_kind == CheckpointKind::IndexOnly {
        return Err(Error::invalid("checkpoint_kind = index-only: makes nothing durable"));
    }
    Ok(())
}

/// The division of the memory, in bytes.
struct Shares {
    io: u64,
    log: u64,
}

impl Shares {
    fn of(config: &Config, index: IndexSizes) -> Result<Self> {
        let memory = config.memory.bytes();
        let page = config.page_size.unwrap_or(*PAGE.start());
        if needed_memory(config, index, page) > memory {
            return Err(too_little(config, page));
        }
        let io = buffer_share(memory);
        Ok(Self { io, log: memory - index.bytes() - io })
    }

    fn frames(&self, config: &Config, page_bytes: u64) -> Result<u32> {
        let frames = self.log / page_bytes;
        assert!(frames >= FRAMES_MIN, "a page by default is a small part of the log");
        match u32::try_from(frames) {
            Ok(frames) if u64::from(frames) <= FRAMES_MAX => Ok(frames),
            _ => Err(Error::invalid(format!(
                "page_size = {}: {frames} pages in memory = {}, must be at most {FRAMES_MAX}",
                ByteSize::new(page_bytes),
                config.memory
            ))),
        }
    }
}

/// Returns an error that names the memory that would be enough.
#[cold]
fn too_little(config: &Config, page: ByteSize) -> Error {
    let index = match (config.index_buckets, config.expected_keys) {
        (Some(buckets), _) => format!("an index of {buckets} buckets"),
        (None, Some(keys)) => format!("expected_keys = {keys}"),
        (None, None) => "the index".to_owned(),
    };
    let least = least_memory(config, page);
    let least = ByteSize::kib(least.div_ceil(1 << 10));
    let (memory, pages) = (config.memory, FRAMES_MIN * page.bytes());
    let pages = match least_page_share(least.bytes()) > pages {
        true => "an eighth for pages".to_owned(),
        false => format!("{FRAMES_MIN} pages of {page}"),
    };
    Error::invalid(format!("memory = {memory}: must be at least {least} for {index} and {pages}"))
}

/// Returns the memory that the parts of a new store need, if the shares are those of
/// `config.memory`: the index when the expected keys have come, buffers, and the least pages.
fn needed_memory(config: &Config, index: IndexSizes, page: ByteSize) -> u64 {
    let memory = config.memory.bytes();
    let index = match config.index_buckets {
        Some(_) => index.bytes(),
        None => index.bytes_of(config.expected_keys.unwrap_or(0)),
    };
    let pages = least_page_share(memory).max(FRAMES_MIN * page.bytes());
    index.saturating_add(buffer_share(memory)).saturating_add(pages)
}

/// Returns the memory for these settings and pages. Index, buffers and pages may be a share of it.
fn least_memory(config: &Config, page: ByteSize) -> u64 {
    let mut least = FRAMES_MIN * page.bytes();
    loop {
        let config = config.clone().with_memory(ByteSize::new(least));
        let needed = needed_memory(&config, IndexSizes::of(&config), page);
        if needed <= least {
            return least;
        }
        least = needed;
    }
}

fn page_bytes(config: &Config, log: u64) -> u64 {
    let part = (log / DEFAULT_PAGES).clamp(PAGE.start().bytes(), DEFAULT_PAGE_MAX);
    config.page_size.map_or(1 << part.ilog2(), ByteSize::bytes)
}

/// Checks the size of a file of the log, which ends where a page ends.
fn segment_bytes(config: &Config, page_bytes: u64) -> Result<u64> {
    let segment = config.segment_size;
    let page = ByteSize::new(page_bytes);
    within("segment_size", segment, &(page..=SEGMENT_MAX))?;
    if let Some(disk) = config.disk.filter(|disk| config.cache && *disk < page) {
        return Err(Error::invalid(format!("disk = {disk}: must be at least a page, {page}")));
    }
    if !segment.bytes().is_multiple_of(page_bytes) {
        let message = format!("segment_size = {segment}: must be a multiple of the page, {page}");
        return Err(Error::invalid(message));
    }
    let Some(disk) = config.disk else {
        return Ok(segment.bytes());
    };
    // Space comes back a whole file at a time.
    let enough = (disk.bytes() / SEGMENTS_OF_DISK).max(page_bytes);
    Ok(segment.bytes().min(1 << enough.ilog2()))
}

/// Returns the bytes that a memory of `memory` bytes leaves to pages at least.
pub(crate) fn least_page_share(memory: u64) -> u64 {
    memory / PAGES_PART
}

/// Returns the bytes of I/O buffers that a memory of `memory` bytes has.
pub(crate) fn buffer_share(memory: u64) -> u64 {
    (memory / IO_PART).clamp(IO_MIN, IO_MAX)
}

/// Returns the largest memory of a store.
pub(crate) fn largest_memory(config: &Config) -> ByteSize {
    // Without `mmap` a reservation is memory.
    let times = if RESERVES_LAZILY { MEMORY_MAX_TIMES } else { 1 };
    let by_default = config.memory.bytes().saturating_mul(times).min(MEMORY.end().bytes());
    config.memory_max.unwrap_or(ByteSize::new(by_default))
}

/// Returns the number of pages for which address space is reserved.
fn reserved_frames(config: &Config, page_bytes: u64, frames: u32) -> u32 {
    let pages = (largest_memory(config).bytes() / page_bytes).min(FRAMES_MAX);
    u32::try_from(pages).expect("bounded").max(frames)
}

pub(super) fn within<T>(field: &str, value: T, bounds: &RangeInclusive<T>) -> Result<()>
where
    T: PartialOrd + Display,
{
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(Error::invalid(format!("{field} = {value}: must be between {least} and {most}")))
}

/// Refuses a size that the machine cannot address.
fn in_memory(field: &str, bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| {
        Error::invalid(format!("{field}: {bytes} bytes are beyond this machine's addresses"))
    })
}
