//! Where readers of the log end and go on: at the end of a range, past other tables, after a crash.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use kvick::checkpoint::Kind;
use kvick::feed::Address;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Database, FasterKv, Result};
use tests::configs::{many_pages, memory_store};
use tests::simulated::small_configs;

use super::{KEYS, end_of, value};

/// The page of its end was full and on the device before it was read. So records of later writes
/// showed, or the read ended within one of them, which was taken for damage.
#[test]
fn a_range_without_an_end_ends_with_the_log_at_its_call() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            for key in 0..50 {
                // It begins with a unit, and ends at any place of it.
                store.upsert(&key, &value(key, key)).await?;
                let all: Vec<_> = store.log_records(..).try_collect().await?;
                let readers = [
                    store.log_records(..),
                    store.log_records(all[0].next..),
                    store.log_records(..Address::new(1 << 40)),
                ];
                for other in 1..20 {
                    store.upsert(&(100 + other), &value(other, key)).await?;
                }
                store.flush_and_evict().await?;
                for (reader, skipped) in readers.into_iter().zip([0, 1, 0]) {
                    let shown: Vec<_> = reader.try_collect().await?;
                    assert_eq!(shown, all[skipped..], "after key {key}");
                }
            }
            store.close().await
        })?;
    }
    Ok(())
}

/// The position stayed at the end of the last record of the table. So it was before the log by the
/// time that it was used, although nothing was missed.
#[test]
fn a_position_goes_past_records_of_other_tables() -> Result<()> {
    for config in small_configs() {
        let directory = Arc::new(MemoryDirectory::new());
        block_on(async {
            let builder = Database::builder(config).directory(directory);
            let database: Database = builder.open_in_directory().await?;
            let followed: FasterKv<u64, u64> = database.table("followed").await?;
            let other: FasterKv<u64, u64> = database.table("other").await?;
            let mut changes = followed.subscribe();
            followed.upsert(&1, &1).await?;
            followed.flush().await?;
            let shown = changes.try_next().await?.expect("it never ends");
            assert_eq!(changes.position(), shown.next);
            for round in 0..20 {
                other.upsert_each((0..KEYS).map(|key| (key, round))).await?;
                other.flush().await?;
            }
            let end = end_of(&followed).await?;
            for _ in 0..10_000 {
                assert!(changes.next().now_or_never().is_none(), "it has seen the only record");
                if changes.position() >= end {
                    break;
                }
            }
            assert!(changes.position() >= end, "{} before {end}", changes.position());
            other.compact().await?;
            other.flush().await?;
            let mut again = followed.subscribe_from(changes.position());
            let copy = again.try_next().await?.expect("it never ends");
            assert!(copy.key == 1 && copy.address >= end, "{copy:?}");
            database.close().await
        })?;
    }
    Ok(())
}

/// The device answers at once. The whole log was read in one poll if it had no record to show.
#[test]
fn other_tasks_run_between_reads() -> Result<()> {
    block_on(async {
        let builder = Database::builder(many_pages()).directory(Arc::new(MemoryDirectory::new()));
        let database: Database = builder.open_in_directory().await?;
        let empty: FasterKv<u64, u64> = database.table("empty").await?;
        let other: FasterKv<u64, u64> = database.table("other").await?;
        for round in 0..60 {
            other.upsert_each((0..KEYS).map(|key| (key, round))).await?;
            other.flush_and_evict().await?;
        }
        let end = end_of(&other).await?;
        let mut changes = empty.subscribe_from(Address::FIRST);
        let mut polls = 0;
        while changes.position() < end {
            let before = changes.position().raw();
            assert!(changes.next().now_or_never().is_none(), "it has no record");
            assert!(changes.position().raw() - before <= 256 << 10, "{before} to {changes:?}");
            polls += 1;
            assert!(polls < 10_000, "it goes on: {changes:?}");
        }
        assert!(polls > 3, "{end} in {polls} polls");
        database.close().await
    })
}

/// A crash takes records that a subscriber had seen, and tells from where on.
#[test]
fn a_recovery_tells_what_readers_can_rely_on() -> Result<()> {
    for (config, kind) in small_configs()
        .into_iter()
        .zip([Kind::FoldOver, Kind::Incremental, Kind::Snapshot].into_iter().cycle())
    {
        let directory = Arc::new(MemoryDirectory::new());
        let open = async || {
            let config = config.clone().with_checkpoint_on_close(false);
            let builder = FasterKv::<u64, u64>::builder(config);
            builder.directory(Arc::clone(&directory) as _).open_in_directory().await
        };
        block_on(async {
            let store = open().await?;
            assert!(store.recovery().is_none());
            store.close().await?;
            let store = open().await?;
            assert_eq!(store.recovery().expect("it exists").kept_until, None);
            store.upsert_each((0..5 * KEYS).map(|key| (key, 1))).await?;
            store.checkpoint().kind(kind).await?;
            // The same records change in place, if they are mutable.
            store.upsert_each((0..5 * KEYS).map(|key| (key, 2))).await?;
            store.flush().await?;
            let mut changes = store.subscribe_from(Address::FIRST);
            let end = end_of(&store).await?;
            let mut seen = Vec::new();
            while changes.position() < end {
                seen.push(changes.try_next().await?.expect("it never ends"));
            }
            drop(changes);
            store.close().await?;
            let store = open().await?;
            let kept_until = store.recovery().expect("it exists").kept_until.expect("a checkpoint");
            let tail = end_of(&store).await?;
            assert!(kept_until < end, "{kept_until} of {end}");
            assert!(kind != Kind::FoldOver || kept_until >= tail, "{kept_until} of {tail}");
            let kept: Vec<_> = store.log_records(..kept_until).try_collect().await?;
            assert!(!kept.is_empty() && kept[..] == seen[..kept.len()], "{kind:?}");
            assert!(seen[kept.len()].address >= kept_until, "all of them are there");
            store.close().await
        })?;
    }
    Ok(())
}
