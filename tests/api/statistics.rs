//! Statistics, whose numbers add up.

use kvick::runtime::block_on;
use kvick::stats::Stats;
use kvick::{FasterKv, Result};
use tests::configs::memory_store;
use tests::simulated::{small_configs, two_pages};

fn finished(stats: &Stats) -> u64 {
    let operations = stats.operations;
    operations.reads + operations.upserts + operations.modifies + operations.deletes
}

fn hits(stats: &Stats) -> u64 {
    stats.hits.mutable + stats.hits.read_only + stats.hits.on_device + stats.hits.absent
}

#[test]
fn every_operation_counts_once_and_hits_once() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            let mut session = store.session()?;
            for key in 0..500 {
                session.upsert(&key, &[7; 20]).await?;
            }
            for key in 0..600 {
                store.read(&key).await?;
                session.contains(&key).await?;
                session.read_with(&key, <[u8]>::len).await?;
            }
            let keys: Vec<u64> = (0..100).collect();
            session.read_many(&keys).await?;
            store.flush().await?;
            for key in 0..50 {
                session.rmw(&key, |value| value.unwrap_or_default()).await?;
                session.insert_if_absent(&key, b"x").await?;
                session.compare_and_swap(&key, b"x", b"y").await?;
                store.delete(&key).await?;
            }
            store.rmw_many(&keys, |_, _| vec![1]).await?;
            let pairs: Vec<(u64, Vec<u8>)> = keys.iter().map(|key| (*key, vec![2])).collect();
            session.upsert_many(&pairs).await?;
            drop(session);
            let stats = store.stats();
            assert_eq!(stats.operations.upserts, 600);
            assert_eq!(stats.operations.reads, 1900);
            assert_eq!(stats.operations.modifies, 250);
            assert_eq!(stats.operations.deletes, 50);
            assert_eq!(hits(&stats), finished(&stats), "{stats:?}");
            store.close().await
        })?;
    }
    Ok(())
}

#[test]
fn hits_show_the_place_of_the_record() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(small_configs().swap_remove(1));
    block_on(async {
        let mut session = store.session()?;
        let hits = async |session: &mut kvick::Session<u64, u64>| -> Result<[u64; 4]> {
            let before = store.stats().hits;
            session.read(&1).await?;
            let after = store.stats().hits;
            Ok([
                after.mutable - before.mutable,
                after.read_only - before.read_only,
                after.on_device - before.on_device,
                after.absent - before.absent,
            ])
        };
        assert_eq!(hits(&mut session).await?, [0, 0, 0, 1]);
        session.upsert(&1, &1).await?;
        assert_eq!(hits(&mut session).await?, [1, 0, 0, 0]);
        store.flush().await?;
        assert_eq!(hits(&mut session).await?, [0, 1, 0, 0]);
        store.flush_and_evict().await?;
        let before = store.stats();
        assert_eq!(hits(&mut session).await?, [0, 0, 1, 0]);
        let after = store.stats();
        assert_eq!(after.suspensions - before.suspensions, 1);
        assert_eq!(after.device.reads - before.device.reads, 1);
        assert!(after.device.read_bytes - before.device.read_bytes >= 24);
        store.close().await
    })
}

#[test]
fn bytes_and_appends_follow_the_log() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_pages());
    block_on(async {
        let begin = store.stats();
        assert_eq!(begin.appends, 0);
        store.upsert(&1, &1).await?;
        store.upsert(&1, &2).await?;
        let stats = store.stats();
        assert_eq!(stats.appends, 1, "the second was in place");
        assert!(stats.log.mutable >= 24 && stats.log.on_device == 0, "{stats:?}");
        store.flush_and_evict().await?;
        let stats = store.stats();
        assert_eq!([stats.log.mutable, stats.log.read_only], [0, 0], "{stats:?}");
        assert!(stats.log.on_device >= 24, "{stats:?}");
        assert!(stats.device.writes >= 1 && stats.device.write_bytes >= 512, "{stats:?}");
        assert!(stats.device.bytes_stored >= 512, "{stats:?}");
        let memory = stats.memory;
        let sum = memory.index + memory.frames + memory.buffers;
        assert!(sum <= store.config().memory.bytes(), "{memory:?}");
        assert_eq!(memory.frames, 2 * 4096, "{memory:?}");
        let stats = store.stats();
        let device = stats.device;
        assert!(device.write_latency_p50 <= device.write_latency_p99, "{device:?}");
        store.close().await
    })
}

#[test]
fn seats_come_and_go_and_their_counts_stay() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_pages());
    let begin = store.stats().seats;
    let mut sessions: Vec<_> = (0..10).map(|_| store.session()).collect::<Result<_>>()?;
    assert_eq!(store.stats().seats, begin + 10);
    for session in &mut sessions {
        block_on(session.upsert(&1, &1))?;
    }
    drop(sessions);
    let stats = store.stats();
    assert_eq!(stats.seats, begin);
    assert_eq!(stats.operations.upserts, 10);
    block_on(store.close())
}
