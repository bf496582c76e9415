//! Random operations on a store and on a `BTreeMap`, which must agree.
//!
//! A model owns a range of keys: no other task writes them. An operation that fails must have had
//! no effect, so the model changes only when the store says that it did.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use kvick::futures::TryRead;
use kvick::io::sim::Random;
use kvick::session::Update;
use kvick::{FasterKv, Result, Session};

pub use crate::samples::item;
use crate::samples::{SampleKey, SampleValue};

/// What to draw operations from.
#[derive(Clone, Debug)]
pub struct Mix {
    /// The first of the model's keys.
    pub first_key: u64,
    /// How many keys it has.
    pub keys: u64,
    /// The longest value, in bytes, where the length varies.
    pub longest: usize,
    /// Whether to use `*_many`, which may fail half way.
    pub batches: bool,
    /// Chance, at each step, of a flush, and of one that evicts.
    pub flush: f64,
}

/// What a store should hold, and where the next operation comes from.
#[derive(Debug)]
pub struct Model<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    mix: Mix,
    random: Random,
    /// By the numbers of keys.
    contents: BTreeMap<u64, V::Owned>,
    keys: PhantomData<fn(&K)>,
}

/// A store, through one session of it or through the handle.
#[derive(Debug)]
pub struct Doors<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    store: FasterKv<K, V>,
    session: Session<K, V>,
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Doors<K, V> {
    /// Both doors of a store.
    pub fn new(store: &FasterKv<K, V>) -> Result<Self> {
        Ok(Self { store: store.clone(), session: store.session()? })
    }
}

