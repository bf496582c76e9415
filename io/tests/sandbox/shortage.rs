//! A limit on tasks, as containers have: the kernel starts no thread, for us or for itself.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, Directory, ErrorClass, IoConfig,
    open_directory,
};

use crate::alone::alone;
use crate::process::{become_nobody, limit_tasks};

const BACKENDS: [BackendChoice; 2] = [BackendChoice::Auto, BackendChoice::Threads];

/// Returns a directory that a user without privileges may use, and makes this process that user.
fn unprivileged() -> Option<tempfile::TempDir> {
    let place = tempfile::tempdir_in("/tmp").expect("a directory for scratch");
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777))
        .expect("it is our own");
    match become_nobody() {
        Ok(()) => Some(place),
        Err(error) => {
            println!("skipped: only root can change its user: {error}");
            None
        }
    }
}

fn open(path: &Path, backend: BackendChoice) -> io::Result<Arc<dyn Directory>> {
    open_directory(path, &IoConfig { backend, ..IoConfig::default() })
}

fn use_device(directory: &dyn Directory) {
    pollster::block_on(async {
        // Several segments, and syncs: the kernel hands these to its own threads.
        let options = DeviceOptions { segment_bytes: 1 << 16, create: true };
        let device: Arc<dyn Device> =
            directory.open_device("log", options).await.expect("it opens");
        for segment in 0..3 {
            let offset = segment << 16;
            let written = device.write_at(offset, AlignedBuf::zeroed(1 << 16)).await;
            written.result.expect("it is written");
            device.sync().await.result.expect("it is synced");
            let read = device.read_at(offset, AlignedBuf::zeroed(4096)).await;
            read.result.expect("it is read");
        }
    });
}

/// The first write of a store on io_uring failed with `Operation canceled`, that of a store on
/// threads with `its thread panicked`. Both stores refused every later write.
#[test]
fn a_backend_that_has_started_needs_no_further_task() {
    alone("shortage::a_backend_that_has_started_needs_no_further_task", || {
        let Some(place) = unprivileged() else { return };
        for (index, backend) in BACKENDS.into_iter().enumerate() {
            let directory = open(&place.path().join(index.to_string()), backend).unwrap();
            limit_tasks(1);
            use_device(&*directory);
            limit_tasks(1024);
        }
    });
}

#[test]
fn a_backend_that_gets_no_thread_says_so_and_starts_later() {
    alone("shortage::a_backend_that_gets_no_thread_says_so_and_starts_later", || {
        let Some(place) = unprivileged() else { return };
        for (index, backend) in BACKENDS.into_iter().enumerate() {
            let path = place.path().join(index.to_string());
            limit_tasks(1);
            let error = open(&path, backend).expect_err("the system starts no thread");
            assert!(error.to_string().contains("starting a thread kvick-"), "{error}");
            assert_eq!(ErrorClass::of(&error), ErrorClass::NotNow, "{error}");
            limit_tasks(1024);
            use_device(&*open(&path, backend).unwrap());
        }
    });
}
