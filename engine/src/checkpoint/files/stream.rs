//! Streams: the bytes of index images, deltas and commit points in checksummed blocks.
//!
//! ```text
//!   0        8          12        16                 16 + length        block
//!   +--------+----------+---------+------------------+------------------+
//!   | number | length   | crc32c  | contents         | zeros            |
//!   +--------+----------+---------+------------------+------------------+
//! ```
//!
//! All blocks but the last have the same size; the last block ends with its sector. The CRC32C
//! covers the salt of the store, the kind of the stream, its checkpoint, the number of the block
//! and the contents. The manifest has the number of bytes, so a truncated stream is detected too.

use super::manifest::BlockFile;
use crate::base::error::{Error, Result};
use crate::base::wait::in_order::{InOrder, ahead};
use crate::hybrid_log::is_missing;
use futures::stream::{StreamExt, TryStreamExt};
use kvick_io::{AlignedBuf, BufPool, Device};

/// The number of bytes of a block before its contents.
const HEADER: usize = 16;
/// The maximum number of blocks in flight.
const AT_ONCE: usize = 4;
const SMALLEST_BLOCK: usize = 4 << 10;
const LARGEST_BLOCK: usize = 1 << 20;
const _: () = assert!(SMALLEST_BLOCK > HEADER, "a block has contents");
const _: () = assert!(LARGEST_BLOCK <= u32::MAX as usize, "the length of a block has 4 bytes");
const _: () = assert!(
    SMALLEST_BLOCK.is_power_of_two() && LARGEST_BLOCK.is_power_of_two(),
    "a block that is rounded down stays within the bounds"
);

/// The identity of a stream in its checksums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    pub(crate) salt: u64,
    pub(crate) what: &'static [u8],
    pub(crate) token: u64,
}

/// Writes a stream.
#[derive(Debug)]
pub(crate) struct StreamWriter<'d, F: Fn(u64)> {
    device: &'d dyn Device,
    buffers: &'d BufPool,
    place: &'d str,
    seal: Seal,
    block: usize,
    pending: Vec<u8>,
    bytes: u64,
    blocks: u64,
    writes: InOrder<Write>,
    /// Called with the number of bytes of each completed write.
    written: F,
}

type Write =
    futures::future::Map<kvick_io::Completion, fn(kvick_io::Transfer) -> std::io::Result<u64>>;

impl<'d, F: Fn(u64)> StreamWriter<'d, F> {
    /// Creates a writer whose buffers take about `budget` bytes, in the directory `place`.
    pub(crate) fn new(
        device: &'d dyn Device,
        (buffers, budget, place): (&'d BufPool, usize, &'d str),
        seal: Seal,
        written: F,
    ) -> Self {
        let block = (budget / AT_ONCE).clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        assert_eq!(device.bytes_stored(), 0, "a file of a checkpoint is written once");
        let sector = device.geometry().block as usize;
        assert!(SMALLEST_BLOCK.is_multiple_of(sector), "a block begins at a sector: {sector}");
        Self {
            device,
            buffers,
            place,
            seal,
            block: 1 << block.ilog2(),
            pending: Vec::new(),
            bytes: 0,
            blocks: 0,
            writes: InOrder::new(),
            written,
        }
    }

    /// Returns the buffer for the next contents. Call [`go_on`](Self::go_on) now and then.
    pub(crate) fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Returns the number of contents bytes in a whole block.
    pub(crate) fn block_contents(&self) -> usize {
        self.block - HEADER
    }

    /// Starts the writes of complete blocks.
    pub(crate) async fn go_on(&mut self) -> Result<()> {
        let mut done = 0;
        while self.pending.len() - done >= self.block_contents() {
            self.start(done, self.block_contents()).await?;
            done += self.block_contents();
        }
        self.pending.drain(..done);
        Ok(())
    }

    /// Writes the rest, and waits for all writes. Syncs nothing.
    pub(crate) async fn finish(mut self) -> Result<BlockFile> {
        self.go_on().await?;
        if !self.pending.is_empty() || self.blocks == 0 {
            self.start(0, self.pending.len()).await?;
        }
        while !self.writes.is_empty() {
            self.end_one().await?;
        }
        debug_assert!(self.bytes <= self.blocks * self.block_contents() as u64, "all in blocks");
        Ok(BlockFile { token: self.seal.token, bytes: self.bytes, block: self.block as u64 })
    }

