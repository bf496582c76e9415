//! The operations of a store, one after the other.
//!
//! You learn: opening a store; reading, writing and changing keys through a session; operations on
//! many keys at once; and cold reads.
//!
//! ```text
//! cargo run --release --example basic_kv
//! ```

use kvick::config::ByteSize;
use kvick::{Config, FasterKv};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let config = Config::default().with_memory(ByteSize::mib(16));
    let store: FasterKv<str, u64> = FasterKv::open(directory.path(), config).await?;

    // Each task has one session. An operation on a record in memory is ready at the first poll.
    let mut session = store.session()?;
    session.upsert("apples", &3).await?;
    assert_eq!(session.read("apples").await?, Some(3));
    assert_eq!(session.read("pears").await?, None); // an absent key is no error

    // A read-modify-write is atomic for its key, even with concurrent writers. The closure gets a
    // copy and may run more than once.
    session.rmw("apples", |count| count.unwrap_or(0) + 1).await?;
    session.rmw("pears", |count| count.unwrap_or(0) + 1).await?;
    assert_eq!(session.read_many(&["apples", "pears"]).await?, [Some(4), Some(1)]);

    assert!(!session.insert_if_absent("apples", &100).await?);
    assert!(session.compare_and_swap("apples", &4, &5).await?);
    assert!(!session.compare_and_swap("apples", &4, &6).await?);
    session.delete("pears").await?;
    assert!(!session.contains("pears").await?);

    // The operations of a batch overlap their cache misses, and go to the device together.
    let crates: Vec<(String, u64)> = (0..1000).map(|n| (format!("crate {n}"), n)).collect();
    session.upsert_many(&crates).await?;
    session
        .rmw_many(&["crate 7", "crate 8"], |position, count| {
            count.unwrap_or(0) + 10 * (position as u64 + 1)
        })
        .await?;
    assert_eq!(session.read("crate 8").await?, Some(28));

    // The handle has the same operations. It is `Clone + Send + Sync`, for use anywhere.
    assert_eq!(store.read("apples").await?, Some(5));

    // A record on a page that has left memory is read from the device; the call is the same.
    store.flush_and_evict().await?;
    let on_device = store.stats().hits.on_device;
    assert_eq!(session.read("crate 999").await?, Some(999));
    assert_eq!(store.stats().hits.on_device, on_device + 1);

    println!("{}", store.stats());
    store.close().await?;
    Ok(())
}
