//! Refusals of a sandbox or an old kernel from the start: io_uring, and direct I/O.
//!
//! Each test installs a seccomp filter on a thread of its own. The filter applies to this thread
//! and the threads that it starts, including the threads of the backend, until they end. The other
//! tests do not notice it.

use std::io;
use std::thread;

use kvick_io::{AlignedBuf, BackendChoice, DeviceOptions, IoConfig, open_directory};

use crate::seccomp::Refusal;

/// Runs `test` under `refusal`. Prints a message if the kernel has no filters.
fn under(refusal: Refusal, test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let sandbox = scope.spawn(move || match refusal.install(0) {
            Ok(()) => test(),
            Err(error) => println!("skipped: no seccomp filters here: {error}"),
        });
        sandbox.join().expect("the test passes in the sandbox");
    });
}

/// Opens a device in a new directory, writes and reads. Returns the name of the backend and whether
/// it bypasses the page cache.
fn use_device(backend: BackendChoice) -> io::Result<(&'static str, bool)> {
    let place = tempfile::tempdir()?;
    let config = IoConfig { backend, ..IoConfig::default() };
    pollster::block_on(async {
        let directory = open_directory(place.path(), &config)?;
        let device = directory.open_device("log", DeviceOptions::default()).await?;
        let mut page = AlignedBuf::zeroed(4096);
        page.fill(7);
        let mut page = device.write_at(0, page).await.into_buf()?;
        page.fill(0);
        let page = device.read_at(0, page).await.into_buf()?;
        assert!(page.iter().all(|&byte| byte == 7));
        device.sync().await.result?;
        assert_eq!(directory.list().await?, ["log.000000"], "a probe leaves no file");
        let geometry = device.geometry();
        Ok((geometry.backend, geometry.direct))
    })
}

fn assert_falls_back(refusal: Refusal) {
    under(refusal, || {
        let (backend, _) = use_device(BackendChoice::Auto).expect("threads serve");
        assert_eq!(backend, "threads", "errno {}", refusal.errno);
        let error = use_device(BackendChoice::Uring).expect_err("it is denied");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    });
}

#[test]
fn a_ring_that_is_denied_gives_way_to_threads() {
    for errno in [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL, libc::ENOMEM] {
        assert_falls_back(Refusal::of(libc::SYS_io_uring_setup, errno));
    }
}

#[test]
fn a_ring_that_can_be_made_but_not_used_gives_way_to_threads() {
    for call in [libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        assert_falls_back(Refusal::of(call, libc::EPERM));
        assert_falls_back(Refusal::of(call, libc::ENOSYS));
    }
}

#[test]
fn an_error_that_is_no_denial_is_not_hidden() {
    under(Refusal::of(libc::SYS_io_uring_setup, libc::EMFILE), || {
        let error = use_device(BackendChoice::Auto).unwrap_err();
        assert!(error.to_string().contains("io_uring"), "{error}");
    });
}

#[test]
fn a_file_system_without_direct_transfers_goes_through_the_page_cache() {
    let refusal =
        Refusal { only: Some((2, libc::O_DIRECT)), ..Refusal::of(libc::SYS_openat, libc::EINVAL) };
    for backend in [BackendChoice::Auto, BackendChoice::Threads] {
        under(refusal, || {
            let (_, direct) = use_device(backend).unwrap();
            assert!(!direct, "the page cache serves");
        });
    }
}