    async fn start(&mut self, from: usize, length: usize) -> Result<()> {
        if self.writes.len() == AT_ONCE {
            self.end_one().await?;
        }
        assert!(length <= self.block_contents(), "{length} bytes fit in a block");
        assert_eq!(
            self.bytes,
            self.blocks * self.block_contents() as u64,
            "every block but the last is whole"
        );
        let sector = self.device.geometry().block as usize;
        let mut buffer = self.buffers.take((HEADER + length).next_multiple_of(sector));
        let contents = &self.pending[from..from + length];
        buffer[HEADER..HEADER + length].copy_from_slice(contents);
        buffer[HEADER + length..].fill(0);
        let checksum = self.seal.checksum(self.blocks, contents);
        buffer[..8].copy_from_slice(&self.blocks.to_le_bytes());
        buffer[8..12].copy_from_slice(&u32::try_from(length).expect("a block").to_le_bytes());
        buffer[12..16].copy_from_slice(&checksum.to_le_bytes());
        debug_assert!(
            check(&buffer, self.blocks, length, self.seal).is_ok(),
            "a reader accepts the block that is written"
        );
        let completion = self.device.write_at(self.blocks * self.block as u64, buffer);
        let ended: fn(kvick_io::Transfer) -> std::io::Result<u64> = |transfer| {
            let bytes = transfer.buf.map_or(0, |buffer| buffer.len() as u64);
            transfer.result.map(|()| bytes)
        };
        self.writes.push_back(futures::FutureExt::map(completion, ended));
        self.blocks += 1;
        self.bytes += length as u64;
        Ok(())
    }

    async fn end_one(&mut self) -> Result<()> {
        let ended = self.writes.next().await.expect("one is on its way");
        let bytes = ended.map_err(|error| {
            let (file, _) = self.device.locate(0);
            let is_named = error.to_string().contains(&file);
            let what = if is_named { "a file" } else { &*file };
            Error::io(format!("write of {what} in {}", self.place), error)
        })?;
        (self.written)(bytes);
        Ok(())
    }
}

impl BlockFile {
    /// Returns a pool that keeps the buffers of one reading.
    pub(crate) fn buffers(self) -> BufPool {
        let block = usize::try_from(self.block).map_or(LARGEST_BLOCK, |it| it.min(LARGEST_BLOCK));
        // As many are shown, or on their way back.
        BufPool::new(2 * AT_ONCE * block)
    }

    /// Passes the contents of a stream to `show`, block by block, in order.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`, and errors of `show`, which end the reading.
    pub(crate) async fn read(
        self,
        device: &dyn Device,
        buffers: &BufPool,
        seal: Seal,
        mut show: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let blocks = self.blocks(device)?;
        let reads = blocks.into_iter().enumerate().map(|(number, length)| {
            let sector = device.geometry().block as usize;
            let buffer = buffers.take((HEADER + length).next_multiple_of(sector));
            async move {
                let number = number as u64;
                let offset = number * self.block;
                let transfer = device.read_at(offset, buffer).await;
                transfer.result.map_err(|error| failed(device, offset, error))?;
                let buffer = transfer.buf.expect("a read gives its buffer back");
                check(&buffer, number, length, seal).map_err(|[expected, got]| {
                    let (file, at) = device.locate(offset);
                    Error::corrupt("checksum of a block", &file, at, expected, got)
                })?;
                Ok::<_, Error>((buffer, length))
            }
        });
        let mut reads = ahead(reads, AT_ONCE);
        while let Some((buffer, length)) = reads.try_next().await? {
            show(&buffer[HEADER..HEADER + length])?;
        }
        Ok(())
    }

    /// Returns the lengths of the contents of its blocks.
    fn blocks(self, device: &dyn Device) -> Result<Vec<usize>> {
        let block = usize::try_from(self.block).unwrap_or(0);
        let stored = device.bytes_stored();
        let (file, _) = device.locate(0);
        if !block.is_power_of_two() || !(SMALLEST_BLOCK..=LARGEST_BLOCK).contains(&block) {
            let what = format!("its blocks cannot have {} bytes", self.block);
            return Err(Error::damaged(&what, &file, 0));
        }
        // Before this length reserves memory.
        if self.bytes > stored {
            let what = format!("the file has {stored} bytes of {}", self.bytes);
            return Err(Error::damaged(&what, &file, 0));
        }
        let contents = block - HEADER;
        let bytes = usize::try_from(self.bytes).expect("no more than the device has");
        let mut blocks = vec![contents; bytes / contents];
        if !bytes.is_multiple_of(contents) || bytes == 0 {
            blocks.push(bytes % contents);
        }
        debug_assert_eq!(blocks.iter().sum::<usize>(), bytes, "the blocks have all contents");
        Ok(blocks)
    }
}

