//! Data that is several times larger than its memory.
//!
//! You learn: how to write such data in batches, how to have many cold reads at a time, and how
//! `Stats` shows the places of records. A cold read is the same call as a hot one.
//!
//! ```text
//! cargo run --release --example larger_than_memory
//! ```

use futures::stream::{self, StreamExt, TryStreamExt};
use kvick::config::ByteSize;
use kvick::{Config, FasterKv};

const MEMORY: ByteSize = ByteSize::mib(8);
const RECORDS: u64 = 400_000;
const VALUE_BYTES: usize = 100;
const READS: u64 = 20_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    // The index is part of the memory.
    let config = Config::default().with_memory(MEMORY).with_expected_keys(RECORDS);
    let store: FasterKv<u64, [u8; VALUE_BYTES]> = FasterKv::open(directory.path(), config).await?;

    // A write waits only while the memory is full, so writes are as fast as the flushes of pages.
    let mut session = store.session()?;
    let mut batch = Vec::with_capacity(1000);
    for key in 0..RECORDS {
        batch.push((key, value_of(key)));
        if batch.len() == batch.capacity() {
            session.upsert_many(&batch).await?;
            batch.clear();
        }
    }

    let stats = store.stats();
    let in_memory = stats.log.mutable + stats.log.read_only;
    println!("after the writes\n{stats}\n");
    assert!(stats.log.on_device > 4 * in_memory, "most records are on disk only");
    assert!(stats.memory.index + stats.memory.frames + stats.memory.buffers <= MEMORY.bytes());

    // Single reads: each cold read waits for the device.
    assert_eq!(session.read(&0).await?, Some(value_of(0)));

    // Batches: the cold reads of a batch go to the device together.
    let keys: Vec<u64> = (0..READS).map(|n| n * (RECORDS / READS)).collect();
    for keys in keys.chunks(256) {
        let values = session.read_many(keys).await?;
        for (key, value) in keys.iter().zip(values) {
            assert_eq!(value, Some(value_of(*key)));
        }
    }

    // The operations of the handle take `&self`, so one task can have any number of them at a time.
    let first_bytes: u64 = stream::iter(&keys)
        .map(|key| store.read_with(key, |value| u64::from(value[0])))
        .buffer_unordered(64)
        .try_fold(0, async |sum, byte| Ok(sum + byte.unwrap_or(0)))
        .await?;
    let expected: u64 = keys.iter().map(|key| u64::from(value_of(*key)[0])).sum();
    assert_eq!(first_bytes, expected);

    // A change of a cold record reads the old value from the device, and appends the new one.
    session.rmw(&1, |value| value.map_or([0; VALUE_BYTES], |v| v.map(|b| !b))).await?;
    assert_eq!(session.read(&1).await?, Some(value_of(1).map(|b| !b)));

    let stats = store.stats();
    println!("after the reads\n{stats}");
    assert!(stats.hits.on_device > READS);
    store.close().await?;
    Ok(())
}

fn value_of(key: u64) -> [u8; VALUE_BYTES] {
    let bytes = key.to_le_bytes();
    std::array::from_fn(|place| bytes[place % bytes.len()])
}
