//! A copy of a store, which follows the changes in its write-ahead log.
//!
//! A copy has all changes below its place, and a power cut of the store takes back none of them. So
//! after any recovery the changes from its place on make it equal to the store again.

use std::collections::{BTreeMap, VecDeque};

use futures::{StreamExt, TryStreamExt};
use kvick::feed::{Change, ChangeKind, ChangeToken, Changes, Start};
use kvick::{ErrorKind, FasterKv, Result};

use crate::crash::{Acknowledged, Shared};
use crate::samples::{SampleKey, SampleValue};

/// The number of changes that are to show again.
const RECENT: usize = 8;

/// The copy of a store.
#[derive(Debug)]
pub struct Replica<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    contents: BTreeMap<K::Owned, V::Owned>,
    /// The place up to which it has all changes; `None` before it has begun.
    place: Option<ChangeToken>,
    /// The last changes that it has taken in.
    recent: VecDeque<Change<K::Owned, V::Owned>>,
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Default for Replica<K, V> {
    fn default() -> Self {
        Self { contents: BTreeMap::new(), place: None, recent: VecDeque::new() }
    }
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Clone for Replica<K, V> {
    fn clone(&self) -> Self {
        let Self { contents, place, recent } = self;
        Self { contents: contents.clone(), place: *place, recent: recent.clone() }
    }
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Replica<K, V> {
    fn apply(&mut self, change: Change<K::Owned, V::Owned>) {
        assert!(self.place < Some(change.token), "places ascend: {change:?}");
        self.place = Some(change.token);
        match change.kind.clone() {
            ChangeKind::Upsert { value, expires_at: None } => {
                self.contents.insert(change.key.clone(), value);
            }
            ChangeKind::Delete => drop(self.contents.remove::<K::Owned>(&change.key)),
            other => panic!("the table has no expiry: {other:?}"),
        }
        self.recent.push_back(change);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Completes the copy of a store that was just opened, and on which nothing works. Checks that
    /// both are equal, and that the last changes show again. Begins anew if the changes after the
    /// place were removed: the store may take a checkpoint by itself after any moment.
    ///
    /// # Panics
    /// Panics if the store lacks what the copy has, or has something else.
    pub async fn verify(&mut self, store: &FasterKv<K, V>) {
        let contents = contents_of(store).await.expect("nothing is removed");
        let mut changes = match self.place.map(|place| store.changes(place)) {
            Some(Ok(changes)) => changes,
            Some(Err(error)) if error.kind() != ErrorKind::Truncated => panic!("{error}"),
            _ => self.begin_anew(store, &contents),
        };
        self.check_recent(store).await;
        loop {
            match changes.next_durable().await {
                Ok(Some(change)) => self.apply(change),
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::Truncated => {
                    changes = self.begin_anew(store, &contents);
                }
                Err(error) => panic!("a sound disk: {error}"),
            }
        }
        self.place = Some(changes.token());
        assert_eq!(self.contents, contents, "the copy and the store after {:?}", self.place);
    }

    /// Checks that the last changes show again, in their order, if the log still has them.
    async fn check_recent(&self, store: &FasterKv<K, V>) {
        let Some(first) = self.recent.front() else { return };
        let Ok(mut changes) = store.changes(first.token) else { return };
        for expected in self.recent.iter().skip(1) {
            match changes.next_durable().await {
                Err(error) if error.kind() == ErrorKind::Truncated => return,
                again => {
                    let again = again.expect("a sound disk");
                    assert_eq!(again.as_ref(), Some(expected), "after {:?}", first.token);
                }
            }
        }
    }

    /// Copies the contents of a store on which nothing works: all that was recovered is durable.
    /// Returns the changes that follow.
    fn begin_anew(
        &mut self,
        store: &FasterKv<K, V>,
        contents: &BTreeMap<K::Owned, V::Owned>,
    ) -> Changes<K, V> {
        let changes = store.changes(Start::Now).expect("the store has a log");
        let (contents, place) = (contents.clone(), Some(changes.token()));
        *self = Self { contents, place, recent: VecDeque::new() };
        changes
    }

    /// Follows the changes of a store without an end, from the place of `replica` on. It begins
    /// anew if it is too late.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn follow(replica: Shared<Self>, store: FasterKv<K, V>) -> Result<()> {
        loop {
            let place = replica.lock().place;
            let error = match place.map(|place| store.changes(place)) {
                Some(Ok(changes)) => Self::take_in(&replica, changes).await,
                Some(Err(error)) => Err(error),
                None => Self::begin(&replica, &store).await,
            };
            match error {
                Err(error) if error.kind() == ErrorKind::Truncated => {
                    *replica.lock() = Self::default();
                }
                ended => ended?,
            }
        }
    }

    async fn take_in(replica: &Shared<Self>, mut changes: Changes<K, V>) -> Result<()> {
        while let Some(change) = changes.try_next().await? {
            replica.lock().apply(change);
        }
        unreachable!("it ends with an error");
    }

    /// Makes a new copy, while others work on the store.
    async fn begin(replica: &Shared<Self>, store: &FasterKv<K, V>) -> Result<()> {
        let changes = store.changes(Start::Now)?;
        let contents = contents_of(store).await?;
        // Before this the copy may have what a power cut takes back.
        store.sync().await?;
        let place = Some(changes.token());
        *replica.lock() = Self { contents, place, recent: VecDeque::new() };
        Ok(())
    }
}

/// What users of a store have seen by a moment, and what a power cut must leave.
#[derive(Debug)]
pub struct Seen<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    /// The newest acknowledged checkpoint.
    pub acknowledged: Shared<Acknowledged>,
    /// The copy of a store with a write-ahead log.
    pub replica: Shared<Replica<K, V>>,
}

/// The same moment, which does not go on.
impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Clone for Seen<K, V> {
    fn clone(&self) -> Self {
        let acknowledged = Shared::new(self.acknowledged.lock().clone());
        Self { acknowledged, replica: Shared::new(self.replica.lock().clone()) }
    }
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Default for Seen<K, V> {
    fn default() -> Self {
        Self { acknowledged: Shared::default(), replica: Shared::default() }
    }
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Seen<K, V> {
    /// Returns another handle of the same state.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { acknowledged: self.acknowledged.clone(), replica: self.replica.clone() }
    }
}

async fn contents_of<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
) -> Result<BTreeMap<K::Owned, V::Owned>> {
    store.scan().boxed().try_collect().await
}
