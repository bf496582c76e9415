//! The number of copies of a long value that are in memory at once, beyond the memory of the store.
//!
//! A value of 100 MB took three times its size, and neither a document nor a test limited this. A
//! read kept all pieces until it had joined them. A write kept its source while it stored the
//! value.

use std::fmt::Debug;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result};
use tests::allocations::peak;
use tests::configs::memory_store;

const LENGTH: usize = 64 << 20;

/// The bytes that are in flight, a few pieces of 256 KiB, and the list of all pieces.
const SLACK: u64 = 4 << 20;

/// Creates a store whose memory holds a fraction of the value. Its device is the memory of another
/// thread.
fn store() -> FasterKv<u64, [u8]> {
    let config = Config::default().with_memory(ByteSize::mib(16)).with_expected_keys(1000);
    memory_store(config.with_backend(Backend::Memory).with_huge_pages(false))
}

/// Runs `operation`, and checks that this thread holds at most `times` more values meanwhile. The
/// result of the operation counts.
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
    // The store makes the pieces from one copy.
    takes(1, store.upsert(&1, &value));
    block_on(store.flush_and_evict()).expect("sound memory");
    // The store joins the pieces and shows the value, or copies it for the result.
    assert_eq!(takes(1, store.read_with(&1, <[u8]>::len)), Some(LENGTH));
    let answer = takes(2, store.read(&1));
    assert!(answer.is_some_and(|answer| answer == value));
    assert!(takes(0, store.contains(&1)));
    // The store joins, decodes and changes the value. It drops the old value before it stores a
    // copy of the new one.
    let grow = |found: Option<Vec<u8>>| {
        let mut found = found.unwrap_or_default();
        found[0] += 1;
        found
    };
    takes(3, store.rmw(&1, grow));
    assert_eq!(takes(1, store.read_with(&1, |value| value[0])), Some(8));
    // The new value does not depend on the old one.
    takes(1, store.upsert(&1, &value));
    assert!(!takes(1, store.compare_and_swap(&1, &[], &[])));
    takes(0, store.delete(&1));
}
