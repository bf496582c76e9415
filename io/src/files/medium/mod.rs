//! The abilities of the file system under a directory, found by trial.
//!
//! Some file systems refuse `O_DIRECT` when a file is opened (tmpfs before Linux 6.6), others only
//! when it is written. Others accept it and still use the page cache. So detection writes and reads
//! a scratch file once, directly, with the block size that the kernel names. If that fails with
//! `EINVAL`, it tries larger blocks, and then chooses the page cache. If the kernel names no block,
//! a block that is in the cache afterwards also counts as a refusal. A full or read-only medium
//! takes no scratch file; detection then reads an existing file. All files of a directory are on
//! one file system, so the answer holds for each.
//!
//! The answer also holds for another directory on the same file system, if neither is encrypted or
//! compressed, or both are. Such files may use the page cache whatever their flags, and then accept
//! blocks that the disk refuses. The device number alone does not identify a file system: a later
//! mount may get the number of an earlier mount.

mod physical_block;
#[cfg(target_os = "linux")]
pub(crate) mod scratch;

use std::fs::{self, File};
use std::io;
use std::path::Path;

#[cfg(target_os = "linux")]
use crate::contract::names;
#[cfg(target_os = "linux")]
use crate::error::ErrorClass;
use crate::files::medium::physical_block::physical_block;
#[cfg(target_os = "linux")]
use crate::files::medium::scratch::Scratch;
use crate::files::root::Root;

/// The mode in which the files of a directory are opened and addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Medium {
    pub(crate) direct: bool,
    /// Unit of offsets and lengths, in bytes.
    pub(crate) block: u32,
    /// The unit that the disk writes at once, in bytes.
    pub(crate) physical_block: u32,
}

/// Identifies the file system of a directory, with the attributes that affect direct I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileSystem {
    device: (u32, u32),
    id: u64,
    attributes: u64,
}

/// The result of a detection.
#[derive(Debug)]
pub(crate) struct Detected {
    pub(crate) medium: Medium,
    /// Whether the result holds for other directories of the file system.
    pub(crate) certain: bool,
    /// A file for further trials.
    #[cfg(target_os = "linux")]
    pub(crate) scratch: Scratch,
}

const SMALL_BLOCK: u32 = 512;
#[cfg(target_os = "linux")]
const LARGE_BLOCK: u32 = 4096;

#[cfg(target_os = "linux")]
impl Medium {
    /// Detects the abilities of the file system of `root`.
    pub(crate) fn detect(root: &Root, want_direct: bool) -> io::Result<Detected> {
        match Self::write_scratch(root, want_direct) {
            // Existing files can still be read, and deleted if the medium is full.
            Err(error) if takes_no_scratch(&error) => {
                let path = root.path().display();
                tracing::warn!(%path, %error, "no scratch file can be written; reading another");
                Self::read_what_is_there(root, want_direct)
            }
            detected => detected,
        }
    }

    fn write_scratch(root: &Root, want_direct: bool) -> io::Result<Detected> {
        if want_direct {
            if let Some((medium, scratch)) = Self::write_directly(root)? {
                return Ok(Detected { medium, certain: true, scratch });
            }
            let path = root.path().display();
            tracing::info!(%path, "the file system has no direct I/O: using the page cache");
        }
        let scratch = Scratch::create(root, false)?;
        scratch.write(SMALL_BLOCK)?;
        let medium = Self::of(root, false, SMALL_BLOCK);
        Ok(Detected { medium, certain: true, scratch })
    }

    fn write_directly(root: &Root) -> io::Result<Option<(Self, Scratch)>> {
        Self::try_directly(root, Scratch::create(root, true), |scratch, block| {
            scratch.write(block)?;
            scratch.read(block)?;
            // Some file systems accept blocks that the disk refuses, and use the cache. A file
            // system that names a block never does this.
            Ok(scratch.named_block().is_some() || !scratch.is_cached(block)?)
        })
    }

    fn read_what_is_there(root: &Root, want_direct: bool) -> io::Result<Detected> {
        let mut names = root.list()?;
        names.retain(|name| root.file_bytes(name).is_ok_and(|bytes| bytes > 0));
        // Segments are the most likely to be long.
        names.sort_by_key(|name| !names::is_segment(name));
        let found = if want_direct { Self::read_directly(root, &names)? } else { None };
        if let Some((medium, scratch)) = found {
            return Ok(Detected { medium, certain: true, scratch });
        }
        let scratch = match names.first() {
            Some(name) => Scratch::existing(root, name, false)?,
            None => Scratch::in_memory()?,
        };
        let medium = Self::of(root, false, SMALL_BLOCK);
        Ok(Detected { medium, certain: !want_direct, scratch })
    }

