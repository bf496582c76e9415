//! Tasks that write keys of their own, and know the value of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use kvick::Result;
use kvick::io::sim::Random;

use super::Store;
use super::stops::Device;

/// The bytes of the longest value.
pub(super) const LONGEST: u64 = 800;
/// The number of hot keys of a writer.
const HOT: usize = 6;

/// A writer, and the expected contents of its keys.
#[derive(Debug)]
pub(super) struct Writer {
    keys: Vec<u64>,
    random: Random,
    /// The share of changes of the hot keys.
    hot: f64,
    /// The number of the last change of each key that is present.
    contents: BTreeMap<u64, u64>,
    /// The changes so far. At first each key is written.
    changes: usize,
    /// The first hot key at present.
    first_hot: usize,
}

impl Writer {
    pub(super) fn new(keys: Vec<u64>, hot: f64, random: Random) -> Self {
        Self { keys, random, hot, contents: BTreeMap::new(), changes: 0, first_hot: 0 }
    }

    /// Performs some operations. The hot keys are others now and then.
    pub(super) async fn write(mut self, store: Store, device: Arc<Device>, steps: u64) -> Self {
        for _ in 0..steps {
            if self.random.chance(0.01) {
                self.first_hot = self.random.index(self.keys.len());
            }
            if self.random.chance(0.02) {
                device.sleep(&mut self.random, 20_000).await;
            }
            let key = self.key();
            if let Err(error) = self.step(&store, key).await {
                device.excuse(&store, &error);
            }
        }
        self
    }

    /// Returns the key of the next operation.
    fn key(&mut self) -> u64 {
        let place = match self.changes {
            first if first < self.keys.len() => first,
            _ if self.random.chance(self.hot) => self.first_hot + self.random.index(HOT),
            _ => self.random.index(self.keys.len()),
        };
        self.keys[place % self.keys.len()]
    }

    async fn step(&mut self, store: &Store, key: u64) -> Result<()> {
        self.changes += 1;
        let change = self.changes as u64;
        match self.random.below(100) {
            0..6 => return self.look(store, key).await,
            6..14 => {
                store.delete(&key).await?;
                self.contents.remove(&key);
            }
            14..20 => {
                let mut seen = None;
                let update = |old| {
                    seen = old;
                    value(key, change)
                };
                store.rmw(&key, update).await?;
                assert_eq!(seen, self.expected(key), "an update of key {key}");
                self.contents.insert(key, change);
            }
            _ => {
                store.upsert(&key, &value(key, change)).await?;
                self.contents.insert(key, change);
            }
        }
        Ok(())
    }

    /// Compares all keys with the store.
    pub(super) async fn check(&self, store: &Store) -> Result<()> {
        for key in &self.keys {
            self.look(store, *key).await?;
        }
        Ok(())
    }

    async fn look(&self, store: &Store, key: u64) -> Result<()> {
        let found = store.read(&key).await?;
        assert_eq!(found, self.expected(key), "key {key}");
        Ok(())
    }

    fn expected(&self, key: u64) -> Option<Vec<u8>> {
        self.contents.get(&key).map(|change| value(key, *change))
    }
}

/// Returns the value of a key after a change. No two changes have equal values.
fn value(key: u64, change: u64) -> Vec<u8> {
    let mut random = Random::new(key ^ change.rotate_left(40));
    let words = 1 + random.index(usize::try_from(LONGEST / 8).expect("small"));
    change.to_le_bytes().repeat(words)
}