/// Calls an operation through one of both doors.
macro_rules! through {
    ($doors:expr, $by_handle:expr, $operation:ident($($argument:expr),*)) => {
        if $by_handle {
            $doors.store.$operation($($argument),*).await
        } else {
            $doors.session.$operation($($argument),*).await
        }
    };
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Model<K, V> {
    /// An empty model.
    pub fn new(mix: Mix, random: Random) -> Self {
        Self { mix, random, contents: BTreeMap::new(), keys: PhantomData }
    }

    /// Forgets a key that the store still holds: a mistake, on purpose.
    pub fn lose_one(&mut self) {
        drop(self.contents.pop_last());
    }

    /// One random operation.
    ///
    /// # Errors
    /// That of the operation, which then must have had no effect.
    pub async fn step(&mut self, doors: &mut Doors<K, V>) -> Result<()> {
        if self.random.chance(self.mix.flush) {
            return if self.random.chance(0.5) {
                doors.store.flush().await
            } else {
                doors.store.flush_and_evict().await
            };
        }
        let key = self.key();
        let kinds = if self.mix.batches { 100 } else { 91 };
        match self.random.below(kinds) {
            0..32 => self.look(doors, key).await,
            32..54 => self.set(doors, key).await,
            54..72 => self.modify(doors, key).await,
            72..78 => self.delete(doors, key).await,
            78..84 => self.give(doors, key).await,
            84..91 => self.conditionally(doors, key).await,
            _ => self.many(doors).await,
        }
    }

    /// Compares everything, also the keys that are not there.
    ///
    /// # Errors
    /// Of the reads.
    pub async fn check(&self, doors: &mut Doors<K, V>) -> Result<()> {
        for number in self.mix.first_key..self.mix.first_key + self.mix.keys {
            let key = K::numbered(number);
            let found = doors.session.read(item::<K>(&key)).await?;
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

    async fn look(&mut self, doors: &mut Doors<K, V>, key: u64) -> Result<()> {
        let expected = self.contents.get(&key);
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        match self.random.below(4) {
            0 => {
                let found = through!(doors, by_handle, contains(sought))?;
                assert_eq!(found, expected.is_some(), "contains {key}");
            }
            1 => {
                let found = through!(doors, by_handle, read_with(sought, |view| V::seen(view)))?;
                assert_eq!(found.as_ref(), expected, "read_with {key}");
            }
            2 => {
                let found = match doors.session.try_read(sought) {
                    TryRead::Ready(found) => found?,
                    TryRead::Pending(read) => read.await?,
                };
                assert_eq!(found.as_ref(), expected, "try_read {key}");
            }
            _ => {
                let found = through!(doors, by_handle, read(sought))?;
                assert_eq!(found.as_ref(), expected, "read {key}");
            }
        }
        Ok(())
    }

    async fn set(&mut self, doors: &mut Doors<K, V>, key: u64) -> Result<()> {
        let value = self.value();
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        through!(doors, by_handle, upsert(item::<K>(&sought), item::<V>(&value)))?;
        self.contents.insert(key, value);
        Ok(())
    }

    async fn delete(&mut self, doors: &mut Doors<K, V>, key: u64) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        let current = self.contents.get(&key).cloned();
        match self.random.below(3) {
            0 => {
                let previous = through!(doors, by_handle, delete(sought))?;
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
                let removed = through!(doors, by_handle, delete_if(sought, is_over))?;
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
                    through!(doors, by_handle, compare_and_delete(sought, expected_item))?;
                assert_eq!(removed, current.as_ref() == Some(&expected), "compare_and_delete");
                if !removed {
                    return Ok(());
                }
            }
        }
        self.contents.remove(&key);
        Ok(())
    }

    /// An operation that gives the old value.
    async fn give(&mut self, doors: &mut Doors<K, V>, key: u64) -> Result<()> {
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
                let old = through!(doors, by_handle, update(sought, decide))?;
                let stays = match decide(old.clone()) {
                    Update::Keep(value) => value,
                    Update::Remove(_) => None,
                    Update::Put(value, _) => Some(value),
                };
                (old, stays)
            }
            3 => (through!(doors, by_handle, take(sought))?, None),
            _ => {
                let old = through!(doors, by_handle, replace(sought, item::<V>(&new)))?;
                (old, Some(new))
            }
        };
        assert_eq!(old, self.contents.remove(&key), "old value of {key}, kind {kind}");
        self.contents.extend(stays.map(|value| (key, value)));
        Ok(())
    }

    /// The current value, most of the time.
    fn guess(&mut self, current: Option<&V::Owned>) -> V::Owned {
        match current {
            Some(current) if self.random.chance(0.7) => current.clone(),
            _ => self.value(),
        }
    }

    async fn modify(&mut self, doors: &mut Doors<K, V>, key: u64) -> Result<()> {
        let tag = self.random.next_u64();
        let by_handle = self.random.chance(0.5);
        let sought = K::numbered(key);
        let sought = item::<K>(&sought);
        through!(doors, by_handle, rmw(sought, |value| V::updated(value, tag)))?;
        let current = self.contents.remove(&key);
        self.contents.insert(key, V::updated(current, tag));
        Ok(())
    }

    async fn conditionally(&mut self, doors: &mut Doors<K, V>, key: u64) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let new = self.value();
        let current = self.contents.get(&key).cloned();
        let sought = K::numbered(key);
        let (sought, value) = (item::<K>(&sought), item::<V>(&new));
        let (done, expected) = if self.random.chance(0.5) {
            let inserted = through!(doors, by_handle, insert_if_absent(sought, value))?;
            (inserted, current.is_none())
        } else {
            let guess = self.guess(current.as_ref());
            let old = item::<V>(&guess);
            let swapped = through!(doors, by_handle, compare_and_swap(sought, old, value))?;
            (swapped, current.as_ref() == Some(&guess))
        };
        assert_eq!(done, expected, "conditional write of {key}");
        if done {
            self.contents.insert(key, new);
        }
        Ok(())
    }

    async fn many(&mut self, doors: &mut Doors<K, V>) -> Result<()> {
        let by_handle = self.random.chance(0.5);
        let count = 1 + self.random.below(80);
        let numbers: Vec<u64> = (0..count).map(|_| self.key()).collect();
        match self.random.below(5) {
            0 => {
                let keys: Vec<K::Owned> = numbers.iter().map(|key| K::numbered(*key)).collect();
                let found = through!(doors, by_handle, read_many(&keys))?;
                let expected = numbers.iter().map(|key| self.contents.get(key));
                assert!(found.iter().map(Option::as_ref).eq(expected), "read_many");
            }
            1 => {
                let pairs = numbers.iter().map(|key| (K::numbered(*key), self.value()));
                let pairs: Vec<(K::Owned, V::Owned)> = pairs.collect();
                through!(doors, by_handle, upsert_many(&pairs))?;
                let values = pairs.into_iter().map(|(_, value)| value);
                self.contents.extend(numbers.into_iter().zip(values));
            }
            2 => {
                // Of two pairs with one key it is unknown which is inserted.
                let numbers: BTreeSet<u64> = numbers.into_iter().collect();
                let pairs = numbers.iter().map(|key| (K::numbered(*key), self.value()));
                let pairs: Vec<(K::Owned, V::Owned)> = pairs.collect();
                let inserted = through!(doors, by_handle, insert_many(&pairs))?;
                let expected = numbers.iter().map(|key| !self.contents.contains_key(key));
                assert!(inserted.iter().copied().eq(expected), "insert_many");
                for (key, (_, value)) in numbers.into_iter().zip(pairs) {
                    self.contents.entry(key).or_insert(value);
                }
            }
            3 => {
                let keys: Vec<K::Owned> = numbers.iter().map(|key| K::numbered(*key)).collect();
                let previous = through!(doors, by_handle, delete_many(&keys))?;
                assert_eq!(previous.len(), keys.len(), "delete_many");
                for (previous, key) in previous.into_iter().zip(numbers) {
                    let had_value = self.contents.remove(&key).is_some();
                    assert!(previous.known().is_none_or(|it| it == had_value), "delete {key}");
                }
            }
            _ => {
                // Of two modifications of one key it is unknown which comes first.
                let numbers: BTreeSet<u64> = numbers.into_iter().collect();
                let keys: Vec<K::Owned> = numbers.iter().map(|key| K::numbered(*key)).collect();
                let tag = self.random.next_u64();
                let update = |place: usize, value| V::updated(value, tag ^ place as u64);
                through!(doors, by_handle, rmw_many(&keys, update))?;
                for (place, key) in numbers.into_iter().enumerate() {
                    let current = self.contents.remove(&key);
                    self.contents.insert(key, update(place, current));
                }
            }
        }
        Ok(())
    }
}
