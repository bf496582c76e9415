//! Recovery: of older commits, and with a manifest that lags, is damaged or is missing.

use std::sync::Arc;

use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterLog, Result};
use tests::files::Files;

use super::{open, payloads, small};

/// Makes commits 1 to 5, each with its number as cookie and two entries, and one entry in no
/// commit. Returns the files of the new log, and the files at the end.
async fn five_commits() -> (Files, Files) {
    let directory = Arc::new(MemoryDirectory::new());
    let log = open(&directory).await;
    let new = Files::of(&*directory).await;
    for number in 1..=5_u8 {
        log.append(&[number]).await.expect("appended");
        log.append(&[number; 1500]).await.expect("appended");
        let commit = log.commit().cookie(&[number]).await.expect("committed");
        assert_eq!(commit.number, u64::from(number));
    }
    log.append(b"not committed").await.expect("appended");
    let files = Files::of(&*directory).await;
    log.close().await.expect("closes");
    (new, files)
}

async fn open_files(files: &Files, number: Option<u64>, fallback: bool) -> Result<FasterLog> {
    let config = small().with_allow_fallback(fallback);
    let mut builder = FasterLog::builder(config).directory(Arc::new(files.restore().await));
    if let Some(number) = number {
        builder = builder.recover(number);
    }
    builder.open_in_directory().await
}

#[test]
fn any_commit_that_the_manifest_is_not_beyond_can_be_recovered() {
    block_on(async {
        let (_, files) = five_commits().await;
        for chosen in 1..=5_u8 {
            let directory = Arc::new(files.restore().await);
            let builder = FasterLog::builder(small()).directory(directory.clone());
            let log = builder.recover(u64::from(chosen)).open_in_directory().await.expect("opens");
            let recovery = log.recovery().expect("recovered").clone();
            assert_eq!(recovery.commit, log.last_commit());
            assert_eq!(
                (recovery.commit.number, &recovery.commit.cookie[..]),
                (chosen.into(), &[chosen][..])
            );
            assert_eq!(recovery.walked_entries, 2 * u64::from(chosen));
            assert_eq!(
                (recovery.dropped_bytes > 0, log.tail_address()),
                (chosen < 5, log.committed_until())
            );
            // The log continues from this commit, and the later commits do not come back.
            log.append(b"anew").await.expect("appended");
            assert_eq!(log.commit().await.expect("committed").number, u64::from(chosen) + 1);
            drop(log);
            let log = open(&directory).await;
            let mut expected = Vec::new();
            for number in 1..=chosen {
                expected.extend([vec![number], vec![number; 1500]]);
            }
            expected.push(b"anew".to_vec());
            assert_eq!(payloads(&log).await, expected);
            log.close().await.expect("closes");
        }
    });
}

#[test]
fn a_commit_that_is_not_there_is_refused() {
    block_on(async {
        let (new, files) = five_commits().await;
        let error = open_files(&files, Some(6), false).await.expect_err("not there");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("commit 6: there are commits 0 to 5"), "{error}");
        let log = open_files(&new, Some(0), false).await.expect("as it was created");
        log.close().await.expect("closes");
        let error = open_files(&Files::default(), Some(1), false).await.expect_err("no log");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("commit 1: there is no log in"), "{error}");
        // The refusal changed nothing.
        let log = open_files(&files, None, false).await.expect("opens");
        assert_eq!(log.last_commit().number, 5);
        log.close().await.expect("closes");
    });
}

#[test]
fn a_log_opens_with_a_manifest_that_lags() {
    block_on(async {
        let (new, files) = five_commits().await;
        let old = files.replaced("manifest", &new.0["manifest"]);
        let log = open_files(&old, None, false).await.expect("opens");
        assert_eq!((log.last_commit().number, payloads(&log).await.len()), (5, 10));
        assert_eq!(log.last_commit().cookie, [5]);
        log.close().await.expect("closes");
    });
}

#[test]
fn without_a_manifest_its_copy_is_used_if_it_may_be() {
    block_on(async {
        let (_, files) = five_commits().await;
        let damaged = files.with("manifest", |bytes| bytes[40] ^= 1);
        let cases =
            [(files.without("manifest"), ErrorKind::NotFound), (damaged, ErrorKind::Corrupt)];
        for (files, kind) in cases {
            let error = open_files(&files, None, false).await.expect_err("damaged");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains("manifest"), "{error}");
            let log = open_files(&files, None, true).await.expect("falls back");
            assert_eq!((log.last_commit().number, payloads(&log).await.len()), (5, 10));
            log.close().await.expect("closes");
        }
        let neither = files.without("manifest").without("manifest.copy");
        for fallback in [false, true] {
            let error = open_files(&neither, None, fallback).await.expect_err("neither");
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(
                error.to_string().contains("manifest and manifest.copy are missing"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_missing_file_is_named() {
    block_on(async {
        let (_, files) = five_commits().await;
        let directory = Arc::new(files.restore().await);
        open(&directory).await.close().await.expect("closes");
        let closed = Files::of(&*directory).await;
        let error = open_files(&closed.without("log.000000"), None, false).await;
        let error = error.expect_err("the log is missing");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("log.000000"), "{error}");
        let cut = closed.with("log.000000", |bytes| bytes.truncate(4096));
        let error = open_files(&cut, None, false).await.expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("log.000000 at offset 4096"), "{error}");
    });
}
