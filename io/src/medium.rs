//! What the file system under a directory can do: found by trying, not by asking alone.
//!
//! Some file systems refuse `O_DIRECT` when a file is opened (tmpfs before Linux 6.6), others only
//! when it is written. So a scratch file is written once, directly, with the block size that the
//! kernel names; if that fails with `EINVAL`, with larger blocks; then the page cache it is. All
//! files of a directory are on one file system, so the answer holds for each.
//!
//! It holds for another directory too if that is on the same file system, and neither is encrypted
//! or compressed unless both are: such files may go through the page cache whatever they were
//! opened with, and then take blocks that the disk refuses. The number of the device alone does not
//! say which file system it is, since a later mount may get the number of an earlier one.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::buf::AlignedBuf;
use crate::file::{OpenMode, StorageFile};
use crate::physical_block::physical_block;

/// How files of a directory are to be opened and addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Medium {
    pub(crate) direct: bool,
    /// Unit of offsets and lengths, in bytes.
    pub(crate) block: u32,
    /// What the disk writes at once, in bytes.
    pub(crate) physical_block: u32,
}

/// Which file system a directory is on, and what of the directory bears on direct I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileSystem {
    device: (u32, u32),
    id: u64,
    attributes: u64,
}

/// A scratch file of one block, deleted when dropped.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    directory: &'a Path,
    name: String,
    pub(crate) file: StorageFile,
}

const SMALL_BLOCK: u32 = 512;
const LARGE_BLOCK: u32 = 4096;

impl Medium {
    /// Finds out what works in `directory`, and leaves a scratch file to try more with.
    pub(crate) fn detect(directory: &Path, want_direct: bool) -> io::Result<(Self, Scratch<'_>)> {
        if want_direct && cfg!(target_os = "linux") {
            if let Some(found) = Self::detect_direct(directory)? {
                return Ok(found);
            }
            let path = directory.display();
            tracing::info!(%path, "the file system refuses direct I/O: using the page cache");
        }
        let scratch = Scratch::create(directory, false)?;
        scratch.write(SMALL_BLOCK)?;
        Ok((Self::of(directory, false, SMALL_BLOCK), scratch))
    }

    fn of(directory: &Path, direct: bool, block: u32) -> Self {
        Self { direct, block, physical_block: physical_block(directory, block) }
    }

    fn detect_direct(directory: &Path) -> io::Result<Option<(Self, Scratch<'_>)>> {
        let scratch = match Scratch::create(directory, true) {
            Ok(scratch) => scratch,
            Err(error) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        for block in [SMALL_BLOCK, LARGE_BLOCK] {
            if block < scratch.least_block() {
                continue;
            }
            match scratch.write(block) {
                Ok(()) => {
                    return Ok(Some((Self::of(directory, true, block), scratch)));
                }
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl FileSystem {
    /// Nothing where there is no telling.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statvfs, statx};

        // Sandboxes may refuse these calls.
        let found = statx(CWD, directory, AtFlags::empty(), StatxFlags::empty()).ok()?;
        let bearing = StatxAttributes::ENCRYPTED | StatxAttributes::COMPRESSED;
        Some(Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            id: statvfs(directory).ok()?.f_fsid,
            attributes: (found.stx_attributes & bearing).bits(),
        })
    }

    /// Nothing where there is no telling.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_directory: &Path) -> Option<Self> {
        None
    }
}

impl<'a> Scratch<'a> {
    fn create(directory: &'a Path, direct: bool) -> io::Result<Self> {
        // Two openings of one directory must not share a name, in one process or in two.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("scratch-{}-{number}.tmp", std::process::id());
        // A name left behind by a process that died here; a link under it would not be followed.
        let _ = fs::remove_file(directory.join(&name));
        let mode = OpenMode { create: true, direct };
        match StorageFile::open(directory, &name, mode) {
            Ok(file) => Ok(Self { directory, name, file }),
            Err(error) => {
                // The file may exist although it could not be opened directly.
                let _ = fs::remove_file(directory.join(&name));
                Err(error)
            }
        }
    }

    fn write(&self, block: u32) -> io::Result<()> {
        let buf = AlignedBuf::zeroed(block as usize);
        let written = self.file.write_at(&buf, 0)?;
        if written == buf.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// The least block that the kernel names for direct I/O, if it names one.
    fn least_block(&self) -> u32 {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{AtFlags, StatxFlags, statx};
            // DIOALIGN; older kernels leave the bit out of the answer and the field zero.
            let mask = StatxFlags::from_bits_retain(0x2000);
            let path = self.directory.join(&self.name);
            if let Ok(found) = statx(rustix::fs::CWD, &path, AtFlags::empty(), mask) {
                return found.stx_dio_offset_align.max(found.stx_dio_mem_align);
            }
        }
        0
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.directory.join(&self.name));
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Creates `path` and its missing parents for the owner only, and makes their entries durable.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    for created in missing {
        if let (true, Some(parent)) = (cfg!(unix), created.parent()) {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn detection_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        for want_direct in [true, false] {
            let (medium, scratch) = Medium::detect(place.path(), want_direct).unwrap();
            assert!(want_direct || !medium.direct);
            assert!([SMALL_BLOCK, LARGE_BLOCK].contains(&medium.block));
            drop(scratch);
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_systems_are_told_apart() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(FileSystem::of(one.path()), FileSystem::of(other.path()));
        assert_ne!(FileSystem::of(one.path()), FileSystem::of(Path::new("/proc")));
        assert_eq!(FileSystem::of(&one.path().join("absent")), None);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_created_is_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a").join("b");
        create_directories(&path).unwrap();
        create_directories(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&place.path().join("a"))), (0o700, 0o700));
        let open = OpenMode { create: true, direct: false };
        StorageFile::open(&path, "log", open).unwrap();
        assert_eq!(mode(&path.join("log")), 0o600);
        std::os::unix::fs::symlink(path.join("log"), path.join("link")).unwrap();
        assert!(StorageFile::open(&path, "link", open).is_err(), "links are not followed");
    }
}
