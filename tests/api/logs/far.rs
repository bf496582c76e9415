//! Logs with very large addresses, of up to 64 bits, and the end of these addresses.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterLog, log};
use tests::files::Files;

/// The number of pages at the end of the addresses: 1024 stay unused, and 16 are for commits only.
const KEPT_PAGES: u64 = 1024 + 16;
const MOST_PAGES: u64 = 1 << 36;
const PAGES: [u64; 3] = [4, 16, 64];

fn config(page_kib: u64) -> log::Config {
    log::Config::default()
        .with_memory(ByteSize::kib(page_kib * 16))
        .with_page_size(ByteSize::kib(page_kib))
        .with_segment_size(ByteSize::kib(page_kib * 8))
        .with_huge_pages(false)
}

async fn open(directory: &Arc<MemoryDirectory>, page_kib: u64) -> FasterLog {
    loop {
        let directory: Arc<MemoryDirectory> = Arc::clone(directory);
        match FasterLog::builder(config(page_kib)).directory(directory).open_in_directory().await {
            Ok(log) => return log,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "{error}"),
        }
    }
}

/// Returns an empty log that begins at `at`, as if all addresses before it had been truncated.
async fn moved_to(at: u64, page_kib: u64) -> Arc<MemoryDirectory> {
    let directory = Arc::new(MemoryDirectory::new());
    open(&directory, page_kib).await.close().await.expect("closes");
    let mut files = Files::of(&*directory).await;
    files.0.retain(|name, _| name == "manifest");
    let files = files.with_manifest(|text| {
        let line = |line: &str| match line.split_once(" = ") {
            Some((name @ ("until" | "begin"), _)) => format!("{name} = {at}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    });
    Arc::new(files.restore().await)
}

async fn all(log: &FasterLog) -> Vec<(log::Address, Vec<u8>)> {
    let entries = log.scan(..).map_ok(|entry| (entry.address, entry.payload.to_vec()));
    entries.try_collect().await.expect("sound")
}

/// A log with pages of 4 KiB panicked in `append` after 16 TiB. A log with larger pages
/// acknowledged commits beyond 2^48, and could not be opened again. The tail had 32 bits for the
/// page, and the checks of manifests and records used the 48 bits of a store.
#[test]
fn addresses_go_on_where_those_of_a_store_end() {
    for page_kib in PAGES {
        for end in [1_u64 << 44, 1 << 47, (1 << 48) - ((2000 * page_kib) << 10)] {
            block_on(async {
                let directory = moved_to(end - ((2 * page_kib) << 10), page_kib).await;
                let mut expected = Vec::new();
                for life in 0..2 {
                    let log = open(&directory, page_kib).await;
                    assert_eq!(all(&log).await, expected, "pages of {page_kib} KiB, life {life}");
                    for length in [992, 10, 3000, 0, 9000] {
                        for _ in 0..page_kib {
                            let entry = vec![7; length];
                            expected.push((log.append(&entry).await.expect("appended"), entry));
                        }
                    }
                    log.commit().await.expect("committed");
                    log.close().await.expect("closes");
                }
                assert!(expected.last().expect("some").0.raw() > end);
                let check = log::check(directory).await.expect("a log");
                assert!(check.is_sound() && check.entries == expected.len() as u64, "{check:?}");
            });
        }
    }
}

/// At the end of its addresses a log panicked, or could not be opened again. Now the log refuses
/// appends earlier, while commits still have room, in this life and in the next one.
#[test]
fn appends_are_refused_in_time_for_a_last_commit() {
    for page_kib in PAGES {
        block_on(async {
            let page = page_kib << 10;
            let end = (MOST_PAGES - KEPT_PAGES) * page;
            let directory = moved_to(end - 3 * page, page_kib).await;
            let log = open(&directory, page_kib).await;
            let mut expected = Vec::new();
            let refusal = loop {
                assert!(expected.len() < 1000, "it has no end");
                match log.append(&[7; 992]).await {
                    Ok(address) => expected.push((address, vec![7; 992])),
                    Err(error) => break error,
                }
            };
            assert_eq!(refusal.kind(), ErrorKind::AddressesExhausted, "{refusal}");
            let text = refusal.to_string();
            assert!(text.contains("addresses") && text.contains("new directory"), "{text}");
            let large = vec![1; 3 * usize::try_from(page).expect("small")];
            for error in [
                log.try_append(&[7; 992]).expect_err("the end"),
                log.append(&large).await.expect_err("the end"),
                log.try_append(&large).expect_err("the end"),
                log.append_many(&[[7; 992]; 8]).await.expect_err("the end"),
                log.wait_for_room(992).await.expect_err("the end"),
            ] {
                assert_eq!(error.kind(), ErrorKind::AddressesExhausted, "{error}");
            }
            let last = expected.last().expect("some").0;
            assert!(last.raw() < end && last.raw() > end - page, "{last} and {end}");
            log.commit().await.expect("committed");
            for number in 0..20_u8 {
                log.commit().cookie(&[number]).await.expect("committed");
            }
            log.close().await.expect("closes");
            for _ in 0..2 {
                let log = open(&directory, page_kib).await;
                assert_eq!(all(&log).await, expected);
                let error = log.append(&[7; 992]).await.expect_err("the end");
                assert_eq!(error.kind(), ErrorKind::AddressesExhausted, "{error}");
                log.commit().cookie(b"again").await.expect("committed");
                log.close().await.expect("closes");
            }
            let log = open(&directory, page_kib).await;
            log.truncate_until(last).await.expect("truncated");
            log.complete().await.expect("completed");
            assert_eq!(all(&log).await, expected[expected.len() - 1..]);
            assert_eq!(log.follow_from(last).collect::<Vec<_>>().await.len(), 1);
            log.close().await.expect("closes");
        });
    }
}

/// No log has ever written a manifest with addresses beyond the end.
#[test]
fn a_manifest_beyond_the_end_contradicts_itself() {
    block_on(async {
        for at in [MOST_PAGES << 12, 1 << 61, 1 << 62, (1 << 63) - (1 << 40)] {
            let directory = moved_to(at, 4).await;
            let opened = FasterLog::builder(config(4)).directory(directory).open_in_directory();
            let error = opened.await.expect_err("beyond the end");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    });
}
