//! Operations on a store and on a map, which must agree through closes and power cuts.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use kvick::io::sim::SimOptions;
use kvick::{Config, FasterKv, Session, checkpoint};

use super::story::{Ending, Stage, Story};
use crate::files::Contents;
use crate::polling::AtMost;
use crate::samples::pattern;
use crate::simulated::{Site, small_configs};

type Store = FasterKv<u64, [u8]>;

/// The number of keys.
const KEYS: u64 = 24;

/// Performs the operations that the bytes encode.
///
/// # Panics
/// Panics if the store and the map differ, or an operation fails: the disk has no faults.
pub fn store_operations(data: &[u8]) {
    let mut input = Unstructured::new(data);
    if let Ok((mut story, stage)) = StoreStory::new(&mut input) {
        stage.perform(&mut story, &mut input);
    }
}

/// A store through all of its lives, and its expected contents.
struct StoreStory {
    config: Config,
    /// The values now, by key.
    contents: Contents<[u8]>,
    /// The values of every completed checkpoint, by token; of token 0 before the first.
    states: BTreeMap<u64, Contents<[u8]>>,
    /// The store was closed with a checkpoint, or its last checkpoint had all operations.
    is_durable: bool,
    /// The number of values so far, so that no two are alike.
    values: u64,
}

/// An open store.
struct OpenStore {
    store: Store,
    session: Session<u64, [u8]>,
}

impl Story for StoreStory {
    type Opened = OpenStore;

    async fn open(&mut self, site: &Site) -> OpenStore {
        let store = site.open(self.config.clone()).await;
        self.recover(&store);
        let session = store.session().expect("the store is open");
        OpenStore { store, session }
    }

    async fn step(
        &mut self,
        input: &mut Unstructured<'_>,
        OpenStore { store, session }: &mut OpenStore,
    ) -> Result<Option<Ending>> {
        match input.int_in_range(0..=19)? {
            // The zeros after the end of an input do not come here.
            0 if input.is_empty() => return Ok(Some(Ending::Over)),
            0..13 => self.operate(input, session).await?,
            13 => store.flush().await.expect("a sound disk"),
            14 => store.flush_and_evict().await.expect("a sound disk"),
            15 | 16 => self.checkpoint(input, store).await?,
            17 => {
                store.close().await.expect("a sound disk");
                self.is_durable |= self.config.checkpoint_on_close;
                return Ok(Some(Ending::Closed));
            }
            18 => return Ok(Some(Ending::Cut(input.arbitrary()?))),
            _ => {
                // The power is cut while a checkpoint is taken.
                let request = store.checkpoint().kind(kind(input)?);
                let checkpointing = request.start().expect("no other is taken");
                let polls = input.int_in_range(1..=40)?;
                let _cut = AtMost::new(polls, checkpointing).await;
                return Ok(Some(Ending::Cut(input.arbitrary()?)));
            }
        }
        Ok(None)
    }

    async fn check(&self, OpenStore { session, .. }: &mut OpenStore) {
        for key in 0..KEYS {
            match session.read(&key).await {
                Ok(found) => assert_eq!(found.as_ref(), self.contents.get(&key), "key {key}"),
                Err(error) => assert_eq!(error.kind(), kvick::ErrorKind::Closed, "{error}"),
            }
        }
    }
}

impl StoreStory {
    fn new(input: &mut Unstructured<'_>) -> Result<(Self, Stage)> {
        let configs = small_configs();
        let config = input.choose(&configs)?.clone();
        let config = config.with_checkpoint_on_close(input.arbitrary()?).with_keep_checkpoints(3);
        let seed = input.arbitrary::<u16>()?.into();
        let story = Self {
            config,
            contents: BTreeMap::new(),
            states: BTreeMap::from([(0, BTreeMap::new())]),
            is_durable: true,
            values: 0,
        };
        Ok((story, Stage::new(seed, SimOptions::default())))
    }

