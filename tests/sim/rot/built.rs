//! A small store with checkpoints of every kind, as raw files.

use std::collections::BTreeMap;
use std::ops::Range;

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::io::sim::Random;
use kvick::runtime::{Handle, Simulation};
use kvick::{Config, FasterKv, Result, checkpoint, recovery};
use tests::crowd::CROWD;
use tests::files::{Contents, Files};
use tests::model::item;
use tests::samples::{SampleKey, SampleValue};

/// The number of written keys, and of some that the store never had.
pub(super) const KEYS: u64 = 220;
const WRITTEN: u64 = 200;
const PAGE: usize = 4 << 10;
const SEGMENT: usize = 2 * PAGE;
const UNIT: usize = 512;
const PAYLOAD: usize = 504;

/// The kind of the newest checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    FoldOver,
    Snapshot,
    Incremental,
}

pub(super) const KINDS: [Newest; 3] = [Newest::FoldOver, Newest::Snapshot, Newest::Incremental];

/// The files of a store, and the contents of its checkpoints.
#[derive(Debug)]
pub(super) struct Built<V: SampleValue + ?Sized> {
    pub(super) config: Config,
    /// The files after the newest checkpoint and a few more operations, which no checkpoint has.
    pub(super) files: Files,
    /// The files after each checkpoint.
    pub(super) before: Vec<Files>,
    /// The contents of each checkpoint, by token.
    pub(super) states: BTreeMap<u64, Contents<V>>,
}

/// Returns a configuration with small sizes, which keeps all checkpoints.
pub(super) fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(8))
        .with_index_buckets(4)
        .with_huge_pages(false)
        .with_keep_checkpoints(16)
        .with_checkpoint_on_close(false)
}

/// Builds a store. Another seed builds a different one.
pub(super) fn build<K, V>(newest: Newest, seed: u64) -> Built<V>
where
    K: SampleKey + ?Sized,
    V: SampleValue + ?Sized,
{
    let simulation = Simulation::new(seed);
    let handle = simulation.handle();
    let built = simulation.run(Builder::<K, V>::build(newest, seed, handle));
    built.expect("memory")
}

