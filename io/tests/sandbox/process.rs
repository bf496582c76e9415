//! What only a process of its own can do: fork, change its user, live under a limit.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::alone::end_if_it_hangs;

/// Runs `body` in a fork of this process, which has its memory and none of its other threads.
pub(crate) fn in_fork(body: impl FnOnce()) {
    // SAFETY: the child runs `body` on the one thread it has, and ends below without running what
    // the parent has left to do. The allocator of the C library is made for that.
    #[expect(unsafe_code, reason = "a fork has no safe form")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        end_if_it_hangs();
        let passed = catch_unwind(AssertUnwindSafe(body)).is_ok();
        // SAFETY: ends the process at once.
        #[expect(unsafe_code, reason = "the standard library would run what is left to do")]
        unsafe {
            libc::_exit(if passed { 0 } else { 1 })
        }
    }
    let mut status = 0;
    // SAFETY: the call writes to `status`, which lives until it returns.
    #[expect(unsafe_code, reason = "the child is not one that the standard library knows")]
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((ended, status), (child, 0), "the child failed, or was ended since it hung");
}

/// Makes every thread of this process belong to a user without privileges.
pub(crate) fn become_nobody() -> io::Result<()> {
    const NOBODY: libc::uid_t = 65_534;
    // SAFETY: the call takes numbers only; the C library makes it on every thread.
    #[expect(unsafe_code, reason = "users have no safe form")]
    let result = unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Allows the user of this process so many tasks, the ones there are among them.
pub(crate) fn limit_tasks(most: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Nproc).maximum;
    let limit = Rlimit { current: Some(most), maximum };
    setrlimit(Resource::Nproc, limit).expect("a limit may be lowered, and raised again");
}
