//! Information of the operating system about this process.

#[cfg(target_os = "linux")]
use std::fs;

/// Returns how many threads with this name run.
#[cfg(target_os = "linux")]
pub(crate) fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux says");
    // A thread may end between the listing and the read of its name.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

#[cfg(target_os = "linux")]
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux says").count()
}

/// Waits until a thread of this name sleeps in this system call.
#[cfg(target_os = "linux")]
pub(crate) fn await_sleep_in(name: &str, call: libc::c_long) {
    let sleeps = || {
        fs::read_dir("/proc/self/task").expect("Linux says").any(|task| {
            let task = task.expect("Linux says").path();
            let read = |what| fs::read_to_string(task.join(what)).unwrap_or_default();
            let number = read("syscall").split(' ').next().and_then(|number| number.parse().ok());
            read("comm").trim_end() == name && number == Some(call)
        })
    };
    let mut looks = 0;
    while !sleeps() {
        looks += 1;
        assert!(looks < PATIENCE / 10, "the thread {name} does not sleep in call {call}");
        std::thread::yield_now();
    }
}

/// Waits for the threads of a dropped backend, whose drop does not wait.
pub(crate) fn await_no_threads() {
    #[cfg(target_os = "linux")]
    for name in ["kvick-uring", "kvick-reads", "kvick-io", "kvick-files"] {
        let mut looks = 0;
        while threads(name) > 0 {
            looks += 1;
            assert!(looks < PATIENCE, "a thread {name} does not end");
            std::thread::yield_now();
        }
    }
}

/// Far more looks than a thread without work needs to end.
#[cfg(target_os = "linux")]
const PATIENCE: usize = 1_000_000;
