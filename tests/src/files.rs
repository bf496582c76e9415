//! The raw files of a store, for tests that damage them and open the store again.

use std::collections::BTreeMap;
use std::sync::Arc;

use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::Simulation;
use kvick::{Config, Error, FasterKv, Key, Value, recovery};

use crate::model::item;
use crate::samples::{SampleKey, SampleValue};

/// The files of a directory, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// Reads all files of a directory.
    pub async fn of(directory: &dyn Directory) -> Self {
        let mut files = BTreeMap::new();
        for name in directory.list().await.expect("a sound directory") {
            let bytes = directory.read_file(&name).await.expect("it was listed");
            files.insert(name, bytes);
        }
        Self(files)
    }

    /// Returns a new directory that holds the files.
    pub async fn restore(&self) -> MemoryDirectory {
        let directory = MemoryDirectory::new();
        for (name, bytes) in &self.0 {
            directory.write_file(name, bytes).await.expect("memory");
        }
        directory
    }

    /// Returns a copy with one changed file.
    #[must_use]
    pub fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut files = self.clone();
        change(files.0.get_mut(name).expect("the file exists"));
        files
    }

    /// Returns a copy with one replaced or added file.
    #[must_use]
    pub fn replaced(&self, name: &str, bytes: &[u8]) -> Self {
        let mut files = self.clone();
        files.0.insert(name.to_owned(), bytes.to_vec());
        files
    }

    /// Returns a copy without one file.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut files = self.clone();
        files.0.remove(name);
        files
    }

    /// Returns a copy with a changed manifest and its new checksum.
    #[must_use]
    pub fn with_manifest(&self, change: impl FnOnce(&str) -> String) -> Self {
        let (body, _) =
            self.manifest().rsplit_once("# crc32c ").expect("a manifest ends with its checksum");
        let body = change(body);
        let checked = format!("{body}# crc32c {:#010x}\n", crc32c(body.as_bytes()));
        self.replaced("manifest", checked.as_bytes())
    }

    /// Returns the manifest as text.
    pub fn manifest(&self) -> &str {
        std::str::from_utf8(&self.0["manifest"]).expect("a manifest is text")
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 * (sum & 1)))
    })
}

/// Values by the numbers of their keys.
pub type Contents<V> = BTreeMap<u64, <V as Value>::Owned>;

/// The result of opening a store.
#[derive(Debug)]
pub enum Found {
    /// The store refused to open.
    Refused(Error),
    /// The store opened with this report. The listed reads failed, and all others were right.
    Opened(Box<recovery::Report>, Vec<(u64, Error)>),
}

/// Opens a store in files and reads all keys. Checks that no value is wrong, and that a refusal
/// changes no file.
///
/// # Panics
/// Panics if a read succeeds with another value than the recovered checkpoint has in `expected`.
pub fn reopen<'c, K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    files: &Files,
    config: &Config,
    keys: u64,
    expected: impl FnOnce(&recovery::Report) -> &'c Contents<V>,
) -> Found
where
    V::Owned: 'c,
{
    let simulation = Simulation::new(1);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = files.restore().await;
        let opened = open_in::<K, V>(&directory, config.clone(), handle).await;
        let store = match opened {
            Ok(store) => store,
            Err(error) => {
                let mut after = Files::of(&directory).await;
                if !files.0.contains_key("lock") {
                    after = after.without("lock");
                }
                assert!(after == *files, "refused, but changed: {error}");
                return Found::Refused(error);
            }
        };
        let report = store.recovery().cloned().unwrap_or_default();
        let expected = expected(&report);
        let mut refused = Vec::new();
        for number in 0..keys {
            let key = K::numbered(number);
            match store.read(item::<K>(&key)).await {
                Ok(found) => assert_eq!(found.as_ref(), expected.get(&number), "key {number}"),
                Err(error) => refused.push((number, error)),
            }
        }
        Found::Opened(Box::new(report), refused)
    })
}

/// Opens a store in a directory in memory. `handle` runs its maintenance.
///
/// # Errors
/// As [`kvick::Builder::open_in_directory`].
pub async fn open_in<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &MemoryDirectory,
    config: Config,
    handle: kvick::runtime::Handle,
) -> kvick::Result<FasterKv<K, V>> {
    FasterKv::builder(config)
        .runtime(handle)
        .directory(Arc::new(directory.clone()))
        .open_in_directory()
        .await
}
