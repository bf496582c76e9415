//! A store with edited files: it opens with the contents of a checkpoint, or returns an error.

use std::sync::Arc;

use arbitrary::Unstructured;
use kvick::io::MemoryDirectory;
use kvick::runtime::{Handle, Simulation};
use kvick::{Config, FasterKv, Result};

use super::edits::edited;
use super::store_files::{KEYS, STORE, config};
use crate::files::{Contents, Files, open_in};

type Store = FasterKv<u64, [u8]>;

/// The values of all keys: absent, present, or unreadable.
type Read = Vec<Result<Option<Vec<u8>>>>;

/// The keys that are written after the store was opened.
const ADDED: std::ops::Range<u64> = KEYS + 1..KEYS + 4;

/// Edits the files of a store, inspects them, opens the store, reads it, writes to it, and opens it
/// again.
///
/// # Panics
/// Panics if a key has a value other than the value of the recovered checkpoint.
pub fn store_edits(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let options: u8 = input.arbitrary().unwrap_or(0);
    let files = edited(&mut input, &STORE.files, &STORE.older);
    let config = config().with_allow_fallback(options & 1 == 1);
    let simulation = Simulation::new(u64::from(options >> 4));
    let handle = simulation.handle();
    simulation.run(async {
        let directory = files.restore().await;
        if options & 2 == 2 {
            // Only a panic is of interest here.
            drop(kvick::inspect(Arc::new(directory.clone())).await);
        }
        let Ok(store) = open_in(&directory, config.clone(), handle.clone()).await else {
            assert_eq!(Files::of(&directory).await.without("lock"), files.without("lock"));
            return;
        };
        let read = read_all(&store).await;
        check(&store, &files, &read);
        if options & 4 == 4 {
            go_on(store, &directory, read, config, handle).await;
        }
    });
}

async fn read_all(store: &Store) -> Read {
    let mut read = Vec::new();
    for key in 0..=KEYS {
        read.push(store.read(&key).await);
    }
    read
}

fn check(store: &Store, files: &Files, read: &Read) {
    let nothing = Contents::<[u8]>::new();
    let chosen = store.recovery().and_then(|report| report.chosen);
    let expected = match chosen {
        Some(token) => &STORE.states[&token.version()],
        None => {
            let is_data = |name: &String| name.starts_with("log.") || name.starts_with("manifest");
            let left: Vec<&String> = files.0.keys().filter(|name| is_data(name)).collect();
            assert!(left.is_empty(), "an empty store in place of {left:?}");
            &nothing
        }
    };
    for (key, found) in (0..).zip(read) {
        if let Ok(found) = found {
            assert_eq!(found.as_ref(), expected.get(&key), "key {key} of {chosen:?}");
        }
    }
}

/// Writes to a store that was opened, takes a checkpoint, and opens it again.
async fn go_on(
    store: Store,
    directory: &MemoryDirectory,
    before: Read,
    config: Config,
    handle: Handle,
) {
    for key in ADDED {
        if store.upsert(&key, &key.to_le_bytes()).await.is_err() {
            return;
        }
    }
    let Ok(taken) = store.checkpoint().await else {
        return;
    };
    store.close().await.expect("a sound directory");
    drop(store);
    // The checkpoint may need damaged bytes of the log that no reader has come to.
    let Ok(store) = open_in::<u64, [u8]>(directory, config, handle).await else {
        assert!(before.iter().any(Result::is_err), "a sound store is refused");
        return;
    };
    let chosen = store.recovery().and_then(|report| report.chosen);
    assert_eq!(chosen, Some(taken.token), "{:?}", store.recovery());
    for key in ADDED {
        let found = store.read(&key).await.expect("it was written on a sound directory");
        assert_eq!(found.as_deref(), Some(&key.to_le_bytes()[..]), "key {key}");
    }
    for (key, (before, after)) in before.iter().zip(read_all(&store).await).enumerate() {
        if let (Ok(before), Ok(after)) = (before, after) {
            assert_eq!(*before, after, "key {key} changed");
        }
    }
}
