//! The settings of a log. They are checked once.

use super::frame::format::LENGTH_MASK;
use super::frame::layout::EntryLayout;
use crate::base::address::ADDRESS_MAX;
use crate::base::error::{Error, Result};
use crate::config::{Backend, ByteSize, COMMIT_BYTES, check_commits};
use crate::hybrid_log::{LARGEST_INLINE, Units};
use kvick_io::IoConfig;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The least number of pages in memory: one is filled, one is written, one is cleared, and one is
/// spare.
const FRAMES_MIN: u64 = 4;
pub(crate) const PAGES: [u64; 2] = [4 << 10, 32 << 20];
const DEFAULT_PAGES: u64 = 32;
const DEFAULT_PAGE_MAX: u64 = 2 << 20;
/// The least memory of a log with the largest default pages. Each is a huge page of the system;
/// smaller ones come and go as many small pages.
const LARGE_PAGES_FROM: u64 = 16 * DEFAULT_PAGE_MAX;
const IO_PART: u64 = 16;
const IO_BYTES: [u64; 2] = [8 << 10, 32 << 20];
const MEMORY: [u64; 2] = [24 << 10, 1 << 40];
/// The name of the setting of the memory.
pub(crate) const MEMORY_SETTING: &str = "memory";
const SEGMENT_MAX: u64 = 1 << 40;
const UNIT_BYTES: usize = 512;
const IN_FLIGHT: [u32; 2] = [1, 64];
const DEPTH: [u32; 2] = [2, 16384];
const IO_THREADS: [u32; 2] = [1, 1024];

/// The bytes of the longest frame that is never split, in the smallest pages.
pub(crate) const SMALLEST_INLINE: u64 =
    PAGES[0] / UNIT_BYTES as u64 * (UNIT_BYTES - Units::TRAILER) as u64 / 4;
const _: () = assert!(PAGES[0] >= UNIT_BYTES as u64, "a page holds units");
const _: () = assert!(PAGES[1] <= LENGTH_MASK, "a header has bits for each length");
const _: () = assert!(
    PAGES[0] <= DEFAULT_PAGE_MAX && DEFAULT_PAGE_MAX <= PAGES[1],
    "the largest default page is within the bounds"
);
const _: () = assert!(
    COMMIT_BYTES.end().bytes() <= ADDRESS_MAX / 2,
    "the address of a commit by size is an address"
);
const _: () = assert!(
    MEMORY[0] >= FRAMES_MIN * PAGES[0] + IO_BYTES[0],
    "the least memory holds the fewest of the smallest pages"
);

/// The settings of a [`FasterLog`](crate::FasterLog). The most important one is `memory`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The memory for pages and I/O buffers together, 24 KiB to 1 TiB. Appending waits for the
    /// device when entries that are not yet written fill it. Default 64 MiB.
    pub memory: ByteSize,

    // Automatic commits.
    /// The interval of automatic commits, such as `"5ms"`, at most a year. The log commits this
    /// long after the previous commit, of any cause, if entries were appended since. So an entry
    /// waits no longer than this, or than a commit that is on its way takes, and the first entry
    /// after a pause does not wait. With an interval,
    /// [`append_durable`](crate::FasterLog::append_durable) waits for that commit and requests
    /// none. Changes other than entries wait for the next commit of any cause. Default: none.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub commit_every: Option<Duration>,
    /// The number of bytes appended since the last commit that cause a commit, at most 256 TiB.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_bytes: Option<ByteSize>,
    /// The largest number of commits in flight at once, 1 to 64. Requests that arrive in the
    /// meantime share the next commit. More than one makes smaller commits: it pays only on devices
    /// that do several syncs at a time in the time of one. Default 1.
    pub commits_in_flight: u32,

    // Files and I/O.
    /// The backend that performs I/O. Default `auto`.
    pub backend: Backend,
    /// Whether to bypass the page cache of the system, where the file system allows it. Default
    /// true.
    pub direct: bool,
    /// The largest number of I/O operations in flight at once, 2 to 16384. Default 256.
    pub depth: u32,
    /// The number of threads of the backend `threads`, 1 to 1024. Other backends ignore it. Default
    /// 16.
    pub io_threads: u32,

    // Settings that rarely need a change.
    /// The bytes of a page, a power of two, 4 KiB to 32 MiB. Fixed when a log is created: opening
    /// fails for an existing log of another page size. Each opening needs memory for four pages
    /// beside the buffers. Default: 2 MiB with at least 32 MiB of memory, otherwise 1/32 of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<ByteSize>,
    /// The bytes of one file of the log, a multiple of the page size. Fixed when a log is created,
    /// and ignored for an existing log. Truncation frees space in whole files. Default 256 MiB.
    pub segment_size: ByteSize,
    /// Whether to open a log from the copy of its manifest if the manifest is damaged. Default
    /// false: opening fails and changes nothing.
    pub allow_fallback: bool,
    /// The number of entries that a task appends or reads before it lets other tasks run once. 0
    /// means no limit. Default 512.
    pub yield_every: u32,
    /// Whether to ask the system for huge pages. Default true.
    pub huge_pages: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(64),
            commit_every: None,
            commit_bytes: None,
            commits_in_flight: 1,
            backend: Backend::Auto,
            direct: true,
            depth: 256,
            io_threads: 16,
            page_size: None,
            segment_size: ByteSize::mib(256),
            allow_fallback: false,
            yield_every: 512,
            huge_pages: true,
        }
    }
}

