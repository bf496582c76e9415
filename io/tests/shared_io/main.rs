//! Many directories on one backend: transfers, threads, descriptors, ends, failures.
//!
//! The counts of threads and descriptors include the whole process, so the tests of this program
//! take turns.

#[cfg(target_os = "linux")]
mod costs;
mod directories;
mod process;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kvick_io::{BackendChoice, Device, DeviceOptions, Directory, IoConfig, SharedIo};
use tempfile::TempDir;

/// A multiple of every possible block.
const PAGE: usize = 4096;

/// A backend for many directories, and a place for them.
struct House {
    backend: BackendChoice,
    io: SharedIo,
    place: TempDir,
}

impl House {
    fn new(backend: BackendChoice) -> io::Result<Self> {
        // Tiny, so that queues fill and limits apply.
        let config = IoConfig { backend, depth: 8, threads: 3, ..IoConfig::default() };
        Ok(Self { backend, io: SharedIo::new(config)?, place: tempfile::tempdir()? })
    }

    fn path(&self, index: usize) -> PathBuf {
        self.place.path().join(format!("log-{index}"))
    }

    fn directory(&self, index: usize) -> io::Result<Arc<dyn Directory>> {
        self.io.open_directory(&self.path(index))
    }

    /// Opens the directory with this number and its device.
    fn device(&self, index: usize) -> Arc<dyn Device> {
        let directory = self.directory(index).expect("the directory opens");
        let device = directory.open_device("log", DeviceOptions::default());
        pollster::block_on(device).expect("the device opens")
    }
}

/// Runs a test on each available backend, alone in the process.
fn on_each_backend(test: impl Fn(&House)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for backend in [BackendChoice::Uring, BackendChoice::Threads] {
        let house = House::new(backend).expect("the settings are sane");
        // Shows whether the backend is available, and leaves no thread running.
        let config = IoConfig { backend, ..IoConfig::default() };
        match kvick_io::open_directory(&house.path(0), &config).map(drop) {
            Ok(()) => {
                process::await_no_threads();
                test(&house);
                drop(house);
                process::await_no_threads();
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                println!("skipped {backend:?}: {error}");
            }
            Err(error) => panic!("{backend:?}: {error}"),
        }
    }
}
