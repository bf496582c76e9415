//! The recovery of an image of the index into an index of another size.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use kvick::FasterKv;
use kvick::config::ByteSize;
use kvick::runtime::block_on;

use super::{Subject, take, verify};
use crate::load::load;
use crate::payload::Payload;
use crate::runtimes::{Executor, RuntimeKind};

/// Bytes of a bucket of the index.
const BUCKET_BYTES: u64 = 128;

/// Bytes of a page. Small pages need little memory besides the index.
const PAGE: ByteSize = ByteSize::kib(256);

/// Memory of an opened store besides its index. It is small, because an opening also reads the
/// pages that fit into memory.
const LOG_MEMORY: u64 = 16 << 20;

/// A number of buckets, in relation to the index of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As many buckets.
    Same,
    /// Four times as many buckets.
    Larger,
    /// A quarter of the buckets.
    Smaller,
}

impl Size {
    /// All sizes. The first is the base of the ratios.
    pub const ALL: [Self; 3] = [Self::Same, Self::Larger, Self::Smaller];

    /// Returns the name of the size.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same size",
            Self::Larger => "4x larger",
            Self::Smaller => "4x smaller",
        }
    }

    fn of(self, buckets: u64) -> u64 {
        match self {
            Self::Same => buckets,
            Self::Larger => buckets * 4,
            Self::Smaller => buckets / 4,
        }
    }
}

/// One recovery.
#[derive(Clone, Copy, Debug)]
pub struct Resized {
    /// The size of the index that was opened.
    pub size: Size,
    /// The number of buckets that it has.
    pub buckets: u64,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// Bytes of the log that were read after the image.
    pub replayed_bytes: u64,
    /// The time of recovery within the opening, as the store counts it.
    pub recovered_in: Duration,
    /// The number of checked records that were missing or wrong.
    pub unsound: u64,
}

/// Loads a store in the fresh directory `path`, takes a checkpoint with an image of the index, and
/// recovers from it `runs` times into each size of index. The sizes take turns.
///
/// # Errors
///
/// Returns the first error of the store.
pub fn measure<V: Payload + ?Sized>(
    subject: &Subject,
    path: &Path,
    runs: u64,
) -> Result<Vec<Resized>, Box<dyn Error>> {
    let mut config = subject.config.clone();
    // So small that an index with a quarter of the buckets is above the minimum.
    config.index_min = Some(ByteSize::new(subject.load.records.max(4096)));
    config.page_size = Some(PAGE);
    let store: FasterKv<u64, V> = block_on(FasterKv::open(path, config.clone()))?;
    let executor = Executor { kind: RuntimeKind::Builtin, threads: 1 };
    load(&store, executor, subject.load)?;
    block_on(async {
        take(&store, subject.kind, true).await?;
        let buckets = store.stats().index.buckets;
        store.close().await?;
        drop(store);
        let mut found = Vec::new();
        for size in (0..runs).flat_map(|_| Size::ALL) {
            let wanted = size.of(buckets).max(1);
            let memory = ByteSize::new(wanted * BUCKET_BYTES + LOG_MEMORY);
            let config = config.clone().with_index_buckets(wanted).with_memory(memory);
            let store: FasterKv<u64, V> = FasterKv::open(path, config).await?;
            let report = store.recovery().ok_or("the store was not found again")?;
            let unsound = verify(&store, subject.load).await?;
            let buckets = store.stats().index.buckets;
            if buckets != wanted {
                return Err(format!("the index has {buckets} buckets, not {wanted}").into());
            }
            found.push(Resized {
                size,
                buckets,
                image_bytes: report.image_bytes,
                replayed_bytes: report.replayed_bytes,
                recovered_in: report.took,
                unsound,
            });
            store.close().await?;
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use kvick::Config;

    use super::*;
    use crate::checkpoints::Kind;
    use crate::load::Load;
    use crate::scratch::Scratch;

    #[test]
    fn every_record_is_found_in_each_size_of_index() {
        let scratch = Scratch::new(&std::env::temp_dir(), "resized").unwrap();
        let config = Config::default().with_checkpoint_on_close(false);
        let load = Load { records: 20_000, value_bytes: 8 };
        let subject = Subject { config, load, kind: Kind::Snapshot, with_index: true };
        let found = measure::<u64>(&subject, scratch.path(), 2).unwrap();
        let sizes: Vec<Size> = found.iter().map(|it| it.size).collect();
        assert_eq!(sizes, [Size::ALL, Size::ALL].concat());
        assert!(found.iter().all(|it| it.unsound == 0 && it.image_bytes > 8 * 20_000));
        let [same, larger, smaller] = [0, 1, 2].map(|place: usize| found[place].buckets);
        assert_eq!([larger, smaller], [same * 4, same / 4]);
    }
}
