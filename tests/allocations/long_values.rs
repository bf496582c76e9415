//! How often a value that does not fit in a page is in memory at once, beyond the memory of the
//! store.
//!
//! A value of 100 MB took three times itself, and nothing said so or kept it from becoming more:
//! its pieces were kept until they were put together, and what a new value was made of was kept
//! while that was being stored.

use std::fmt::Debug;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result};
use tests::allocations::peak;
use tests::configs::memory_store;

const LENGTH: usize = 64 << 20;

/// What is on its way, a few pieces of 256 KiB, and the list of all pieces.
const SLACK: u64 = 4 << 20;

/// A store with a fraction of the value in memory. The device is memory, too, of another thread.
fn store() -> FasterKv<u64, [u8]> {
    let config = Config::default().with_memory(ByteSize::mib(16)).with_expected_keys(1000);
    memory_store(config.with_backend(Backend::Memory).with_huge_pages(false))
}

/// Runs `operation`, during which this thread has at most `times` values more than before; what it
/// gives counts.
#[track_caller]
fn takes<T: Debug>(times: u64, operation: impl Future<Output = Result<T>>) -> T {
    let (done, bytes) = peak(|| block_on(operation));
    let most = times * LENGTH as u64 + SLACK;
    assert!(bytes <= most, "{bytes} bytes, {most} allowed");
    done.expect("sound memory")
}

#[test]
fn a_long_value_is_in_memory_few_times() {
    let (store, value) = (store(), vec![7; LENGTH]);
    // A copy, of which the pieces are made.
    takes(1, store.upsert(&1, &value));
    block_on(store.flush_and_evict()).expect("sound memory");
    // It is put together, and looked at; or copied as the answer.
    assert_eq!(takes(1, store.read_with(&1, <[u8]>::len)), Some(LENGTH));
    let answer = takes(2, store.read(&1));
    assert!(answer.is_some_and(|answer| answer == value));
    assert!(takes(0, store.contains(&1)));
    // It is put together, decoded and changed; of the new one a copy, while the first is let go.
    let grow = |found: Option<Vec<u8>>| {
        let mut found = found.unwrap_or_default();
        found[0] += 1;
        found
    };
    takes(3, store.rmw(&1, grow));
    assert_eq!(takes(1, store.read_with(&1, |value| value[0])), Some(8));
    // A new value that has nothing to do with the old one.
    takes(1, store.upsert(&1, &value));
    assert!(!takes(1, store.compare_and_swap(&1, &[], &[])));
    takes(0, store.delete(&1));
}
