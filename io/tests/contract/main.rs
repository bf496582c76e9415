//! The contract of devices and directories, run against every implementation of this crate.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kvick_io::contract::{Subject, checks};
use kvick_io::sim::{SimDisk, SimOptions};
use kvick_io::wrap::{Throttled, Timing, Trace, Traced};
use kvick_io::{BackendChoice, BoxFuture, IoConfig, MemoryDirectory, open_directory};
use tempfile::TempDir;

fn check(fresh: impl Fn() -> Subject) {
    for (name, check) in checks() {
        println!("{name}");
        check(fresh());
    }
}

fn small() -> IoConfig {
    IoConfig { depth: 8, threads: 4, ..IoConfig::default() }
}

/// Returns `None` if this process is denied the backend.
fn real(root: &str, config: &IoConfig) -> Option<Subject> {
    let place = TempDir::new_in(root).expect("a directory for scratch");
    match open_directory(&place.path().join("store"), config) {
        Ok(directory) => Some(Subject::new(directory).keeping(place)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn check_real(root: &str, config: &IoConfig) {
    if Path::new(root).is_dir() && real(root, config).is_some() {
        check(|| real(root, config).expect("it was there a moment ago"));
    }
}

/// A clock that advances by a millisecond at each look. Nothing sleeps.
#[derive(Debug, Default)]
struct Hasty(AtomicU64);

impl Timing for Hasty {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn(move || pollster::block_on(future)).expect("a thread");
    }
}

#[test]
fn throttled() {
    check(|| {
        let memory = Arc::new(MemoryDirectory::new());
        Subject::new(Arc::new(Throttled::new(memory, 1 << 20, Arc::new(Hasty::default()))))
    });
}

#[test]
fn traced() {
    let traces = Arc::new(AtomicU64::new(0));
    check(|| {
        let (memory, traces) = (Arc::new(MemoryDirectory::new()), Arc::clone(&traces));
        let hear = move |_: &Trace| {
            traces.fetch_add(1, Ordering::Relaxed);
        };
        Subject::new(Arc::new(Traced::new(memory, Arc::new(Hasty::default()), hear)))
    });
    assert!(traces.load(Ordering::Relaxed) > 10_000, "every transfer that is awaited is reported");
}

#[test]
fn memory() {
    check(|| Subject::new(Arc::new(MemoryDirectory::new())));
}

#[test]
fn simulated() {
    check(|| {
        // The audit is stricter than the contract: it panics where a device returns an error.
        let options = SimOptions { audit: false, ..SimOptions::default() };
        let disk = SimDisk::new(1, options);
        Subject::new(disk.directory("store")).driven_by(Arc::new(disk))
    });
}

#[test]
fn threads() {
    for direct in [true, false] {
        let config = IoConfig { backend: BackendChoice::Threads, direct, ..small() };
        assert!(real("/tmp", &config).is_some(), "threads always work");
        check_real("/tmp", &config);
    }
}

#[test]
fn uring() {
    for direct in [true, false] {
        check_real("/tmp", &IoConfig { backend: BackendChoice::Uring, direct, ..small() });
    }
}

#[test]
fn on_tmpfs() {
    for backend in [BackendChoice::Uring, BackendChoice::Threads] {
        check_real("/dev/shm", &IoConfig { backend, ..small() });
    }
}
