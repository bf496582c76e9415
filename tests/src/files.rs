//! The raw files of a store, to be damaged and opened again.

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
    /// What a directory holds now.
    pub async fn of(directory: &dyn Directory) -> Self {
        let mut files = BTreeMap::new();
        for name in directory.list().await.expect("a sound directory") {
            let bytes = directory.read_file(&name).await.expect("it was listed");
            files.insert(name, bytes);
        }
        Self(files)
    }

    /// A directory of its own that holds them.
    pub async fn restore(&self) -> MemoryDirectory {
        let directory = MemoryDirectory::new();
        for (name, bytes) in &self.0 {
            directory.write_file(name, bytes).await.expect("memory");
        }
        directory
    }

    /// A copy with one file changed.
    #[must_use]
    pub fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut files = self.clone();
        change(files.0.get_mut(name).expect("a file of these"));
        files
    }

    /// A copy with one file replaced or added.
    #[must_use]
    pub fn replaced(&self, name: &str, bytes: &[u8]) -> Self {
        let mut files = self.clone();
        files.0.insert(name.to_owned(), bytes.to_vec());
        files
    }

    /// A copy without one file.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut files = self.clone();
        files.0.remove(name);
        files
    }

    /// A copy whose manifest was changed under a checksum that is right again.
    #[must_use]
    pub fn with_manifest(&self, change: impl FnOnce(&str) -> String) -> Self {
        let (body, _) = self.manifest().rsplit_once("# crc32c ").expect("it ends so");
        let body = change(body);
        let sealed = format!("{body}# crc32c {:#010x}\n", crc32c(body.as_bytes()));
        self.replaced("manifest", sealed.as_bytes())
    }

    /// The manifest, as text.
    pub fn manifest(&self) -> &str {
        std::str::from_utf8(&self.0["manifest"]).expect("a manifest is text")
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 * (sum & 1)))
    })
}

/// What is known of values by the numbers of their keys.
pub type Contents<V> = BTreeMap<u64, <V as Value>::Owned>;

/// How a store was found.
#[derive(Debug)]
pub enum Found {
    /// It was not opened.
    Refused(Error),
    /// It was, and so many reads were refused; the others were right.
    Opened(Box<recovery::Report>, Vec<(u64, Error)>),
}

/// Opens a store in files and reads all keys. Checks that no value is wrong, and that a refusal
/// touches nothing.
///
/// # Panics
/// If a value is neither what `expected` says for the checkpoint that was recovered, nor refused.
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
                assert!(after == *files, "refused, but touched: {error}");
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

/// Opens a store in a directory in memory, whose maintenance `handle` runs.
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
