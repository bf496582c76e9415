//! Writes and reads images of the index.

use super::checkpoint_files::{CheckpointFiles, INDEX};
use super::manifest::IndexImage;
use super::stream::{Seal, StreamWriter};
use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::error::{Error, Result};
use crate::checkpoint::progress::Progress;
use crate::hash_index::{HashIndex, RunHead};
use crate::store::StoreInner;
use kvick_io::{BufPool, Device};
use kvick_runtime::Handle;

/// The number of buckets that are copied between two checks for a complete block.
const BUCKETS_AT_ONCE: u64 = 256;

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
    let mut copy = core.index.image();
    while copy.copy(BUCKETS_AT_ONCE, writer.pending()) {
        writer.go_on().await?;
    }
    let buckets = copy.buckets();
    drop(copy);
    let stream = writer.finish().await?;
    debug_assert_eq!(stream.bytes % 8, 0, "recovery reads whole words");
    let end = core.log.tail_address();
    assert!(start <= end, "the tail only grows");
    core.sync_file(&*device).await?;
    Ok(IndexImage { start: start.raw(), end: end.raw(), buckets, stream })
}

/// Loads the index from an image, without the entries of records below `begin`.
///
/// # Errors
/// As [`show`]; `Unavailable` if the system has no memory for lines of the index.
pub(crate) async fn read(
    (image, begin): (&IndexImage, Address),
    index: &HashIndex,
    device: &dyn Device,
    buffers: &BufPool,
    seal: Seal,
) -> Result<()> {
    let mut short = None;
    let load = |bucket, run: &[u64]| {
        let loaded = index.load_run((bucket, run), begin);
        loaded.map_err(|error| short = Some(error)).is_ok()
    };
    let shown = show((image, index.root_bits()), device, buffers, seal, load).await;
    short.map_or(shown, |error| Err(Error::io("memory for the hash index", error)))
}

/// Passes the entries of each run of an image to `take`, with the number of its bucket. All of them
/// are sound, in an index with this minimum of buckets.
///
/// # Errors
/// `Corrupt` if the contents differ from the written contents, an entry leads beyond the end of the
/// image, or `take` returns false; `Io`.
pub(crate) async fn show(
    (image, root_bits): (&IndexImage, u32),
    device: &dyn Device,
    buffers: &BufPool,
    seal: Seal,
    mut take: impl FnMut(u64, &[u64]) -> bool,
) -> Result<()> {
    let mut reader = Reader::new(image, root_bits).ok_or_else(|| unsound(device))?;
    image
        .stream
        .read(device, buffers, seal, |contents| {
            let is_sound = contents.len().is_multiple_of(8)
                && words(contents).all(|word| reader.take_in(word, &mut take));
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
    buckets: u64,
    root_bits: u32,
    /// The run of the next word. It counts the entries that follow.
    head: Option<RunHead>,
    /// The entries of the run so far.
    run: Vec<u64>,
}

impl Reader {
    /// Returns `None` if an image cannot have these sizes.
    fn new(image: &IndexImage, root_bits: u32) -> Option<Self> {
        (image.end <= ADDRESS_MASK).then(|| Self {
            end: Address::new(image.end),
            buckets: image.buckets,
            root_bits,
            head: None,
            run: Vec::new(),
        })
    }

    /// Reads the next word. Returns false if an image cannot have it.
    fn take_in(&mut self, word: u64, take: &mut impl FnMut(u64, &[u64]) -> bool) -> bool {
        let Some(head) = &mut self.head else {
            self.head = RunHead::from_word(word).filter(|head| head.bucket < self.buckets);
            return self.head.is_some();
        };
        let bucket = head.bucket;
        debug_assert!(head.entries > 0, "a run of bucket {bucket} has entries");
        if !HashIndex::is_sound(self.root_bits, bucket, word, self.end) {
            return false;
        }
        self.run.push(word);
        head.entries -= 1;
        if head.entries > 0 {
            return true;
        }
        self.head = None;
        let is_taken = take(bucket, &self.run);
        self.run.clear();
        is_taken
    }

    fn is_complete(&self) -> bool {
        self.head.is_none()
    }
}