macro_rules! setters {
    ($($setter:ident: $field:ident = $argument:ty => $value:expr;)+) => {$(
        #[doc = concat!("Sets [`Config::", stringify!($field), "`].")]
        #[must_use]
        pub fn $setter(mut self, $field: $argument) -> Self {
            self.$field = $value;
            self
        }
    )+};
}

impl Config {
    setters! {
        with_memory: memory = ByteSize => memory;
        with_commit_every: commit_every = impl Into<Option<Duration>> => commit_every.into();
        with_commit_bytes: commit_bytes = impl Into<Option<ByteSize>> => commit_bytes.into();
        with_commits_in_flight: commits_in_flight = u32 => commits_in_flight;
        with_backend: backend = Backend => backend;
        with_direct: direct = bool => direct;
        with_depth: depth = u32 => depth;
        with_io_threads: io_threads = u32 => io_threads;
        with_page_size: page_size = impl Into<Option<ByteSize>> => page_size.into();
        with_segment_size: segment_size = ByteSize => segment_size;
        with_allow_fallback: allow_fallback = bool => allow_fallback;
        with_yield_every: yield_every = u32 => yield_every;
        with_huge_pages: huge_pages = bool => huge_pages;
    }

    /// Returns settings for one of many logs ([`log::Group`](crate::log::Group)): 128 KiB of
    /// memory, pages of 4 KiB, files of 16 MiB, no huge pages.
    #[must_use]
    pub fn small() -> Self {
        Self {
            memory: ByteSize::kib(128),
            page_size: Some(ByteSize::kib(4)),
            segment_size: ByteSize::mib(16),
            huge_pages: false,
            ..Self::default()
        }
    }

    /// Reads settings from TOML. A missing key keeps its default. Sizes are checked when a log is
    /// opened.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| crate::config::refused("configuration", text, &error))
    }

    pub(crate) fn io(&self) -> Result<IoConfig> {
        let Self { depth, io_threads: threads, direct, .. } = *self;
        self.backend.io_with(IoConfig { depth, threads, direct, ..IoConfig::default() })
    }
}

/// The sizes that the engine computes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) page_bits: u32,
    pub(crate) frames: u32,
    pub(crate) unit_bytes: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) io_bytes: usize,
}

impl Geometry {
    /// Checks every setting against its bounds. `page_bytes` is the page size of an existing log.
    pub(crate) fn of(config: &Config, page_bytes: Option<u64>) -> Result<Self> {
        Self::named(config, page_bytes, MEMORY_SETTING)
    }

    /// As [`of`](Self::of), for an owner that has another name for the setting `memory`.
    pub(crate) fn named(
        config: &Config,
        page_bytes: Option<u64>,
        memory_setting: &str,
    ) -> Result<Self> {
        let memory = config.memory.bytes();
        within(memory_setting, memory, MEMORY)?;
        within("commits_in_flight", config.commits_in_flight.into(), IN_FLIGHT.map(u64::from))?;
        within("depth", config.depth.into(), DEPTH.map(u64::from))?;
        within("io_threads", config.io_threads.into(), IO_THREADS.map(u64::from))?;
        check_commits(config.commit_every, config.commit_bytes)?;
        let io = (memory / IO_PART).clamp(IO_BYTES[0], IO_BYTES[1]);
        let asked = page_bytes.or(config.page_size.map(ByteSize::bytes));
        let part = match memory {
            LARGE_PAGES_FROM.. => DEFAULT_PAGE_MAX,
            _ => (memory / DEFAULT_PAGES).max(PAGES[0]),
        };
        let page_bytes = asked.unwrap_or(1 << part.ilog2());
        within("page_size", page_bytes, PAGES)?;
        if !page_bytes.is_power_of_two() {
            return Err(Error::invalid(format!(
                "page_size = {page_bytes}: must be a power of two"
            )));
        }
        let frames = (memory - io) / page_bytes;
        if frames < FRAMES_MIN {
            let least = ByteSize::kib((FRAMES_MIN * page_bytes + io).div_ceil(1 << 10));
            return Err(Error::invalid(format!(
                "{memory_setting} = {}: must be at least {least} for {FRAMES_MIN} pages of {}",
                config.memory,
                ByteSize::new(page_bytes)
            )));
        }
        let segment_bytes = config.segment_size.bytes();
        within("segment_size", segment_bytes, [page_bytes, SEGMENT_MAX])?;
        if !segment_bytes.is_multiple_of(page_bytes) {
            let page = ByteSize::new(page_bytes);
            let message = format!(
                "segment_size = {}: must be a multiple of the page, {page}",
                config.segment_size
            );
            return Err(Error::invalid(message));
        }
        Ok(Self {
            page_bits: page_bytes.ilog2(),
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
            unit_bytes: UNIT_BYTES,
            segment_bytes,
            io_bytes: usize::try_from(io).expect("at most 32 MiB"),
        })
    }

    /// Returns the layout of entries in pages of these units.
    pub(crate) fn layout(units: Units) -> EntryLayout {
        let capacity = units.page_capacity();
        let inline = (capacity / 4).min(LARGEST_INLINE);
        assert!(SMALLEST_INLINE <= inline, "a frame has the room that records count on");
        EntryLayout { capacity, inline }
    }
}

fn within(field: &str, value: u64, [least, most]: [u64; 2]) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{field} = {value}: must be between {least} and {most}")))
}
