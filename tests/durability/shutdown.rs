//! The call that stands for a power cut: it stops the file system, which keeps only the bytes of
//! its device. The page cache and the uncommitted part of the journal are lost, and later calls
//! fail.

use std::io;
use std::path::Path;

/// Stops the file system that is mounted on `mount`.
#[cfg(target_os = "linux")]
pub(crate) fn shut_down(mount: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    /// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN`, which are the same number.
    const SHUTDOWN: libc::Ioctl = 0x8004_587d;
    /// The flag that stops the file system before it writes the journal or anything else.
    const NO_LOG_FLUSH: u32 = 2;

    let root = std::fs::File::open(mount)?;
    let how = NO_LOG_FLUSH;
    // SAFETY: the descriptor is open until the end of this function, and the call reads the four
    // bytes of `how` and nothing else.
    #[expect(unsafe_code, reason = "the call has no safe form")]
    let result = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const how) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns an error, since the platform has no such call.
#[cfg(not(target_os = "linux"))]
pub(crate) fn shut_down(_mount: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