impl Seal {
    fn checksum(&self, number: u64, contents: &[u8]) -> u32 {
        let mut checksum = crc32c::crc32c(&self.salt.to_le_bytes());
        checksum = crc32c::crc32c_append(checksum, self.what);
        checksum = crc32c::crc32c_append(checksum, &self.token.to_le_bytes());
        checksum = crc32c::crc32c_append(checksum, &number.to_le_bytes());
        crc32c::crc32c_append(checksum, contents)
    }
}

/// Returns the expected and the found value if the block differs from the written block.
fn check(block: &AlignedBuf, number: u64, length: usize, seal: Seal) -> Result<(), [u64; 2]> {
    let stored = u32::from_le_bytes(block[12..16].try_into().expect("4 bytes"));
    let computed = seal.checksum(number, &block[HEADER..HEADER + length]);
    if stored != computed {
        return Err([u64::from(computed), u64::from(stored)]);
    }
    let stored_number = u64::from_le_bytes(block[..8].try_into().expect("8 bytes"));
    let stored_length = u32::from_le_bytes(block[8..12].try_into().expect("4 bytes"));
    let is_zero = block[HEADER + length..].iter().all(|byte| *byte == 0);
    if stored_number != number || stored_length as usize != length || !is_zero {
        return Err([number, stored_number]);
    }
    Ok(())
}

#[cold]
fn failed(device: &dyn Device, offset: u64, error: std::io::Error) -> Error {
    let (file, at) = device.locate(offset);
    // The manifest says that these bytes were written, so the file is damaged.
    if is_missing(&error) {
        return Error::damaged("the file ends here", &file, at);
    }
    Error::io(format!("read of {file} at {at}"), error)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use kvick_io::{DeviceOptions, Directory, MemoryDirectory};
    use kvick_runtime::block_on;

    const SEAL: Seal = Seal { salt: 77, what: b"test", token: 3 };

    fn contents(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|byte| (byte % 251).to_le_bytes()[0]).collect()
    }

    async fn write(directory: &MemoryDirectory, bytes: usize) -> BlockFile {
        let device = directory.open_device("s", DeviceOptions::default()).await.expect("opens");
        let buffers = BufPool::new(1 << 20);
        let mut writer = StreamWriter::new(&*device, (&buffers, 16 << 10, "memory"), SEAL, |_| ());
        for piece in contents(bytes).chunks(1000) {
            writer.pending().extend_from_slice(piece);
            writer.go_on().await.expect("memory");
        }
        writer.finish().await.expect("memory")
    }

    async fn read(directory: &MemoryDirectory, stream: BlockFile, seal: Seal) -> Result<Vec<u8>> {
        let device = directory.open_device("s", DeviceOptions::default()).await.expect("opens");
        let buffers = BufPool::new(1 << 20);
        let mut all = Vec::new();
        stream
            .read(&*device, &buffers, seal, |contents| {
                all.extend_from_slice(contents);
                Ok(())
            })
            .await?;
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read() {
        block_on(async {
            for bytes in [0, 1, 495, 496, 497, 4080, 4081, 8160, 100_000] {
                let directory = MemoryDirectory::new();
                let stream = write(&directory, bytes).await;
                assert_eq!(stream.bytes, bytes as u64);
                let found = read(&directory, stream, SEAL).await.expect("sound");
                assert_eq!(found, contents(bytes), "{bytes} bytes");
            }
        });
    }

    #[test]
    fn every_flipped_bit_is_found_and_so_are_other_streams() {
        block_on(async {
            let directory = MemoryDirectory::new();
            let stream = write(&directory, 5000).await;
            let sound = directory.read_file("s.000000").await.expect("there");
            for bit in 0..sound.len() * 8 {
                let mut copy = sound.clone();
                copy[bit / 8] ^= 1 << (bit % 8);
                directory.write_file("s.000000", &copy).await.expect("memory");
                assert!(read(&directory, stream, SEAL).await.is_err(), "bit {bit}");
            }
            directory.write_file("s.000000", &sound).await.expect("memory");
            for seal in [
                Seal { salt: 78, ..SEAL },
                Seal { what: b"tess", ..SEAL },
                Seal { token: 4, ..SEAL },
            ] {
                assert!(read(&directory, stream, seal).await.is_err(), "{seal:?}");
            }
            for bytes in [4999, 5001, 1 << 40] {
                let other = BlockFile { bytes, ..stream };
                assert!(read(&directory, other, SEAL).await.is_err(), "{bytes} bytes");
            }
            directory.write_file("s.000000", &sound[..4096]).await.expect("memory");
            assert!(read(&directory, stream, SEAL).await.is_err(), "cut short");
        });
    }
}
