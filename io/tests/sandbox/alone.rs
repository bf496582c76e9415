//! Separate processes for tests that change their process.

use std::env;
use std::process::Command;

/// The environment variable with the name of the test that a process runs.
const ALONE: &str = "KVICK_TEST_ALONE";
/// Far more than any of these tests needs: a longer test hangs.
const SECONDS: u32 = 60;

/// Runs `body` in a separate process, which ends if it hangs. `test` is the path of the calling
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

/// Sets an alarm whose signal ends the process.
pub(crate) fn end_if_it_hangs() {
    // SAFETY: the call takes only a number.
    #[expect(unsafe_code, reason = "an alarm has no safe form")]
    unsafe {
        libc::alarm(SECONDS);
    }
}
