//! A child of this process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::alone::end_if_it_hangs;

/// Runs `body` in a fork of this process, which has its memory and none of its other threads.
pub(crate) fn in_fork(body: impl FnOnce()) {
    // SAFETY: the child runs `body` on its only thread, and ends below without running the rest of
    // the parent's work. The allocator of the C library supports that.
    #[expect(unsafe_code, reason = "a fork has no safe form")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        end_if_it_hangs();
        let passed = catch_unwind(AssertUnwindSafe(body)).is_ok();
        // SAFETY: ends the process at once.
        #[expect(unsafe_code, reason = "the standard library would run the rest of the parent")]
        unsafe {
            libc::_exit(if passed { 0 } else { 1 })
        }
    }
    let mut status = 0;
    // SAFETY: the call writes to `status`, which lives until it returns.
    #[expect(unsafe_code, reason = "the standard library does not know the child")]
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((ended, status), (child, 0), "the child failed, or was ended since it hung");
}