    /// Checks that an opened store has a checkpoint that is not older than it may be.
    fn recover(&mut self, store: &Store) {
        let token = store.recovery().and_then(|report| report.chosen);
        let token = token.map_or(0, checkpoint::Token::version);
        let (newest, newest_state) = self.states.last_key_value().expect("there is one");
        assert!(token >= *newest, "{newest} was acknowledged, {token} was recovered");
        let found = if token == *newest { newest_state.clone() } else { self.contents.clone() };
        assert!(!self.is_durable || found == self.contents, "operations are missing");
        self.contents.clone_from(&found);
        self.states.insert(token, found);
        self.is_durable = true;
    }

    fn value(&mut self, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        self.values += 1;
        let length = usize::from(input.arbitrary::<u16>()?);
        let longest = if input.ratio(1, 8)? { 6000 } else { 150 };
        Ok(pattern(self.values, length % longest))
    }

    async fn checkpoint(&mut self, input: &mut Unstructured<'_>, store: &Store) -> Result<()> {
        let request = store.checkpoint().kind(kind(input)?);
        let request = if input.arbitrary()? { request.with_index() } else { request };
        let taken = request.await.expect("a sound disk");
        self.states.insert(taken.token.version(), self.contents.clone());
        self.is_durable = true;
        Ok(())
    }

    async fn operate(
        &mut self,
        input: &mut Unstructured<'_>,
        session: &mut Session<u64, [u8]>,
    ) -> Result<()> {
        let key = input.int_in_range(0..=KEYS - 1)?;
        let old = self.contents.get(&key).cloned();
        let kind = input.int_in_range(0..=8)?;
        self.is_durable &= kind < 2;
        match kind {
            0 => {
                let found = session.read(&key).await.expect("a sound disk");
                assert_eq!(found, old, "read {key}");
            }
            1 => {
                let keys: Vec<u64> = (key..KEYS).collect();
                let found = session.read_many(&keys).await.expect("a sound disk");
                let expected = keys.iter().map(|key| self.contents.get(key));
                assert!(found.iter().map(Option::as_ref).eq(expected), "read_many from {key}");
            }
            2 => {
                session.delete(&key).await.expect("a sound disk");
                self.contents.remove(&key);
            }
            3 => {
                let added = self.value(input)?;
                let joined = |old: Option<Vec<u8>>| {
                    let mut new = old.filter(|old| old.len() < 5000).unwrap_or_default();
                    new.extend_from_slice(&added);
                    new
                };
                session.rmw(&key, joined).await.expect("a sound disk");
                self.contents.insert(key, joined(old));
            }
            4 => {
                let value = self.value(input)?;
                let inserted = session.insert_if_absent(&key, &value).await.expect("a sound disk");
                assert_eq!(inserted, old.is_none(), "insert_if_absent {key}");
                self.contents.entry(key).or_insert(value);
            }
            5 => {
                let (new, other) = (self.value(input)?, self.value(input)?);
                let guess = old.clone().filter(|_| key % 3 > 0).unwrap_or(other);
                let swapped = session.compare_and_swap(&key, &guess, &new).await;
                assert_eq!(swapped.expect("a sound disk"), old.as_ref() == Some(&guess));
                if old.as_ref() == Some(&guess) {
                    self.contents.insert(key, new);
                }
            }
            6 => {
                let mut pairs = Vec::new();
                for key in key..KEYS.min(key + 8) {
                    pairs.push((key, self.value(input)?));
                }
                session.upsert_many(&pairs).await.expect("a sound disk");
                self.contents.extend(pairs);
            }
            _ => {
                let value = self.value(input)?;
                session.upsert(&key, &value).await.expect("a sound disk");
                self.contents.insert(key, value);
            }
        }
        Ok(())
    }
}

fn kind(input: &mut Unstructured<'_>) -> Result<checkpoint::Kind> {
    let kinds = [
        checkpoint::Kind::FoldOver,
        checkpoint::Kind::Snapshot,
        checkpoint::Kind::Incremental,
        checkpoint::Kind::Auto,
    ];
    input.choose(&kinds).copied()
}