    fn read_directly(root: &Root, names: &[String]) -> io::Result<Option<(Self, Scratch)>> {
        let Some(name) = names.first() else { return Ok(None) };
        let scratch = Scratch::existing(root, name, true);
        Self::try_directly(root, scratch, |scratch, block| scratch.read(block).map(|()| true))
    }

    /// Returns the smallest block for which `is_direct` confirms direct transfers of the scratch.
    /// Returns `None` if the file system refuses.
    fn try_directly(
        root: &Root,
        scratch: io::Result<Scratch>,
        is_direct: impl Fn(&Scratch, u32) -> io::Result<bool>,
    ) -> io::Result<Option<(Self, Scratch)>> {
        let scratch = match scratch {
            Ok(scratch) => scratch,
            Err(error) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let least = scratch.named_block().unwrap_or(0);
        for block in [SMALL_BLOCK, LARGE_BLOCK].into_iter().filter(|block| *block >= least) {
            match is_direct(&scratch, block) {
                Ok(true) => return Ok(Some((Self::of(root, true, block), scratch))),
                Ok(false) => {}
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(not(target_os = "linux"))]
impl Medium {
    /// Returns the page cache, which works everywhere.
    pub(crate) fn detect(root: &Root, _want_direct: bool) -> io::Result<Detected> {
        Ok(Detected { medium: Self::of(root, false, SMALL_BLOCK), certain: true })
    }
}

impl Medium {
    fn of(root: &Root, direct: bool, block: u32) -> Self {
        Self { direct, block, physical_block: physical_block(root, block) }
    }
}

impl FileSystem {
    /// Returns `None` if the system does not report it.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(root: &Root) -> Option<Self> {
        use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, fstatvfs, statx};

        // A sandbox may refuse these calls.
        let (directory, flags) = (root.directory(), AtFlags::EMPTY_PATH);
        let found = statx(directory, c"", flags, StatxFlags::empty()).ok()?;
        let bearing = StatxAttributes::ENCRYPTED | StatxAttributes::COMPRESSED;
        Some(Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            id: fstatvfs(directory).ok()?.f_fsid,
            attributes: (found.stx_attributes & bearing).bits(),
        })
    }

    /// Returns `None`: the system does not report it.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_root: &Root) -> Option<Self> {
        None
    }
}

#[cfg(target_os = "linux")]
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

#[cfg(target_os = "linux")]
fn takes_no_scratch(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ReadOnlyFilesystem
        || ErrorClass::of(error) == ErrorClass::NoSpace
}

/// Creates `path` and its missing parents for the owner only, and makes their entries durable.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    for created in missing.iter().filter(|_| cfg!(unix)) {
        if let Err(error) = sync_parent(created) {
            // Otherwise the next opening would find the directory and take it for durable.
            missing.iter().for_each(|created| drop(fs::remove_dir(created)));
            return Err(error);
        }
    }
    Ok(())
}

/// Makes the name of a directory durable.
fn sync_parent(created: &Path) -> io::Result<()> {
    let Some(parent) = created.parent() else { return Ok(()) };
    match File::open(parent) {
        Ok(parent) => parent.sync_all(),
        // The parent allows new names but no listing: sync its file system as a whole.
        #[cfg(target_os = "linux")]
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(rustix::fs::syncfs(File::open(created)?)?)
        }
        Err(error) => Err(error),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::files::root::{Access, Creation};

    /// The kernel read ahead when the probe looked into the cache. Once in some thousand times the
    /// read ended so early that the probe found the block: a store that was opened again had other
    /// blocks.
    #[test]
    fn detection_finds_the_same_each_time() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let first = Medium::detect(&root, true).unwrap().medium;
        for _ in 0..5000 {
            assert_eq!(Medium::detect(&root, true).unwrap().medium, first);
        }
    }

    #[test]
    fn detection_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        for want_direct in [true, false] {
            let Detected { medium, certain, .. } = Medium::detect(&root, want_direct).unwrap();
            assert!(certain && (want_direct || !medium.direct));
            assert!([512, 4096].contains(&medium.block));
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_systems_are_told_apart() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |path: &Path| FileSystem::of(&Root::open(path).unwrap());
        assert_eq!(of(one.path()), of(other.path()));
        assert_ne!(of(one.path()), of(Path::new("/proc")));
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
        let root = Root::open(&path).unwrap();
        root.open_file("log", Access::write(Creation::IfAbsent)).unwrap();
        assert_eq!(mode(&path.join("log")), 0o600);
        std::os::unix::fs::symlink(path.join("log"), path.join("link")).unwrap();
        let followed = root.open_file("link", Access::write(Creation::IfAbsent));
        assert!(followed.is_err(), "links are not followed");
    }
}
