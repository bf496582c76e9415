//! A kernel that refuses io_uring to a process whose ring is already at work.

use std::sync::Arc;

use kvick_io::{AlignedBuf, BackendChoice, Completion, Device, DeviceOptions, IoConfig, SharedIo};

use crate::alone::alone;
use crate::seccomp::Refusal;

const PAGE: usize = 4096;

/// Returns a device with one page in the directory `name`.
fn device(io: &SharedIo, root: &std::path::Path, name: &str) -> Arc<dyn Device> {
    let directory = io.open_directory(&root.join(name)).expect("the directory opens");
    let device = pollster::block_on(directory.open_device("log", DeviceOptions::default()));
    let device = device.expect("the device opens");
    pollster::block_on(device.write_at(0, page(7))).result.expect("it is written");
    device
}

fn page(byte: u8) -> AlignedBuf {
    let mut page = AlignedBuf::zeroed(PAGE);
    page.fill(byte);
    page
}

fn expect_failure(completion: Completion, cause: &str) {
    let error = pollster::block_on(completion).result.expect_err("the ring is gone");
    let text = error.to_string();
    assert!(text.contains("io_uring failed") && text.contains(cause), "{text}");
    assert!(text.contains("open the directory again"), "{text}");
}

/// Runs a device that is at work when the kernel begins to refuse its ring.
fn refuse_while_at_work(errno: i32, cause: &str) {
    let place = tempfile::tempdir().expect("a directory for scratch");
    let config = IoConfig { backend: BackendChoice::Auto, ..IoConfig::default() };
    let io = SharedIo::new(config).expect("the settings are sane");
    let before = device(&io, place.path(), "store");
    if before.geometry().backend != "uring" {
        return println!("skipped: no io_uring here");
    }
    let mut in_flight: Vec<_> =
        (0..64).map(|_| before.read_at(0, AlignedBuf::zeroed(PAGE))).collect();
    in_flight.push(before.sync());
    let refusal = Refusal::of(libc::SYS_io_uring_enter, errno);
    if let Err(error) = refusal.install(libc::SECCOMP_FILTER_FLAG_TSYNC) {
        return println!("skipped: no seccomp filters here: {error}");
    }
    // An operation that ended before has its result; every other operation names the cause.
    for completion in in_flight {
        if let Err(error) = pollster::block_on(completion).result {
            assert!(error.to_string().contains(cause), "{error}");
        }
    }
    // The driver may still be in the kernel at the first refusal: that call ends. Reads may need no
    // ring until it has failed.
    let _ = pollster::block_on(before.write_at(0, page(7))).result;
    expect_failure(before.read_at(0, AlignedBuf::zeroed(PAGE)), cause);
    expect_failure(before.write_at(0, page(8)), cause);
    expect_failure(before.write_at(1 << 30, page(8)), cause);
    expect_failure(before.sync(), cause);

    // The next directory has a working backend, and so has the same directory, opened again.
    for name in ["other", "store"] {
        let after = device(&io, place.path(), name);
        assert_eq!(after.geometry().backend, "threads");
        pollster::block_on(after.sync()).result.expect("threads serve");
        let read = pollster::block_on(after.read_at(0, AlignedBuf::zeroed(PAGE)));
        assert_eq!(read.into_buf().expect("threads serve")[..], page(7)[..]);
    }
}

/// The futures of operations in flight hung, with the tasks that awaited them. Every directory that
/// was opened afterwards got the dead backend.
#[test]
fn a_process_that_sandboxes_itself_loses_its_ring_and_nothing_hangs() {
    alone("dying::a_process_that_sandboxes_itself_loses_its_ring_and_nothing_hangs", || {
        refuse_while_at_work(libc::EPERM, "not permitted");
    });
}

/// The driver spun, and opening another directory never returned.
#[test]
fn a_kernel_that_is_short_for_seconds_is_given_up() {
    alone("dying::a_kernel_that_is_short_for_seconds_is_given_up", || {
        refuse_while_at_work(libc::EAGAIN, "refused to work for seconds");
    });
}

/// Runs a device that is at work when the kernel begins to refuse a call that small reads need.
fn refuse_small_reads(call: libc::c_long) {
    let place = tempfile::tempdir().expect("a directory for scratch");
    let io = SharedIo::new(IoConfig::default()).expect("the settings are sane");
    let device = device(&io, place.path(), "store");
    if let Err(error) = Refusal::of(call, libc::EPERM).install(libc::SECCOMP_FILTER_FLAG_TSYNC) {
        return println!("skipped: no seccomp filters here: {error}");
    }
    for index in 0..100 {
        let read = pollster::block_on(device.read_at(0, AlignedBuf::zeroed(PAGE)));
        match read.into_buf() {
            Ok(found) => assert_eq!(found[..], page(7)[..]),
            // The thread that waits loses the reads in flight at its first refusal.
            Err(error) if index < 10 => assert!(error.to_string().contains("permitted"), "{error}"),
            Err(error) => panic!("the ring is there: {error}"),
        }
    }
    pollster::block_on(device.sync()).result.expect("the ring is there");
}

#[test]
fn reads_that_callers_may_not_submit_go_through_the_ring() {
    alone("dying::reads_that_callers_may_not_submit_go_through_the_ring", || {
        refuse_small_reads(libc::SYS_io_submit);
    });
}

#[test]
fn reads_go_through_the_ring_after_their_events_were_refused() {
    alone("dying::reads_go_through_the_ring_after_their_events_were_refused", || {
        refuse_small_reads(libc::SYS_io_getevents);
    });
}
