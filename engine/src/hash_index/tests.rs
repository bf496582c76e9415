//! Tests the index against a map, and its races under loom.

use super::*;

/// Returns the sizes of an index between two numbers of buckets, that begins with the first.
fn sizes(buckets: u64, limit: u64) -> IndexSizes {
    IndexSizes { root_bits: buckets.ilog2(), least: 1 << buckets.ilog2(), buckets, limit }
}

fn index(buckets: u64, limit: u64) -> HashIndex {
    HashIndex::new(sizes(buckets, limit), false).expect("memory")
}

#[cfg(not(loom))]
mod plain;

#[cfg(loom)]
mod races;
