//! Logs whose real runtime has ended, alone and in a group, used from another executor.
//!
//! The story is in `tests/api/ended_runtimes.rs`. `tests/sim/orphaned_logs.rs` covers every moment
//! of such an end.

use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use kvick::config::Backend;
use kvick::{Error, ErrorKind, FasterLog, Result, log};

use tests::deadline::block_on_within_minutes;

use super::small;
use crate::ended_runtimes::{assert_names_the_cause, on_each};

const ENTRIES: u32 = 1000;

fn entry(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(30)
}

/// Appends durable entries, the first of which leave memory, and one entry that is not durable.
async fn fill(log: FasterLog) -> Result<FasterLog> {
    for number in 0..ENTRIES {
        log.append(&entry(number)).await?;
    }
    log.commit().await?;
    log.append(b"not committed").await?;
    Ok(log)
}

/// Appends until the memory is full.
async fn overfill(log: &FasterLog) -> Error {
    for number in 0..100 * ENTRIES {
        if let Err(error) = log.append(&entry(number)).await {
            return error;
        }
    }
    panic!("64 KiB have room for everything");
}

/// Checks that calls that need a runtime fail and name the cause, and that all others work.
async fn use_orphan(log: &FasterLog) {
    let first: Vec<_> = log.scan(..).take(3).try_collect().await.expect("the device serves");
    for (found, number) in first.iter().zip(0..) {
        assert_eq!(found.payload, entry(number));
        let read = log.read(found.address).await.expect("the device serves");
        assert_eq!(read, Some(found.payload.clone()));
    }
    let mut tail = log.follow_from(log::Address::FIRST);
    let mut seen = 0;
    let end = loop {
        match tail.next().await.expect("it ends with an error") {
            Ok(found) => assert_eq!(found.payload, entry(seen)),
            Err(error) => break error,
        }
        seen += 1;
    };
    assert_names_the_cause("tail", Err::<(), _>(end));
    assert!(tail.next().await.is_none());
    let mut iterator = log.iterator("it").expect("free");
    let end = loop {
        match iterator.next().await.expect("it ends with an error") {
            Ok(found) => drop(iterator.complete_until(found.next).await),
            Err(error) => break error,
        }
    };
    assert_names_the_cause("iterator", Err::<(), _>(end));
    assert_names_the_cause("append", Err::<(), _>(overfill(log).await));
    assert_names_the_cause("append_durable", log.append_durable(b"entry").await);
    assert_names_the_cause("append_many", log.append_many(&[&[7; 9000]]).await);
    assert_names_the_cause("commit", log.commit().await);
    assert_names_the_cause("cookie", log.commit().cookie(b"cookie").await);
    assert_names_the_cause("wait_for_commit", log.wait_for_commit(log.tail_address()).await);
    assert_names_the_cause("truncate_until", log.truncate_until(first[2].address).await);
    assert_names_the_cause("truncate_suffix", log.truncate_suffix(first[2].address).await);
    assert_names_the_cause("complete", log.complete().await);
    let refused = log.append_durable(b"entry").await.expect_err("nothing maintains it");
    assert!(refused.to_string().contains("maintenance of the log"), "{refused}");
    assert_names_the_cause("health", log.health().cause.map_or(Ok(()), Err));
}

/// Checks that the log is open nowhere, and has its durable entries.
async fn reopen(path: &Path, backend: Backend) {
    let log = FasterLog::open(path, small().with_backend(backend)).await;
    let log = log.expect("the directory is free");
    let found: Vec<_> = log.scan(..).try_collect().await.expect("sound");
    assert_eq!(found.len(), ENTRIES as usize);
    assert!(found.iter().zip(0..).all(|(found, number)| found.payload == entry(number)));
    log.close().await.expect("closes");
}

/// Uses an orphaned log, closes it, and opens its directory again.
async fn end_orphan(log: FasterLog, path: &Path, backend: Backend) {
    use_orphan(&log).await;
    let again = FasterLog::open(path, small().with_backend(backend)).await;
    assert_eq!(again.expect_err("the orphan may still read from there").kind(), ErrorKind::InUse);
    for _ in 0..2 {
        assert_names_the_cause("close", log.close().await);
    }
    let closed = log.append(b"").await.expect_err("closed");
    assert_eq!(closed.kind(), ErrorKind::Closed);
    assert_eq!(closed.to_string(), "the log is closed; open it again");
    // A handle still exists here.
    reopen(path, backend).await;
}

#[test]
fn a_log_whose_runtime_has_ended_says_so() {
    on_each(|host, path, backend| {
        let place = path.to_owned();
        let log = host.run(async move |handle| {
            let builder = FasterLog::builder(small().with_backend(backend));
            fill(builder.runtime(handle).open(place).await?).await
        });
        block_on_within_minutes("an orphaned log", async {
            end_orphan(log.expect("a sound disk"), path, backend).await;
        });
    });
}

#[test]
fn the_last_handle_of_an_orphan_frees_its_directory() {
    on_each(|host, path, backend| {
        let place = path.to_owned();
        let log = host.run(async move |handle| {
            let builder = FasterLog::builder(small().with_backend(backend));
            fill(builder.runtime(handle).open(place).await?).await
        });
        block_on_within_minutes("opening where an orphan was", async {
            drop(log.expect("a sound disk"));
            reopen(path, backend).await;
        });
    });
}

#[test]
fn a_group_whose_runtime_has_ended_says_so() {
    on_each(|host, path, backend| {
        let places = ["a", "b"].map(|name| path.join(name));
        let (group, logs) = host
            .run({
                let places = places.clone();
                async move |handle| {
                    let group = log::Group::on(small().with_backend(backend), handle)?;
                    let mut logs = Vec::new();
                    for place in places {
                        logs.push(fill(group.open(place).await?).await?);
                    }
                    Ok::<_, Error>((group, logs))
                }
            })
            .expect("a sound disk");
        block_on_within_minutes("an orphaned group", async {
            let error = group.open(path.join("c")).await.expect_err("nothing maintains it");
            assert!(error.to_string().contains("has ended"), "{error}");
            for (log, place) in logs.into_iter().zip(&places) {
                end_orphan(log, place, backend).await;
            }
        });
    });
}
