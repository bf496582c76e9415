//! Lives of a log that only a lost manifest had. After a recovery from its copy, bytes that they
//! wrote may still reach the medium. They never count.

use kvick::runtime::Simulation;
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::files::{Files, open_in};
use tests::simulated::two_pages;

type Store = FasterKv<u64, u64>;

const KEYS: u64 = 2000;

fn config(falls_back: bool) -> Config {
    two_pages().with_checkpoint_on_close(false).with_allow_fallback(falls_back)
}

/// Opens the store in these files, and passes it to `work`. Returns the files that it leaves.
fn life<T>(
    files: &Files,
    falls_back: bool,
    work: impl AsyncFnOnce(&Store) -> T,
) -> Result<(Files, T)> {
    let simulation = Simulation::new(1);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = files.restore().await;
        let store: Store = open_in(&directory, config(falls_back), handle).await?;
        let result = work(&store).await;
        store.close().await?;
        Ok((Files::of(&directory).await, result))
    })
}

/// Gives all keys this value in a checkpoint of its own.
fn set_all(files: &Files, value: u64) -> Files {
    let set = async |store: &Store| {
        for key in 0..KEYS {
            store.upsert(&key, &value).await.expect("memory");
        }
        store.checkpoint().fold_over().await.expect("memory");
        store.recovery().is_some_and(|report| report.from_copy)
    };
    let (files, from_copy) = life(files, true, set).expect("memory");
    assert_eq!(from_copy, value == 3);
    files
}

#[test]
fn bytes_of_a_lost_life_do_not_count() {
    let first = set_all(&Files::default(), 1);
    let lost = set_all(&first, 2);
    // The newest manifest is damaged, and its copy was never written.
    let damaged = lost.with("manifest", |bytes| bytes[40] ^= 1);
    let damaged = damaged.replaced("manifest.copy", &first.0["manifest"]);
    let third = set_all(&damaged, 3);
    // What the lost life has written lands again, in place of what the third one has written.
    let mut late = third.clone();
    let mut landed = 0;
    for (name, bytes) in late.0.iter_mut().filter(|(name, _)| name.starts_with("log.")) {
        let from = first.0.get(name).map_or(0, Vec::len);
        let old = lost.0.get(name).map_or(&[] as &[u8], Vec::as_slice);
        let end = old.len().min(bytes.len());
        if from < end {
            bytes[from..end].copy_from_slice(&old[from..end]);
            landed += end - from;
        }
    }
    assert!(landed > 20_000, "{landed} bytes");
    let read = async |store: &Store| {
        let mut corrupt = 0;
        for key in 0..KEYS {
            match store.read(&key).await {
                Ok(found) => assert_eq!(found, Some(3), "key {key}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    corrupt += 1;
                }
            }
        }
        corrupt
    };
    match life(&late, false, read) {
        Ok((_, corrupt)) => assert!(corrupt > KEYS / 2, "{corrupt}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
    }
    assert_eq!(life(&third, false, read).expect("sound").1, 0);
}
