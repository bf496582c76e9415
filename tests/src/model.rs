//! Random operations on a store and on a `BTreeMap`, whose results must agree.
//!
//! A model owns a range of keys: no other task writes them. A failed operation must have had no
//! effect, so the model changes only after the store has reported success.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use kvick::futures::TryRead;
use kvick::io::sim::Random;
use kvick::session::Update;
use kvick::{FasterKv, Result, Session};

pub use crate::samples::item;
use crate::samples::{SampleKey, SampleValue};

/// The distribution of the random operations.
#[derive(Clone, Debug)]
pub struct Mix {
    /// The first key of the model.
    pub first_key: u64,
    /// The number of keys of the model.
    pub keys: u64,
    /// The length of the longest value in bytes, for values of varying length.
    pub longest: usize,
    /// Whether the model calls `*_many`, which may fail half way.
    pub batches: bool,
    /// The chance of a flush at each step. Half of the flushes evict too.
    pub flush: f64,
}

/// The expected contents of a store, and the source of its next operation.
#[derive(Debug)]
pub struct Model<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    mix: Mix,
    random: Random,
    /// The values by the number of the key.
    contents: BTreeMap<u64, V::Owned>,
    keys: PhantomData<fn(&K)>,
}

/// A store handle and one session of the store. Operations go through either.
#[derive(Debug)]
pub struct EntryPoints<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    store: FasterKv<K, V>,
    session: Session<K, V>,
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> EntryPoints<K, V> {
    /// Creates a session of the store.
    pub fn new(store: &FasterKv<K, V>) -> Result<Self> {
        Ok(Self { store: store.clone(), session: store.session()? })
    }
}