struct Builder<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    directory: MemoryDirectory,
    store: FasterKv<K, V>,
    random: Random,
    contents: Contents<V>,
    built: Built<V>,
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Builder<K, V> {
    async fn build(newest: Newest, seed: u64, handle: Handle) -> Result<Built<V>> {
        let directory = MemoryDirectory::new();
        let store = FasterKv::builder(config())
            .runtime(handle)
            .directory(std::sync::Arc::new(directory.clone()))
            .seed(seed)
            .open_in_directory()
            .await?;
        let built = Built {
            config: config(),
            files: Files::default(),
            before: Vec::new(),
            states: BTreeMap::new(),
        };
        let random = Random::new(seed);
        let contents = BTreeMap::new();
        let mut builder = Self { directory, store, random, contents, built };
        builder.write(1).await?;
        if newest == Newest::FoldOver {
            builder.pass_through().await?;
        }
        builder.checkpoint(checkpoint::Kind::FoldOver).await?;
        builder.write(4).await?;
        builder.checkpoint(checkpoint::Kind::Snapshot).await?;
        builder.write(9).await?;
        builder.checkpoint(checkpoint::Kind::Incremental).await?;
        builder.checkpoint(checkpoint::Kind::IndexOnly).await?;
        builder.write(13).await?;
        builder.checkpoint(checkpoint::Kind::Incremental).await?;
        match newest {
            Newest::FoldOver => {
                builder.write(17).await?;
                builder.checkpoint(checkpoint::Kind::FoldOver).await?;
            }
            Newest::Snapshot => {
                builder.write(17).await?;
                builder.checkpoint(checkpoint::Kind::Snapshot).await?;
            }
            Newest::Incremental => {}
        }
        let Self { directory, store, mut built, .. } = builder;
        for number in 0..WRITTEN / 10 {
            store.delete(item::<K>(&K::numbered(number * 7))).await?;
        }
        store.flush().await?;
        built.files = Files::of(&directory).await;
        Ok(built)
    }

    /// Writes every `step`th key, and deletes one of them.
    async fn write(&mut self, step: u64) -> Result<()> {
        for number in (0..WRITTEN).filter(|number| number.is_multiple_of(step)) {
            let value = V::sample(&mut self.random, 60);
            let key = K::numbered(number);
            self.store.upsert(item::<K>(&key), item::<V>(&value)).await?;
            self.contents.insert(number, value);
        }
        self.store.delete(item::<K>(&K::numbered(step))).await?;
        self.contents.remove(&step);
        Ok(())
    }

    /// Creates so many sessions that their commit points need a file.
    async fn pass_through(&mut self) -> Result<()> {
        for _ in 0..CROWD {
            let mut session = self.store.session()?;
            let _id = session.id();
            session.delete(item::<K>(&K::numbered(KEYS - 1))).await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, kind: checkpoint::Kind) -> Result<()> {
        let taken = self.store.checkpoint().kind(kind).with_index().await?;
        assert_eq!(taken.kind, kind);
        if kind != checkpoint::Kind::IndexOnly {
            self.built.states.insert(taken.token.version(), self.contents.clone());
        }
        self.built.before.push(Files::of(&self.directory).await);
        Ok(())
    }
}

impl<V: SampleValue + ?Sized> Built<V> {
    /// Returns the token of the newest checkpoint.
    pub(super) fn newest(&self) -> u64 {
        *self.states.last_key_value().expect("checkpoints were taken").0
    }

    /// Returns the contents of the recovered checkpoint.
    pub(super) fn state(&self, report: &recovery::Report) -> &Contents<V> {
        let token = report.chosen.expect("a checkpoint was recovered").version();
        &self.states[&token]
    }

    /// Returns the devices that the newest checkpoint needs according to the manifest, except the
    /// log. Each has the offset of its first unit or block that a recovery reads.
    pub(super) fn used(&self) -> BTreeMap<String, usize> {
        let text = self.files.manifest();
        let newest = text.rsplit("[[checkpoints]]").next().expect("there is a newest one");
        let newest = newest.split("[[indexes]]").next().expect("the first part");
        let (mut used, mut kind) = (BTreeMap::new(), "");
        let (mut device, mut flushed) = (String::new(), 0);
        for line in newest.lines() {
            let number = |text: &str| text.parse::<usize>().expect("a number");
            match line.split_once(" = ") {
                Some(("index", token)) => drop(used.insert(format!("index-{token}"), 0)),
                Some(("flushed", address)) => flushed = number(address),
                Some(("token", token)) if !kind.is_empty() => {
                    device = format!("{kind}-{token}");
                    used.insert(device.clone(), 0);
                }
                Some(("from", address)) => {
                    let (page, read) = (number(address) / PAGE, number(address).max(flushed));
                    let first = (read / PAGE - page) * PAGE + read % PAGE / PAYLOAD * UNIT;
                    used.insert(device.clone(), first);
                }
                _ if line.contains("parts]]") => kind = "part",
                _ if line.contains("deltas]]") => kind = "delta",
                _ if line.contains("point_files]]") => kind = "sessions",
                _ => {}
            }
        }
        used
    }

    /// Returns the bytes of a file that the newest checkpoint needs. These are the whole manifest,
    /// the whole files beside the log, and the newest values in the log.
    pub(super) fn vital(&self, name: &str) -> Vec<Range<usize>> {
        let bytes = &self.files.0[name];
        if name == "manifest" {
            return std::iter::once(0..bytes.len()).collect();
        }
        let (device, segment) = name.split_once('.').unwrap_or((name, ""));
        if let Some(first) = self.used().get(device) {
            let segment: usize = segment.parse().expect("a segment has a number");
            let first = first.saturating_sub(segment * SEGMENT);
            return std::iter::once(first.min(bytes.len())..bytes.len()).collect();
        }
        if device != "log" {
            return Vec::new();
        }
        let values = &self.states[&self.newest()];
        let mut vital = Vec::new();
        for value in values.values() {
            let wanted = V::stored(value);
            if wanted.len() >= 8 && !self.is_beside_the_log(&wanted) {
                vital.extend(places(bytes, &wanted));
            }
        }
        vital
    }

    fn is_beside_the_log(&self, wanted: &[u8]) -> bool {
        let used = self.used();
        self.files.0.iter().any(|(name, bytes)| {
            let device = name.split('.').next().expect("a first part");
            used.contains_key(device) && bytes.windows(wanted.len()).any(|bytes| bytes == wanted)
        })
    }
}

/// Returns the places of `wanted` in a file, each within one unit.
fn places(bytes: &[u8], wanted: &[u8]) -> Vec<Range<usize>> {
    let units = bytes.chunks(UNIT).enumerate();
    let found = units.flat_map(|(unit, bytes)| {
        let payload = &bytes[..bytes.len().min(PAYLOAD)];
        let places = payload.windows(wanted.len()).enumerate();
        let places = places.filter(|(_, window)| *window == wanted);
        places.map(move |(at, _)| unit * UNIT + at..unit * UNIT + at + wanted.len())
    });
    found.collect()
}
