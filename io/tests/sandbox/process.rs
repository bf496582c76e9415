//! Changes that need a separate process: another user, and limits.

use std::io;

/// Makes every thread of this process belong to a user without privileges.
pub(crate) fn become_nobody() -> io::Result<()> {
    const NOBODY: libc::uid_t = 65_534;
    // SAFETY: the call takes only numbers; the C library makes it on every thread.
    #[expect(unsafe_code, reason = "users have no safe form")]
    let result = unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Limits the tasks of this process's user, including the existing tasks.
pub(crate) fn limit_tasks(most: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Nproc).maximum;
    let limit = Rlimit { current: Some(most), maximum };
    setrlimit(Resource::Nproc, limit).expect("a limit may be lowered, and raised again");
}
