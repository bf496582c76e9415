//! A file without a name, for trials of a file system.
//!
//! Nothing of it stays, however this process ends. If a file system requires a name, the file has a
//! name for two calls. If the process dies between them, the next lock of the directory removes the
//! file.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Advice, AtFlags, Mode, OFlags, StatxFlags, fadvise, openat, statx};
use rustix::io::ReadWriteFlags;

use crate::contract::buf::AlignedBuf;
use crate::files::file::StorageFile;
use crate::files::root::{Access, Creation, Root};

/// An open file without a name.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) file: StorageFile,
}

impl Scratch {
    /// Creates a new file.
    pub(crate) fn create(root: &Root, direct: bool) -> io::Result<Self> {
        let direct_flag = if direct { OFlags::DIRECT } else { OFlags::empty() };
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | direct_flag;
        let file = match openat(root.directory(), ".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            // Not every file system supports this.
            Err(error) if !is_final(error) => named_for_a_moment(root, direct)?,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file: StorageFile::unnamed(file) })
    }

    /// Opens an existing file for reading only.
    pub(crate) fn existing(root: &Root, name: &str, direct: bool) -> io::Result<Self> {
        let file = root.open_storage(name, Access { direct, ..Access::READ })?;
        Ok(Self { file })
    }

    /// Creates a file in memory, if no other file is possible.
    pub(crate) fn in_memory() -> io::Result<Self> {
        let file = rustix::fs::memfd_create("kvick-scratch", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Self { file: StorageFile::unnamed(File::from(file)) })
    }

    /// Writes the first block.
    pub(crate) fn write(&self, block: u32) -> io::Result<()> {
        let buf = AlignedBuf::zeroed(block as usize);
        let written = self.file.write_at(&buf, 0)?;
        if written == buf.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Reads the first block, or as much of it as exists.
    pub(crate) fn read(&self, block: u32) -> io::Result<()> {
        self.file.read_at(&mut AlignedBuf::zeroed(block as usize), 0).map(drop)
    }

    /// Returns whether transfers of the first block, which was written and read, use the page
    /// cache. The test is a read that does not wait and finds the block there. Returns false if the
    /// system does not report it.
    ///
    /// Such a read starts to read ahead on a miss, and finds the block after all if the read-ahead
    /// ends at once. So a hit counts only if each look is a hit.
    pub(crate) fn is_cached(&self, block: u32) -> io::Result<bool> {
        for _ in 0..LOOKS {
            if !self.is_cached_now(block) {
                return Ok(false);
            }
            self.drop_from_cache()?;
            self.write(block)?;
            self.read(block)?;
        }
        Ok(true)
    }

    fn is_cached_now(&self, block: u32) -> bool {
        let mut bytes = vec![0; block as usize];
        let cached = self.file.buffered(|file| {
            let mut parts = [io::IoSliceMut::new(&mut bytes)];
            Ok(rustix::io::preadv2(file, &mut parts, 0, ReadWriteFlags::NOWAIT)?)
        });
        cached.is_ok_and(|read| read > 0)
    }

    /// Drops the file from the cache. Only synced pages can be dropped.
    fn drop_from_cache(&self) -> io::Result<()> {
        self.file.file().sync_data()?;
        Ok(fadvise(self.file.file(), 0, None, Advice::DontNeed)?)
    }

    /// Returns the smallest block that the kernel names for direct I/O, if any.
    pub(crate) fn named_block(&self) -> Option<u32> {
        // DIOALIGN. Older kernels leave the bit out of the answer and the field zero.
        let mask = StatxFlags::from_bits_retain(0x2000);
        let found = statx(self.file.file(), c"", AtFlags::EMPTY_PATH, mask).ok()?;
        Some(found.stx_dio_offset_align.max(found.stx_dio_mem_align)).filter(|named| *named > 0)
    }
}

/// The number of looks into the cache that must agree.
const LOOKS: u32 = 8;

/// Returns whether a name would not help.
fn is_final(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    let finals = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::MFILE, Errno::NFILE];
    finals.contains(&error)
}

fn named_for_a_moment(root: &Root, direct: bool) -> io::Result<File> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // Processes of two containers may have the same number, and open the same directory.
    for _ in 0..100 {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id());
        let access = Access { direct, ..Access::write(Creation::New) };
        let opened = root.open_file(&name, access);
        match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            // The file may exist although it could not be opened directly.
            opened => {
                let removed = root.remove(&name);
                let file = opened?;
                removed?;
                return Ok(file);
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "names of scratch files are taken; delete scratch-*.tmp",
    ))
}

/// Removes the files of processes that died between the two calls. A file that cannot be removed
/// stays.
pub(crate) fn sweep(root: &Root) {
    let Ok(names) = root.list() else { return };
    for name in names.iter().filter(|name| is_scratch(name)) {
        if let Err(error) = root.remove(name) {
            tracing::debug!(%error, name, "a scratch file cannot be removed and stays");
        }
    }
}

fn is_scratch(name: &str) -> bool {
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    numbers.is_some_and(|numbers| {
        let mut parts = numbers.split('-');
        let is_number = |part: &str| part.parse::<u32>().is_ok();
        parts.clone().count() == 2 && parts.all(is_number)
    })
}

const PREFIX: &str = "scratch-";
const SUFFIX: &str = ".tmp";

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Processes that were killed during a trial of a file system left files that no later process
    /// removed.
    #[test]
    fn what_a_dead_process_left_is_swept_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let kept =
            ["log.000000", "scratch", "scratch-1-2-3.tmp", "scratch-1.tmp", "scratch-a-1.tmp"];
        for name in ["scratch-17-0.tmp", "scratch-1-4294967295.tmp"].iter().chain(&kept) {
            std::fs::write(place.path().join(name), b"").unwrap();
        }
        sweep(&root);
        assert_eq!(root.list().unwrap(), kept.map(str::to_owned));
    }

    #[test]
    fn neither_kind_leaves_a_name_and_both_can_be_used() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let named = StorageFile::unnamed(named_for_a_moment(&root, false).unwrap());
        for scratch in [Scratch::create(&root, false).unwrap(), Scratch { file: named }] {
            assert_eq!(root.list().unwrap(), [""; 0]);
            scratch.write(512).unwrap();
            scratch.read(512).unwrap();
            assert!(scratch.is_cached(512).unwrap(), "it went through the page cache");
        }
    }
}
