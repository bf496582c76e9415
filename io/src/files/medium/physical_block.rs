//! The unit that the disk under a directory writes at once.
//!
//! A disk that names blocks of 512 bytes may have sectors of 4096. It then reads such a sector,
//! changes some of it and writes all of it. A power cut meanwhile damages the whole sector,
//! including bytes that were durable before. So data that must stay intact ends on a *physical
//! block*.
//!
//! The kernel reports the unit of the disk that a file system names as its own. File systems over
//! other file systems, or over several disks, name none. Then the block in which they keep files is
//! used, since they write at least that.

use crate::files::root::Root;

/// The largest accepted value. A larger block is a hint for speed, not a unit of writing.
const MAX: u64 = 64 << 10;

/// Returns the physical block under `root`, in bytes: a power of two and a multiple of `block`.
/// Returns `block` itself if the system does not report it.
pub(crate) fn physical_block(root: &Root, block: u32) -> u32 {
    let told = of_disk(root).or_else(|| of_file_system(root));
    told.map_or(block, |bytes| sound(bytes, block))
}

fn sound(bytes: u64, block: u32) -> u32 {
    let bytes = if bytes.is_power_of_two() { bytes.min(MAX) } else { 0 };
    u32::try_from(bytes).unwrap_or(0).max(block)
}

#[cfg(target_os = "linux")]
fn of_disk(root: &Root) -> Option<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};

    let flags = AtFlags::EMPTY_PATH;
    let found = statx(root.directory(), c"", flags, StatxFlags::empty()).ok()?;
    let device = format!("/sys/dev/block/{}:{}", found.stx_dev_major, found.stx_dev_minor);
    // A partition has no queue of its own: the disk is the directory above it.
    ["queue", "../queue"].iter().find_map(|queue| {
        let path = format!("{device}/{queue}/physical_block_size");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    })
}

#[cfg(not(target_os = "linux"))]
fn of_disk(_root: &Root) -> Option<u64> {
    None
}

#[cfg(unix)]
fn of_file_system(root: &Root) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;

    // Network file systems report the size of their transfers here.
    root.directory().metadata().ok().map(|found| found.blksize().min(4096))
}

#[cfg(not(unix))]
fn of_file_system(_root: &Root) -> Option<u64> {
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_made_sound() {
        for (told, block, expected) in [
            (512, 512, 512),
            (4096, 512, 4096),
            (512, 4096, 4096),
            (16_384, 4096, 16_384),
            (1 << 20, 512, 64 << 10),
            (0, 512, 512),
            (6144, 512, 512),
        ] {
            assert_eq!(sound(told, block), expected, "{told} over {block}");
        }
    }

    #[test]
    fn a_directory_has_one() {
        let place = tempfile::tempdir().unwrap();
        let found = physical_block(&Root::open(place.path()).unwrap(), 512);
        assert!(found.is_power_of_two() && found >= 512, "{found}");
    }
}
