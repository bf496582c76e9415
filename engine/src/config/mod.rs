//! The settings of a store: data, checked once.
//!
//! Users write a [`Config`], in code or in TOML; the engine computes with a `Geometry`. No other
//! code reads a size out of a `Config`.

mod backend;
mod byte_size;
mod geometry;
pub(crate) mod index_sizes;
mod page_sizes;
pub(crate) mod space_sizes;
mod wal_sizes;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::backend::Backend;
pub use self::byte_size::ByteSize;
pub(crate) use self::geometry::{Geometry, buffer_share, largest_memory, least_page_share};
pub use self::wal_sizes::{Acknowledge, DurableBy};
pub(crate) use self::wal_sizes::{COMMIT_BYTES, ENTRY_HEAD, check_commits};
use crate::base::error::{Error, Result};
use crate::base::kinds::CheckpointKind;

/// The settings of a store. `memory` is the main setting; the other defaults follow from it.
///
/// Make one by `Config::default()` and the `with_*` functions, or read it from TOML. Sizes are a
/// [`ByteSize`] in code, and text such as `"256MiB"` in TOML.
///
/// The sizes of an existing store stay: `page_size` must be the same or absent; `segment_size` is
/// ignored. All other settings may change at each opening.
///
/// ```
/// use kvick::Config;
/// use kvick::config::ByteSize;
///
/// let config = Config::default().with_memory(ByteSize::gib(2)).with_expected_keys(50_000_000);
///
/// let same = Config::from_toml("memory = '2GiB'\nexpected_keys = 50_000_000")?;
/// assert_eq!(config, same);
/// # Ok::<(), kvick::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    // The resources of the store.
    /// The memory that the store may take: index, sessions, log pages and I/O buffers together.
    ///
    /// It is 64 KiB to 16 TiB; [`FasterKv::set_memory`](crate::FasterKv::set_memory) changes it
    /// later. When the index grows, log pages leave memory, down to an eighth of `memory`. Records
    /// that do not fit are read from the device.
    ///
    /// The limit of the creation holds for any number of keys, from 2 MiB on. A new store gets a
    /// number of prefixes of hashes, one for 16 to 32 bytes of `memory`, and keeps it for life. It
    /// takes up to 13 bytes of index for each. Keys of one prefix form a chain, so a store with far
    /// more keys reads several records to find one. Create a store that will get more memory later
    /// with a larger [`index_max`](Self::index_max).
    ///
    /// A store with less memory than at its creation may exceed the limit: as its keys come, the
    /// index still grows up to its prefixes. Create a store that will keep less memory with a
    /// smaller [`index_max`](Self::index_max). An opening with less than the
    /// [floor](crate::stats::MemoryBytes::floor) is accepted, and exceeds the limit at once. It is
    /// refused without room for two pages and for the minimum of the index.
    /// Default: 256 MiB.
    pub memory: ByteSize,
    /// The largest memory that [`FasterKv::set_memory`](crate::FasterKv::set_memory) accepts, from
    /// `memory` to 16 TiB.
    ///
    /// Only address space is reserved for it, and less if the system refuses so much. So the
    /// virtual size of the process is larger than its memory. Set it to `memory` in a process that
    /// locks its memory (`mlockall`). On systems other than Unix it is memory. Default: 16 times
    /// `memory` on Unix, else `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<ByteSize>,
    /// The part of `memory` for records that were read from the device, so that later reads of
    /// their keys need no device. At most `memory`.
    ///
    /// The cache keeps what is read for the second time. It takes memory from the log pages as it
    /// fills, and leaves them at least an eighth of `memory`. A result takes about 100 bytes more
    /// than its record, so larger records use the memory better; one that takes more than a 64th of
    /// the cache is not kept. It serves loads that read some keys much more often than they write
    /// them. Where all keys are read alike it costs a few percent; `0` turns it off.
    ///
    /// [`CacheHits::read_cache`](crate::stats::CacheHits::read_cache) counts its use. A
    /// [cache](Self::cache) has none: it moves what is read to the front of its log. A
    /// [reader](crate::reader) has none either. Default: an eighth of `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_cache: Option<ByteSize>,
    /// The space that all files of the store may take on the device: a hard limit.
    ///
    /// With it the store [compacts](crate::compaction) by itself. Writers that are faster than
    /// compaction wait. They get [`StorageFull`](crate::ErrorKind::StorageFull) only if the live
    /// data fill the budget, or if scans hold compaction up for too long; the guide
    /// [explains](crate::guide::running#a-full-budget) this. Compaction takes checkpoints, of
    /// [`checkpoint_kind`](Self::checkpoint_kind). A new store takes files of at most a 32nd of it.
    ///
    /// The write-ahead log of [`durability`](Self::durability) is outside of it, and has its own
    /// [`wal_size`](Self::wal_size).
    ///
    /// Lengths of files count, and each begun page of the log as a whole. A budget must have room
    /// for the copies of one file of the log, and some pages; the opening is refused otherwise. A
    /// store that has more data than a new budget opens. It takes no more space then, apart from
    /// pages for copies and deletions, until it is within the budget. Many new sessions between two
    /// checkpoints, or an index that grows by a fifth while its image is written, may exceed the
    /// budget by their bytes, until the end of the next checkpoint. Default: none;
    /// [`compact`](crate::FasterKv::compact) does it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// The log may take this many times the bytes of its live records, 1.1 to 1000.
    ///
    /// With it the store [compacts](crate::compaction) by itself, an eighth of the log at a time,
    /// and takes checkpoints, of [`checkpoint_kind`](Self::checkpoint_kind). Nothing is done before
    /// the log is longer than one and a half of its files, so choose
    /// [`segment_size`](Self::segment_size) for a small store. What is live is estimated: the
    /// entries of the index, with records as long as those that were live in recent rounds. A
    /// smaller ratio costs more writes: overwritten evenly, a store writes each byte about
    /// `ratio / (ratio - 1)` times at most.
    ///
    /// Keys that have expired, and cold keys that were removed, count as live until a round meets
    /// them. So a small round looks at the oldest part when the log has grown by this ratio since
    /// the last round, or when many keys were removed. If hardly anything there is live, further
    /// rounds follow. When removals have stopped for a second, the store looks at some keys to
    /// estimate what is live, and gets within the ratio though nothing is written any more. What
    /// expires in a store that is not written stays until then.
    ///
    /// No round begins while a scan is in progress. If one has waited for 5 seconds, new scans wait
    /// for it, for a minute at first, and then for longer each time.
    ///
    /// Checkpoints keep the estimate, so later openings go on with it. A store that is opened with
    /// a ratio for the first time compacts when the log has grown by a 16th, over any number of
    /// openings.
    ///
    /// It is no limit: writers do not wait. [`disk`](Self::disk) is one, and may be set as well. A
    /// [cache](Self::cache) ignores it. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space_ratio: Option<f64>,
    /// Makes the store a cache: a key that was not used for long may be absent.
    ///
    /// A cache keeps the newest records, within [`memory`](Self::memory) and `disk`. It drops the
    /// oldest records, and so their keys are absent; a read of an old record moves it to the front
    /// again, unless a scan is in progress. [`Config::cache`] has fitting settings.
    ///
    /// Without `disk` a cache keeps nothing that leaves memory. Then it opens no directory and no
    /// file, each opening is empty, and there are no scans.
    ///
    /// With `disk` all files stay within that space, as those of other stores do, and nothing is
    /// compacted. Writers that are faster than the device wait. They get
    /// [`StorageFull`](crate::ErrorKind::StorageFull) only if scans or a backup hold dropping up
    /// for [too long](crate::guide::running#a-full-budget), or if the device is full. The cache
    /// takes no checkpoints of its own, unless one was requested before. Then files go only with a
    /// newer one, and older ones than that are given up if they pin files. A cache is empty when it
    /// is opened again, unless there is a checkpoint. Choose a `disk` that is larger than `memory`,
    /// which is of no use otherwise.
    ///
    /// It is a choice of each opening: an existing store may be opened as a cache, and then loses
    /// its oldest records. Default: false.
    pub cache: bool,
    /// The number of different keys for which the index has space at first, at 12 to 13 bytes each.
    ///
    /// It may change at each opening, and need not be exact: the index grows and shrinks with the
    /// keys, but keeps room for these. An opening fails if `memory` has no room for them. Default:
    /// few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_keys: Option<u64>,

    // Settings of I/O.
    /// The backend that performs I/O. Default: `auto`.
    pub backend: Backend,
    /// Bypasses the page cache of the system where the file system can, so that the store takes no
    /// memory beyond `memory`. Default: true.
    pub direct: bool,
    /// The limit of I/O operations in flight at once, 2 to 16384. Default: 256.
    pub depth: u32,
    /// The threads of the backend `threads`, 1 to 1024; other backends have none. Default: 16.
    pub io_threads: u32,

    // Settings of durability.
    /// The cause that makes operations durable: `checkpoint`, or `wal`. Default: `checkpoint`.
    ///
    /// With `wal` the store has a write-ahead log beside its checkpoints. An operation is durable
    /// when [`durable`](crate::futures::Upsert::durable) or
    /// [`sync`](crate::FasterKv::sync) returns, and others by [`commit_every`](Self::commit_every).
    /// An opening recovers the newest checkpoint, and repeats the operations after it. A store that
    /// has a write-ahead log must be opened with `wal` from then on, until it
    /// [recovers](crate::Builder::recover) a checkpoint by its token without one. That gives up the
    /// operations after the checkpoint.
    pub durability: DurableBy,
    /// The moment at which writes are ready: `memory`, or `durable` in a store with a write-ahead
    /// log. Default: `memory`.
    ///
    /// With `durable`, each write waits for a commit, which writes of many tasks share. A batch
    /// waits once, at its end. Single writes can choose: see
    /// [`durable`](crate::futures::Upsert::durable) and
    /// [`in_memory`](crate::futures::Upsert::in_memory).
    pub acknowledge: Acknowledge,
    /// The directory of the write-ahead log, on another device for example. Default: `wal` in the
    /// directory of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wal_directory: Option<PathBuf>,
    /// The memory of the write-ahead log, beside [`memory`](Self::memory), 256 KiB to 64 GiB.
    ///
    /// Writers wait for the device when entries that are not yet written fill it. The longest value
    /// takes about three eighths of it. Default: 32 MiB.
    pub wal_memory: ByteSize,
    /// Takes a checkpoint when the write-ahead log has grown by this much since the last one, 16
    /// KiB to 256 TiB. Default: 1 GiB.
    ///
    /// The entries go that no [kept](Self::keep_checkpoints) checkpoint needs, a whole file at a
    /// time. So the log takes about this much for each kept checkpoint, and once more, and
    /// [`wal_keep`](Self::wal_keep) if that is more. If the device of the log is full before, a
    /// checkpoint is taken, too, and only the newest one keeps entries. Older ones are recovered by
    /// their tokens alone from then on.
    pub wal_size: ByteSize,
    /// The bytes at the end of the write-ahead log that stay for
    /// [readers of changes](crate::FasterKv::changes), also when no checkpoint needs them, up to
    /// 256 TiB. So it says how far a reader may lag. Default: 0.
    pub wal_keep: ByteSize,
    /// Makes the operations in the write-ahead log durable this long after the last time: `"10ms"`.
    ///
    /// After a crash, no more than about the operations of this time are lost. Without it they wait
    /// for a `sync`, a durable operation or a checkpoint. Default: `"1s"`.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub commit_every: Option<Duration>,
    /// Makes the operations in the write-ahead log durable when they have this many bytes. Default:
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_bytes: Option<ByteSize>,
    /// Takes a checkpoint this long after the last one, if anything has changed: `"30s"`, `"5min"`.
    ///
    /// If a checkpoint fails, [`FasterKv::health`](crate::FasterKv::health) reports it until
    /// another succeeds. Default: only on request.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<Duration>,
    /// Takes a checkpoint when the log has grown by this much since the last one. Default: only on
    /// request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_log_growth: Option<ByteSize>,
    /// The kind of automatic checkpoints, also of those after compaction. The one taken by `close`
    /// is a fold-over. Default: `auto`.
    ///
    /// All automatic checkpoints survive power cuts: their
    /// [`Durability`](crate::checkpoint::Durability) is no setting.
    pub checkpoint_kind: CheckpointKind,
    /// Takes a checkpoint of all changes since the last one when the store is closed.
    ///
    /// Otherwise changes that no checkpoint has are lost when the store is closed, unless it has a
    /// write-ahead log. Default: true.
    pub checkpoint_on_close: bool,
    /// The number of checkpoints that are kept, 1 to 1024.
    ///
    /// Older checkpoints are removed when a newer one is durable. Default: 2.
    pub keep_checkpoints: u32,
    /// Opens a store with an older checkpoint if its newest checkpoint is damaged.
    ///
    /// Such a store has less than was durable; [`FasterKv::recovery`](crate::FasterKv::recovery)
    /// reports the loss. This applies only to damage or loss on the medium. The files of the
    /// damaged checkpoint are kept for one more opening. An error of the system always ends the
    /// opening. Default: false: opening fails, and no file changes.
    pub allow_fallback: bool,

    // Limits of values.
    /// The longest accepted value in bytes, up to 1 GiB.
    ///
    /// Values of more than a quarter of a page or 256 KiB are stored in pieces. In pages of at most
    /// 64 KiB, values of more than half of a page are. Tiny pages lower this limit further.
    /// Default: 64 MiB.
    ///
    /// An operation on a value in pieces takes memory beyond [`memory`](Self::memory). `upsert` and
    /// `read_with` take the length of the value, `read` twice that including its answer, and `rmw`
    /// three times.
    pub max_value: ByteSize,

    // Settings that rarely need a change.
    /// The bytes of a log page, a power of two, 4 KiB to 32 MiB.
    ///
    /// It is fixed when a store is created: an existing store opens only without this setting, or
    /// with the same size. A page is flushed as a whole, and no record crosses its end. Two pages
    /// must fit in the memory of every opening. Default: at most 1/32 of the log's memory at the
    /// creation, at least 4 KiB and at most 4 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<ByteSize>,
    /// The share of the pages in memory whose records are updated in place, 0.0 to 0.95.
    ///
    /// Records of the other pages are copied to the tail when they change. A smaller share keeps
    /// more recently read, unchanged records in memory. Default: 0.9.
    pub mutable_fraction: f64,
    /// The bytes of one file of the log, a multiple of the page size.
    ///
    /// It is fixed when a store is created, and ignored for an existing store. Space on the device
    /// is freed a whole file at a time. Default: 1 GiB.
    pub segment_size: ByteSize,
    /// The exact number of index buckets, for tests: the index does not grow or shrink. It
    /// overrides the other settings of the index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_buckets: Option<u64>,
    /// The minimum bytes of the index, 128 B to 16 TiB. The index never shrinks below it.
    ///
    /// It must fit in `memory` beside an eighth for pages, at least two. The minimum is also at
    /// least 128 bytes for each 131,072 prefixes of the store. Default: 1/128 of `memory`, at most
    /// 32 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_min: Option<ByteSize>,
    /// The maximum bytes of the index, 128 B to 16 TiB, in place of 13/16 of `memory`.
    ///
    /// A new store gets the largest power of two of prefixes that fits in it at 13 bytes each, and
    /// at least 131,072. Set it at the creation of a store that will get more or less
    /// [memory](Self::memory) later, to 13/16 of that memory. It may exceed `memory`.
    ///
    /// The prefixes of an existing store do not change. There it only limits the number of buckets,
    /// which become longer then. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_max: Option<ByteSize>,
    /// The number of operations that a session answers from memory before it yields once to other
    /// tasks.
    ///
    /// A session never yields if it is 0. Default: 512.
    pub yield_every: u32,
    /// Asks the system for huge pages. Default: true.
    pub huge_pages: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            memory_max: None,
            read_cache: None,
            disk: None,
            space_ratio: None,
            cache: false,
            expected_keys: None,
            backend: Backend::Auto,
            direct: true,
            depth: 256,
            io_threads: 16,
            durability: DurableBy::Checkpoint,
            acknowledge: Acknowledge::Memory,
            wal_directory: None,
            wal_memory: ByteSize::mib(32),
            wal_size: ByteSize::gib(1),
            wal_keep: ByteSize::new(0),
            commit_every: Some(Duration::from_secs(1)),
            commit_bytes: None,
            checkpoint_every: None,
            checkpoint_log_growth: None,
            checkpoint_kind: CheckpointKind::Auto,
            checkpoint_on_close: true,
            keep_checkpoints: 2,
            allow_fallback: false,
            max_value: ByteSize::mib(64),
            page_size: None,
            mutable_fraction: 0.9,
            segment_size: ByteSize::gib(1),
            index_buckets: None,
            index_min: None,
            index_max: None,
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
        with_memory_max: memory_max = impl Into<Option<ByteSize>> => memory_max.into();
        with_read_cache: read_cache = impl Into<Option<ByteSize>> => read_cache.into();
        with_disk: disk = impl Into<Option<ByteSize>> => disk.into();
        with_space_ratio: space_ratio = impl Into<Option<f64>> => space_ratio.into();
        with_cache: cache = bool => cache;
        with_expected_keys: expected_keys = impl Into<Option<u64>> => expected_keys.into();
        with_backend: backend = Backend => backend;
        with_direct: direct = bool => direct;
        with_depth: depth = u32 => depth;
        with_io_threads: io_threads = u32 => io_threads;
        with_durability: durability = DurableBy => durability;
        with_acknowledge: acknowledge = Acknowledge => acknowledge;
        with_wal_directory: wal_directory = impl Into<Option<PathBuf>> => wal_directory.into();
        with_wal_memory: wal_memory = ByteSize => wal_memory;
        with_wal_size: wal_size = ByteSize => wal_size;
        with_wal_keep: wal_keep = ByteSize => wal_keep;
        with_commit_every: commit_every = impl Into<Option<Duration>> => commit_every.into();
        with_commit_bytes: commit_bytes = impl Into<Option<ByteSize>> => commit_bytes.into();
        with_checkpoint_every: checkpoint_every = impl Into<Option<Duration>>
            => checkpoint_every.into();
        with_checkpoint_log_growth: checkpoint_log_growth = impl Into<Option<ByteSize>>
            => checkpoint_log_growth.into();
        with_checkpoint_kind: checkpoint_kind = CheckpointKind => checkpoint_kind;
        with_checkpoint_on_close: checkpoint_on_close = bool => checkpoint_on_close;
        with_keep_checkpoints: keep_checkpoints = u32 => keep_checkpoints;
        with_allow_fallback: allow_fallback = bool => allow_fallback;
        with_max_value: max_value = ByteSize => max_value;
        with_page_size: page_size = impl Into<Option<ByteSize>> => page_size.into();
        with_mutable_fraction: mutable_fraction = f64 => mutable_fraction;
        with_segment_size: segment_size = ByteSize => segment_size;
        with_index_buckets: index_buckets = impl Into<Option<u64>> => index_buckets.into();
        with_index_min: index_min = impl Into<Option<ByteSize>> => index_min.into();
        with_index_max: index_max = impl Into<Option<ByteSize>> => index_max.into();
        with_yield_every: yield_every = u32 => yield_every;
        with_huge_pages: huge_pages = bool => huge_pages;
    }

    /// Returns the settings of a [cache](Self::cache) in memory; with [`disk`](Self::disk) it
    /// continues on the device.
    ///
    /// It takes no checkpoint when it is closed, keeps one, and updates records in place in half of
    /// its memory: records in the other half move to the front when they are read.
    ///
    /// ```
    /// use kvick::Config;
    /// use kvick::config::ByteSize;
    ///
    /// let in_memory = Config::cache().with_memory(ByteSize::mib(16));
    /// let with_disk = Config::cache().with_disk(ByteSize::gib(10));
    /// assert!(in_memory.cache && in_memory.disk.is_none() && with_disk.cache);
    /// ```
    #[must_use]
    pub fn cache() -> Self {
        Self::default()
            .with_cache(true)
            .with_checkpoint_on_close(false)
            .with_keep_checkpoints(1)
            .with_mutable_fraction(0.5)
    }

    /// Returns whether the store keeps nothing that leaves memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.cache && self.disk.is_none()
    }

    /// Reads settings from TOML.
    ///
    /// Missing settings keep their defaults. Sizes are checked when a store is opened.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) with the line, if `text` is not TOML,
    /// has an unknown key or a value of the wrong type.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| refused("configuration", text, &error))
    }

    /// Reads settings from a TOML file. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// As for [`Config::from_toml`]; [`Io`](crate::ErrorKind::Io) if the file cannot be read.
    pub fn from_toml_file(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io(format!("reading {name}"), error))?;
        toml::from_str(&text).map_err(|error| refused(&name, &text, &error))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl Config {
    /// Returns the settings of a store with few small pages in small files.
    pub(crate) fn tiny() -> Self {
        Self::default()
            .with_memory(ByteSize::kib(128))
            .with_page_size(ByteSize::kib(4))
            .with_segment_size(ByteSize::kib(8))
            .with_huge_pages(false)
    }
}

#[cold]
pub(crate) fn refused(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count();
    Error::invalid(format!("{name}, line {line}: {}", error.message()))
}
