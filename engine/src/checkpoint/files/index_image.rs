//! Writes and reads images of the index.

use super::checkpoint_files::{CheckpointFiles, INDEX};
use super::manifest::IndexImage;
use super::stream::{Seal, StreamWriter};
use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::error::{Error, Result};
use crate::checkpoint::progress::Progress;
use crate::hash_index::HashIndex;
use crate::store::StoreInner;
use kvick_io::{BufPool, Device};
use kvick_runtime::Handle;
use std::ops::Range;

/// The number of words that are copied between two checks for a complete block.
const WORDS_AT_ONCE: u64 = 4096;
/// The number of buckets whose overflow is copied between two checks for a complete block.
const BUCKETS_AT_ONCE: u64 = 512;

/// Returns the checksum identity of the image that checkpoint `token` writes.
pub(crate) fn seal(salt: u64, token: u64) -> Seal {
    Seal { salt, what: b"index", token }
}

/// Writes an image of the index as it is now or a little later, and syncs it. It is synced whatever
/// its checkpoint must survive, because later checkpoints may use it.
pub(in crate::checkpoint) async fn write(
    core: &StoreInner,
    checkpoint_files: &CheckpointFiles,
    handle: &Handle,
    token: u64,
    progress: &Progress,
) -> Result<IndexImage> {
    let start = core.log.tail_address();
    // After the drain, each writer that appended below has linked its record or given up. Records
    // that the copy misses are in the log from `start` on.
    core.log.epoch().drain(handle).await;

    let device = checkpoint_files.device(INDEX, token, true).await?;
    let seal = seal(checkpoint_files.manifest().store.salt.0, token);
    let written = |bytes| progress.wrote(bytes);
    let mut writer = StreamWriter::new(&*device, core.log.file().writing(), seal, written);
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
    debug_assert!(stream.bytes >= words * 8, "the table is whole");
    debug_assert_eq!(stream.bytes % 8, 0, "recovery reads whole words");
    let end = core.log.tail_address();
    assert!(start <= end, "the tail only grows");
    core.sync_file(&*device).await?;
    let buckets = index.buckets();
    Ok(IndexImage { start: start.raw(), end: end.raw(), buckets, stream })
}

/// Splits `0..end` into ranges of `step`.
fn steps(end: u64, step: u64) -> impl Iterator<Item = Range<u64>> {
    debug_assert!(step > 0, "the steps reach {end}");
    (0..end.div_ceil(step)).map(move |number| number * step..end.min((number + 1) * step))
}

/// Loads the index from an image.
///
/// # Errors
/// As [`show`]; `Unavailable` if the system has no memory for lines of the index.
pub(crate) async fn read(
    image: &IndexImage,
    index: &HashIndex,
    device: &dyn Device,
    buffers: &BufPool,
    seal: Seal,
) -> Result<()> {
    assert_eq!(index.buckets(), image.buckets, "an image fits one size");
    let mut short = None;
    let load = |part: ImagePart<'_>| match part {
        ImagePart::Table(first, words) => {
            index.load_table(first, words);
            true
        }
        ImagePart::Overflow(bucket, word) => {
            index.load_overflow_entry(bucket, word).unwrap_or_else(|error| {
                short = Some(error);
                false
            })
        }
    };
    let shown = show(image, device, buffers, seal, load).await;
    short.map_or(shown, |error| Err(Error::io("memory for the hash index", error)))
}

/// Words of an image, with their place in the index.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ImagePart<'i> {
    /// Words of the table, from this word on, as they are stored.
    Table(u64, &'i [u8]),
    /// A word of an overflow line of this bucket.
    Overflow(u64, u64),
}

/// Passes the words of an image to `take`, in order. All of them are sound and within bounds.
///
/// # Errors
/// `Corrupt` if the contents differ from the written contents, an entry leads beyond the end of the
/// image, or `take` returns false; `Io`.
pub(crate) async fn show(
    image: &IndexImage,
    device: &dyn Device,
    buffers: &BufPool,
    seal: Seal,
    mut take: impl FnMut(ImagePart<'_>) -> bool,
) -> Result<()> {
    let mut reader = Reader::new(image).ok_or_else(|| unsound(device))?;
    image
        .stream
        .read(device, buffers, seal, |contents| {
            let is_sound = contents.len().is_multiple_of(8) && reader.take_in(contents, &mut take);
            if is_sound { Ok(()) } else { Err(unsound(device)) }
        })
        .await?;
    if reader.is_complete() { Ok(()) } else { Err(unsound(device)) }
}

#[cold]
fn unsound(device: &dyn Device) -> Error {
    let (file, _) = device.locate(0);
    Error::damaged("the image of the index contradicts itself", &file, 0)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
}

/// The position of the next word in an image.
struct Reader {
    end: Address,
    table_words: u64,
    next: u64,
    /// The bucket of an overflow run, and the number of entries that follow.
    run: Option<(u64, Option<u64>)>,
}

impl Reader {
    /// Returns `None` if an image cannot have these sizes.
    fn new(image: &IndexImage) -> Option<Self> {
        let words = image.stream.bytes / 8;
        let has_table = image.buckets <= words / HashIndex::table_words(1);
        (has_table && image.end <= ADDRESS_MASK).then(|| Self {
            end: Address::new(image.end),
            table_words: HashIndex::table_words(image.buckets),
            next: 0,
            run: None,
        })
    }

    /// Reads the next words. Returns false if an image cannot have them.
    fn take_in(&mut self, contents: &[u8], take: &mut impl FnMut(ImagePart<'_>) -> bool) -> bool {
        debug_assert!(self.next <= self.table_words, "the table comes before the overflow");
        let left = (self.table_words - self.next).saturating_mul(8);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(contents.len());
        let (table, runs) = contents.split_at(left);
        let (first, end) = (self.next, self.end);
        self.next += table.len() as u64 / 8;
        words(table).fold(true, |is_sound, word| is_sound & HashIndex::is_sound(word, end))
            && take(ImagePart::Table(first, table))
            && words(runs).all(|word| self.take_in_run(word, take))
    }

    /// Reads one word after the table.
    fn take_in_run(&mut self, word: u64, take: &mut impl FnMut(ImagePart<'_>) -> bool) -> bool {
        match self.run {
            None => self.run = Some((word, None)),
            Some((bucket, None)) => self.run = (word > 0).then_some((bucket, Some(word))),
            Some((bucket, Some(left))) => {
                debug_assert!(left > 0, "a run of bucket {bucket} has entries");
                self.run = (left > 1).then_some((bucket, Some(left - 1)));
                return word != 0
                    && HashIndex::is_sound(word, self.end)
                    && take(ImagePart::Overflow(bucket, word));
            }
        }
        true
    }

    fn is_complete(&self) -> bool {
        self.next == self.table_words && self.run.is_none()
    }
}
