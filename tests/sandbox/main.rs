//! Stores and logs in special processes: one whose kernel begins to refuse io_uring, and a forked
//! child.

#![cfg(all(target_os = "linux", target_endian = "little"))]

#[path = "../../io/tests/sandbox/alone.rs"]
mod alone;
#[path = "../../io/tests/sandbox/fork.rs"]
mod fork;
mod forked;
mod large_values;
#[path = "../../io/tests/sandbox/seccomp.rs"]
mod seccomp;

use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use kvick::{Config, Error, FasterKv, FasterLog, Result, log};

use crate::alone::alone;
use crate::seccomp::Refusal;

/// Makes the kernel refuse io_uring on every thread, and returns whether it can.
fn refuse_rings() -> bool {
    let refusal = Refusal::of(libc::SYS_io_uring_enter, libc::EPERM);
    let installed = refusal.install(libc::SECCOMP_FILTER_FLAG_TSYNC);
    installed.inspect_err(|error| println!("skipped: no seccomp filters here: {error}")).is_ok()
}

/// Checks that the operation failed, and that the error names the cause.
fn expect_cause<T>(outcome: Result<T>) {
    let Err(error) = outcome else { panic!("it succeeded without a ring") };
    let text = chain(&error);
    assert!(text.contains("io_uring failed") && text.contains("not permitted"), "{text}");
}

fn chain(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |it| it.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns whether this process can use io_uring for files.
fn has_rings() -> bool {
    use kvick::io::{BackendChoice, IoConfig, open_directory};

    let place = tempfile::tempdir().expect("a directory for scratch");
    let config = IoConfig { backend: BackendChoice::Uring, ..IoConfig::default() };
    let opened = open_directory(place.path(), &config);
    opened.inspect_err(|error| println!("skipped: {error}")).is_ok()
}

/// A pending `append_durable`, the next one and `close` hung.
#[test]
fn a_log_whose_ring_is_refused_says_so_and_opens_again() {
    alone("a_log_whose_ring_is_refused_says_so_and_opens_again", || {
        let place = tempfile::tempdir().expect("a directory for scratch");
        let config = log::Config::default().with_memory(ByteSize::mib(1)).with_huge_pages(false);
        block_on(async {
            let log = FasterLog::open(place.path(), config.clone()).await.expect("opens");
            log.append_durable(b"before").await.expect("the ring works");
            if !has_rings() || !refuse_rings() {
                return;
            }
            expect_cause(log.append_durable(b"after").await);
            expect_cause(log.append_durable(b"later").await);
            expect_cause(log.close().await);
            drop(log);

            let log = FasterLog::open(place.path(), config).await.expect("threads serve");
            let entries: Vec<_> = log.scan(..).try_collect().await.expect("sound");
            assert_eq!(entries[0].payload[..], b"before"[..]);
            log.append_durable(b"again").await.expect("threads serve");
            log.close().await.expect("closes");
        });
    });
}

/// Reads from the device hung, and so did `checkpoint` and `close`.
#[test]
fn a_store_whose_ring_is_refused_says_so_and_opens_again() {
    alone("a_store_whose_ring_is_refused_says_so_and_opens_again", || {
        let place = tempfile::tempdir().expect("a directory for scratch");
        let config = Config::default().with_memory(ByteSize::mib(1)).with_huge_pages(false);
        block_on(async {
            let open = || FasterKv::<u64, u64>::open(place.path(), config.clone());
            let store = open().await.expect("opens");
            for key in 0..1000 {
                store.upsert(&key, &(key * 3)).await.expect("written");
            }
            store.checkpoint().await.expect("taken");
            store.flush_and_evict().await.expect("evicted");
            assert_eq!(store.read(&7).await.expect("the ring works"), Some(21));
            if !has_rings() || !refuse_rings() {
                return;
            }
            // Small reads may need no ring until it has failed.
            for key in [7, 500, 999] {
                match store.read(&key).await {
                    Ok(found) => assert_eq!(found, Some(key * 3)),
                    outcome => expect_cause(outcome),
                }
            }
            store.upsert(&1000, &1).await.expect("there is room in memory");
            expect_cause(store.checkpoint().await);
            // The others are in memory now.
            for key in [8, 501, 998] {
                expect_cause(store.read(&key).await);
            }
            store.upsert(&7, &22).await.expect("there is room in memory");
            assert_eq!(store.read(&7).await.expect("it is in memory"), Some(22));
            expect_cause(store.checkpoint().await);
            expect_cause(store.close().await);
            drop(store);

            let store = open().await.expect("threads serve");
            assert_eq!(store.read(&7).await.expect("threads serve"), Some(21));
            store.close().await.expect("closes");
        });
    });
}