/// Calls an operation on the handle or on the session.
macro_rules! through {
    ($entry_points:expr, $by_handle:expr, $operation:ident($($argument:expr),*)) => {
        if $by_handle {
            $entry_points.store.$operation($($argument),*).await
        } else {
            $entry_points.session.$operation($($argument),*).await
        }
    };
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Model<K, V> {
    /// Creates an empty model.
    pub fn new(mix: Mix, random: Random) -> Self {
        Self { mix, random, contents: BTreeMap::new(), keys: PhantomData }
    }

    /// Removes a key that the store still holds: a deliberate mistake.
    pub fn lose_one(&mut self) {
        drop(self.contents.pop_last());
    }

    /// Performs one random operation.
    ///
    /// # Errors
    /// Returns the error of the operation, which must have had no effect then.
    pub async fn step(&mut self, entry_points: &mut EntryPoints<K, V>) -> Result<()> {
        if self.random.chance(self.mix.flush) {
            return if self.random.chance(0.5) {
                entry_points.store.flush().await
            } else {
                entry_points.store.flush_and_evict().await
            };
        }
        let key = self.key();
        let kinds = if self.mix.batches { 100 } else { 91 };
        match self.random.below(kinds) {
            0..32 => self.look(entry_points, key).await,
            32..54 => self.set(entry_points, key).await,
            54..72 => self.modify(entry_points, key).await,
            72..78 => self.delete(entry_points, key).await,
            78..84 => self.with_old_value(entry_points, key).await,
            84..91 => self.conditionally(entry_points, key).await,
            _ => self.many(entry_points).await,
        }
    }

    /// Compares all keys of the model with the store, including absent ones.
    ///
    /// # Errors
    /// Returns the error of a read.
    pub async fn check(&self, entry_points: &mut EntryPoints<K, V>) -> Result<()> {
        for number in self.mix.first_key..self.mix.first_key + self.mix.keys {
            let key = K::numbered(number);
            let found = entry_points.session.read(item::<K>(&key)).await?;
            assert_eq!(found.as_ref(), self.contents.get(&number), "key {key:?}");
        }
        Ok(())
    }

    fn key(&mut self) -> u64 {
        self.mix.first_key + self.random.below(self.mix.keys)
    }

    fn value(&mut self) -> V::Owned {
        V::sample(&mut self.random, self.mix.longest)
    }

    async fn look(&mut self, entry_points: &mut EntryPoints<K, V>, key: u64) -> Result<()> {
        let expected = self.contents.get(&key);
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        match self.random.below(4) {
            0 => {
                let found = through!(entry_points, by_handle, contains(sought))?;
                assert_eq!(found, expected.is_some(), "contains {key}");
            }
            1 => {
                let found =
                    through!(entry_points, by_handle, read_with(sought, |view| V::seen(view)))?;
                assert_eq!(found.as_ref(), expected, "read_with {key}");
            }
            2 => {
                let found = match entry_points.session.try_read(sought) {
                    TryRead::Ready(found) => found?,
                    TryRead::Pending(read) => read.await?,
                };
                assert_eq!(found.as_ref(), expected, "try_read {key}");
            }
            _ => {
                let found = through!(entry_points, by_handle, read(sought))?;
                assert_eq!(found.as_ref(), expected, "read {key}");
            }
        }
        Ok(())
    }

    async fn set(&mut self, entry_points: &mut EntryPoints<K, V>, key: u64) -> Result<()> {
        let value = self.value();
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let previous =
            through!(entry_points, by_handle, upsert(item::<K>(&sought), item::<V>(&value)))?;
        let had_value = self.contents.insert(key, value).is_some();
        assert!(previous.known().is_none_or(|it| it == had_value), "upsert {key}");
        Ok(())
    }

    async fn delete(&mut self, entry_points: &mut EntryPoints<K, V>, key: u64) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        let current = self.contents.get(&key).cloned();
        match self.random.below(3) {
            0 => {
                let previous = through!(entry_points, by_handle, delete(sought))?;
                if let Some(known) = previous.known() {
                    assert_eq!(known, current.is_some(), "delete {key}");
                }
            }
            1 => {
                let wanted = self.random.chance(0.5);
                let mut seen = None;
                let is_over = |view: V::View<'_>| {
                    seen = Some(V::seen(view));
                    wanted
                };
                let removed = through!(entry_points, by_handle, delete_if(sought, is_over))?;
                assert_eq!(seen, current, "delete_if {key}");
                assert_eq!(removed, wanted && current.is_some(), "delete_if {key}");
                if !removed {
                    return Ok(());
                }
            }
            _ => {
                let expected = self.guess(current.as_ref());
                let expected_item = item::<V>(&expected);
                let removed =
                    through!(entry_points, by_handle, compare_and_delete(sought, expected_item))?;
                assert_eq!(removed, current.as_ref() == Some(&expected), "compare_and_delete");
                if !removed {
                    return Ok(());
                }
            }
        }
        self.contents.remove(&key);
        Ok(())
    }

    /// Performs an operation that returns the old value.
    async fn with_old_value(
        &mut self,
        entry_points: &mut EntryPoints<K, V>,
        key: u64,
    ) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        let (new, kind) = (self.value(), self.random.below(5));
        let decide = |old: Option<V::Owned>| match kind {
            0 => Update::Keep(old),
            1 => Update::Remove(old),
            _ => Update::Put(new.clone(), old),
        };
        let (old, stays) = match kind {
            0..3 => {
                let old = through!(entry_points, by_handle, update(sought, decide))?;
                let stays = match decide(old.clone()) {
                    Update::Keep(value) => value,
                    Update::Remove(_) => None,
                    Update::Put(value, _) => Some(value),
                };
                (old, stays)
            }
            3 => (through!(entry_points, by_handle, take(sought))?, None),
            _ => {
                let old = through!(entry_points, by_handle, replace(sought, item::<V>(&new)))?;
                (old, Some(new))
            }
        };
        assert_eq!(old, self.contents.remove(&key), "old value of {key}, kind {kind}");
        self.contents.extend(stays.map(|value| (key, value)));
        Ok(())
    }

    /// Returns the current value most of the time, else a random one.
    fn guess(&mut self, current: Option<&V::Owned>) -> V::Owned {
        match current {
            Some(current) if self.random.chance(0.7) => current.clone(),
            _ => self.value(),
        }
    }

    async fn modify(&mut self, entry_points: &mut EntryPoints<K, V>, key: u64) -> Result<()> {
        let tag = self.random.next_u64();
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        let new = through!(entry_points, by_handle, rmw(sought, |value| V::updated(value, tag)))?;
        let current = self.contents.remove(&key);
        assert_eq!(new, V::updated(current, tag), "rmw {key}");
        self.contents.insert(key, new);
        Ok(())
    }

    async fn conditionally(
        &mut self,
        entry_points: &mut EntryPoints<K, V>,
        key: u64,
    ) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let new = self.value();
        let current = self.contents.get(&key).cloned();
        let sought = K::numbered(key);
        let (sought, value) = (item::<K>(&sought), item::<V>(&new));
        let (done, expected) = if self.random.chance(0.5) {
            let inserted = through!(entry_points, by_handle, insert_if_absent(sought, value))?;
            (inserted, current.is_none())
        } else {
            let guess = self.guess(current.as_ref());
            let old = item::<V>(&guess);
            let swapped = through!(entry_points, by_handle, compare_and_swap(sought, old, value))?;
            (swapped, current.as_ref() == Some(&guess))
        };
        assert_eq!(done, expected, "conditional write of {key}");
        if done {
            self.contents.insert(key, new);
        }
        Ok(())
    }

    async fn many(&mut self, entry_points: &mut EntryPoints<K, V>) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let count = 1 + self.random.below(80);
        let numbers: Vec<u64> = (0..count).map(|_| self.key()).collect();
        match self.random.below(5) {
            0 => {
                let keys: Vec<K::Owned> = numbers.iter().map(|key| K::numbered(*key)).collect();
                let found = through!(entry_points, by_handle, read_many(&keys))?;
                let expected = numbers.iter().map(|key| self.contents.get(key));
                assert!(found.iter().map(Option::as_ref).eq(expected), "read_many");
            }
            1 => {
                let pairs = numbers.iter().map(|key| (K::numbered(*key), self.value()));
                let pairs: Vec<(K::Owned, V::Owned)> = pairs.collect();
                through!(entry_points, by_handle, upsert_many(&pairs))?;
                let values = pairs.into_iter().map(|(_, value)| value);
                self.contents.extend(numbers.into_iter().zip(values));
            }
            2 => {
                // The model cannot know which of two pairs with one key is inserted.
                let numbers: BTreeSet<u64> = numbers.into_iter().collect();
                let pairs = numbers.iter().map(|key| (K::numbered(*key), self.value()));
                let pairs: Vec<(K::Owned, V::Owned)> = pairs.collect();
                let inserted = through!(entry_points, by_handle, insert_many(&pairs))?;
                let expected = numbers.iter().map(|key| !self.contents.contains_key(key));
                assert!(inserted.iter().copied().eq(expected), "insert_many");
                for (key, (_, value)) in numbers.into_iter().zip(pairs) {
                    self.contents.entry(key).or_insert(value);
                }
            }
            3 => {
                let keys: Vec<K::Owned> = numbers.iter().map(|key| K::numbered(*key)).collect();
                let previous = through!(entry_points, by_handle, delete_many(&keys))?;
                assert_eq!(previous.len(), keys.len(), "delete_many");
                for (previous, key) in previous.into_iter().zip(numbers) {
                    let had_value = self.contents.remove(&key).is_some();
                    assert!(previous.known().is_none_or(|it| it == had_value), "delete {key}");
                }
            }
            _ => {
                // The model cannot know which of two updates of one key comes first.
                let numbers: BTreeSet<u64> = numbers.into_iter().collect();
                let keys: Vec<K::Owned> = numbers.iter().map(|key| K::numbered(*key)).collect();
                let tag = self.random.next_u64();
                let update = |place: usize, value| V::updated(value, tag ^ place as u64);
                through!(entry_points, by_handle, rmw_many(&keys, update))?;
                for (place, key) in numbers.into_iter().enumerate() {
                    let current = self.contents.remove(&key);
                    self.contents.insert(key, update(place, current));
                }
            }
        }
        Ok(())
    }
}
