//! Bytes of an earlier process that reach the medium late.

use std::sync::Arc;

use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use tests::files::Files;

use super::{open, payloads};

/// A process was killed while a commit was on its way to the medium. The next process recovered the
/// log without this commit, truncated it there, and continued. Then the old write completed,
/// because the kernel had not dropped it. A third process found a sound commit after the end, and
/// accepted it as a commit of the log.
#[test]
fn a_late_write_after_a_truncation_is_not_in_the_log() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let first = open(&directory).await;
        first.append(b"kept").await.expect("appended");
        first.commit().await.expect("committed");
        let found = Files::of(&*directory).await;
        first.append(b"late").await.expect("appended");
        first.commit().await.expect("committed");
        let landing = Files::of(&*directory).await.0["log.000000"].clone();
        first.close().await.expect("closes");

        for writes in [false, true] {
            let directory = Arc::new(found.restore().await);
            let second = open(&directory).await;
            let mut expected = vec![b"kept".to_vec()];
            assert_eq!(payloads(&second).await, expected);
            if writes {
                second.append(b"anew").await.expect("appended");
                second.commit().await.expect("committed");
                expected.push(b"anew".to_vec());
            }
            let last = second.last_commit();
            second.close().await.expect("closes");
            let landed = Files::of(&*directory).await.with("log.000000", |bytes| {
                assert!(writes || bytes.len() < landing.len(), "the end was cut off");
                let behind = landing.get(bytes.len()..).unwrap_or_default();
                bytes.extend_from_slice(behind);
            });
            let third = open(&Arc::new(landed.restore().await)).await;
            assert_eq!(third.last_commit(), last, "writes: {writes}");
            assert_eq!(payloads(&third).await, expected, "writes: {writes}");
            third.close().await.expect("closes");
        }
    });
}
