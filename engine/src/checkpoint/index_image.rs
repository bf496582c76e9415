//! The image of the index in a file.

use super::catalog::{Catalog, INDEX};
use super::manifest::IndexImage;
use super::progress::Progress;
use super::stream::{Seal, StreamWriter};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::hash_index::HashIndex;
use crate::store::Core;
use kvick_io::{BufPool, Device};
use kvick_runtime::Handle;
use std::ops::Range;

/// Words that are copied between two looks at whether there is a block to write.
const WORDS_AT_ONCE: u64 = 4096;
/// Buckets whose overflow is copied between two such looks.
const BUCKETS_AT_ONCE: u64 = 512;

/// What seals the image that checkpoint `token` writes.
pub(crate) fn seal(salt: u64, token: u64) -> Seal {
    Seal { salt, what: b"index", token }
}

/// Writes an image of the index as it is now or a little later, and makes it durable, whatever its
/// checkpoint is to survive: later ones may use it.
pub(super) async fn write(
    core: &Core,
    catalog: &Catalog,
    handle: &Handle,
    token: u64,
    progress: &Progress,
) -> Result<IndexImage> {
    let start = core.log.tail_address();
    // Whoever appended below has linked, or given up: what the copy misses is in the log from
    // `start` on.
    let epoch = core.log.epoch().bump();
    core.log.epoch().drained(epoch, handle).await;

    let device = catalog.device(INDEX, token, true).await?;
    let seal = seal(catalog.manifest().store.salt.0, token);
    let written = |bytes| progress.wrote(bytes);
    let (buffers, budget) = core.log.buffers();
    let mut writer = StreamWriter::new(&*device, buffers, seal, budget, written);
    let index = &core.index;
    let words = HashIndex::table_words(index.buckets());
    for range in steps(words, WORDS_AT_ONCE) {
        index.copy_table(range, writer.pending());
        writer.go_on().await?;
    }
    for range in steps(index.buckets(), BUCKETS_AT_ONCE) {
        range.for_each(|bucket| index.copy_overflow(bucket, writer.pending()));
        writer.go_on().await?;
    }
    let stream = writer.finish().await?;
    let end = core.log.tail_address();
    core.sync_file(&*device).await?;
    let buckets = index.buckets();
    Ok(IndexImage { start: start.raw(), end: end.raw(), buckets, stream })
}

/// `0..end` in parts of `step`.
fn steps(end: u64, step: u64) -> impl Iterator<Item = Range<u64>> {
    (0..end.div_ceil(step)).map(move |number| number * step..end.min((number + 1) * step))
}

/// Brings the index of an image back.
///
/// # Errors
/// `Corrupt` if it is not what was written, or leads beyond `end`.
pub(crate) async fn read(
    image: &IndexImage,
    index: &HashIndex,
    device: &dyn Device,
    buffers: &BufPool,
    seal: Seal,
) -> Result<()> {
    assert_eq!(index.buckets(), image.buckets, "an image fits one size");
    let mut loader = Loader::new(image);
    image
        .stream
        .read(device, buffers, seal, |contents| {
            let is_sound = contents.len().is_multiple_of(8) && loader.take_in(index, contents);
            if is_sound { Ok(()) } else { Err(unsound(device)) }
        })
        .await?;
    if loader.is_complete() { Ok(()) } else { Err(unsound(device)) }
}

#[cold]
fn unsound(device: &dyn Device) -> Error {
    let (file, _) = device.locate(0);
    Error::corrupt("the image of the index", &file, 0, 1, 0)
}

/// Where in an image the next word is.
struct Loader {
    end: Address,
    table_words: u64,
    next: u64,
    /// The bucket of an overflow run, and how many of its entries are to come.
    run: Option<(u64, Option<u64>)>,
}

impl Loader {
    fn new(image: &IndexImage) -> Self {
        let table_words = HashIndex::table_words(image.buckets);
        Self { end: Address::new(image.end), table_words, next: 0, run: None }
    }

    /// Takes in the next words; false if they cannot be those of an image.
    fn take_in(&mut self, index: &HashIndex, contents: &[u8]) -> bool {
        let left = (self.table_words - self.next).saturating_mul(8);
        let (table, runs) = contents.split_at(
            usize::try_from(left).map_or(contents.len(), |left| left.min(contents.len())),
        );
        let is_sound = index.load_table(self.next, table, self.end);
        self.next += table.len() as u64 / 8;
        is_sound
            && runs
                .chunks_exact(8)
                .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
                .all(|word| self.take_in_run(index, word))
    }

    /// Takes in one word behind the table.
    fn take_in_run(&mut self, index: &HashIndex, word: u64) -> bool {
        match self.run {
            None => self.run = Some((word, None)),
            Some((bucket, None)) => self.run = (word > 0).then_some((bucket, Some(word))),
            Some((bucket, Some(left))) => {
                self.run = (left > 1).then_some((bucket, Some(left - 1)));
                return word != 0
                    && HashIndex::is_sound(word, self.end)
                    && index.load_overflow_entry(bucket, word);
            }
        }
        true
    }

    fn is_complete(&self) -> bool {
        self.next == self.table_words && self.run.is_none()
    }
}
