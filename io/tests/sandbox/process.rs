//! Processes for tests that change their process.

use std::env;
use std::io;
use std::process::Command;

/// Names the test that a process was started for.
const ALONE: &str = "KVICK_TEST_ALONE";
/// Far more than any of these tests needs: what takes longer hangs.
const SECONDS: u32 = 60;

/// Runs `body` in a process of its own, which ends if it hangs. `test` is the path of the calling
/// test.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if env::var(ALONE).is_ok_and(|name| name == test) {
        end_if_it_hangs();
        return body();
    }
    let this = env::current_exe().expect("a test is a program");
    let outcome = Command::new(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .output()
        .expect("the program starts once more");
    let [out, err] = [&outcome.stdout, &outcome.stderr].map(|text| String::from_utf8_lossy(text));
    print!("{out}");
    assert!(outcome.status.success(), "{}:\n{out}\n{err}", outcome.status);
    assert!(out.contains("1 passed"), "no test is called {test}:\n{out}");
}

/// The signal of the alarm ends the process.
fn end_if_it_hangs() {
    // SAFETY: the call takes a number only.
    #[expect(unsafe_code, reason = "an alarm has no safe form")]
    unsafe {
        libc::alarm(SECONDS);
    }
}

/// Runs `body` in a fork of this process, which has its memory and none of its other threads.
pub(crate) fn in_fork(body: impl FnOnce()) {
    // SAFETY: the child runs `body` on the one thread it has, and ends below without running what
    // the parent has left to do. The allocator of the C library is made for that.
    #[expect(unsafe_code, reason = "a fork has no safe form")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        end_if_it_hangs();
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
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
