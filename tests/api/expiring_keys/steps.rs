//! The operations on keys that expire, each with a check against a model.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use kvick::codec::Expires;
use kvick::futures::TryRead;
use kvick::io::MemoryDirectory;
use kvick::session::{Expiry, Previous, Update};
use kvick::{Database, FasterKv, Result, checkpoint};
use tests::configs::two_buckets;

/// The second at which a test begins.
pub(super) const START: u64 = 1_800_000_000;

pub(super) const KINDS: [checkpoint::Kind; 3] =
    [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental];

/// A step of a test on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Read,
    ReadWith,
    TryRead,
    Contains,
    Expiry,
    ReadMany,
    Upsert,
    UpsertWith,
    UpsertWithLast,
    UpsertMany,
    UpsertManyWith,
    Rmw,
    RmwMany,
    Keep,
    Put,
    Remove,
    Insert,
    InsertWith,
    InsertMany,
    Swap,
    SwapAnother,
    CompareAndDelete,
    Replace,
    Take,
    DeleteIf,
    Delete,
    DeleteMany,
    SetExpiry,
    ExpireNow,
    Persist,
    KeepWith,
    PutWith,
    PutWithLast,
    PutWithNow,
    RemoveWith,
}

pub(super) const OPS: [Op; 35] = [
    Op::Read,
    Op::ReadWith,
    Op::TryRead,
    Op::Contains,
    Op::Expiry,
    Op::ReadMany,
    Op::Upsert,
    Op::UpsertWith,
    Op::UpsertWithLast,
    Op::UpsertMany,
    Op::UpsertManyWith,
    Op::Rmw,
    Op::RmwMany,
    Op::Keep,
    Op::Put,
    Op::Remove,
    Op::Insert,
    Op::InsertWith,
    Op::InsertMany,
    Op::Swap,
    Op::SwapAnother,
    Op::CompareAndDelete,
    Op::Replace,
    Op::Take,
    Op::DeleteIf,
    Op::Delete,
    Op::DeleteMany,
    Op::SetExpiry,
    Op::ExpireNow,
    Op::Persist,
    Op::KeepWith,
    Op::PutWith,
    Op::PutWithLast,
    Op::PutWithNow,
    Op::RemoveWith,
];

/// The place of the newest records.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Mutable,
    Checkpointed(checkpoint::Kind),
    OnDevice,
    Recovered(checkpoint::Kind),
}

pub(super) fn at(second: u64) -> Expiry {
    Expiry::at(UNIX_EPOCH + Duration::from_secs(second))
}

/// The contents of a table: numbers, and the seconds at which their keys expire.
#[derive(Debug, Default)]
struct Model(BTreeMap<u64, State>);

impl Model {
    fn get(&self, key: u64, now: u64) -> Option<State> {
        self.0.get(&key).copied().filter(|(_, second)| second.is_none_or(|second| now < second))
    }

    fn set(&mut self, key: u64, state: Option<State>) {
        match state {
            Some(state) => _ = self.0.insert(key, state),
            None => _ = self.0.remove(&key),
        }
    }
}

/// A table whose keys expire, and its model.
pub(super) struct Site<V: Expires + ?Sized> {
    directory: MemoryDirectory,
    pub(super) second: Arc<AtomicU64>,
    pub(super) database: Database,
    pub(super) table: FasterKv<u64, V>,
    of: fn(u64) -> V::Owned,
    model: Model,
}

async fn open(directory: &MemoryDirectory, second: &Arc<AtomicU64>) -> Result<Database> {
    let shown = Arc::clone(second);
    Database::builder(two_buckets())
        .directory(Arc::new(directory.clone()))
        .clock(move || UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed)))
        .open_in_directory()
        .await
}

impl<V: Expires + ?Sized> Site<V>
where
    V::Owned: Clone + PartialEq + Debug + Borrow<V::Item>,
{
    pub(super) async fn new(of: fn(u64) -> V::Owned) -> Result<Self> {
        let directory = MemoryDirectory::new();
        let second = Arc::new(AtomicU64::new(START));
        let database = open(&directory, &second).await?;
        let table = database.table("expiring").await?;
        Ok(Self { directory, second, database, table, of, model: Model::default() })
    }

    pub(super) fn now(&self) -> u64 {
        self.second.load(Ordering::Relaxed)
    }

    async fn reopen(&mut self) -> Result<()> {
        self.database = open(&self.directory, &self.second).await?;
        self.table = self.database.table("expiring").await?;
        Ok(())
    }

    pub(super) async fn bring_to(&mut self, place: Place) -> Result<()> {
        match place {
            Place::Mutable => {}
            Place::Checkpointed(kind) => _ = self.database.checkpoint().kind(kind).await?,
            Place::OnDevice => self.database.flush_and_evict().await?,
            Place::Recovered(kind) => {
                self.database.checkpoint().kind(kind).await?;
                self.database.close().await?;
                self.reopen().await?;
            }
        }
        Ok(())
    }

    /// Checks the value and the expiry of a key.
    pub(super) async fn check(&self, key: u64, what: &str) -> Result<()> {
        let expected = self.model.get(key, self.now());
        let value = expected.map(|(number, _)| (self.of)(number));
        assert!(self.table.read(&key).await? == value, "value of {key}, {expected:?}: {what}");
        let expiry = expected.map(|(_, second)| second.map_or(Expiry::never(), at));
        assert_eq!(self.table.expiry(&key).await?, expiry, "expiry of {key}: {what}");
        Ok(())
    }

    /// Makes a step, and checks its answer and its effect. `number` makes a new value, and `later`
    /// is a second for a new expiry.
    pub(super) async fn step(&mut self, op: Op, key: u64, number: u64, later: u64) -> Result<()> {
        let (now, of) = (self.now(), self.of);
        let before = self.model.get(key, now);
        let step = Step {
            key,
            number,
            later,
            last: self.model.0.get(&key).and_then(|(_, second)| *second).unwrap_or(later),
            before,
            old: before.map(|(number, _)| of(number)),
            new: of(number),
            another: of(number + 1),
            what: format!("{op:?} of {key} at {now}, {before:?}"),
        };
        let mut after = self.read(op, &step).await?.then_some(before);
        if after.is_none() {
            after = self.write(op, &step).await?;
        }
        if after.is_none() {
            after = self.modify(op, &step).await?;
        }
        if after.is_none() {
            after = self.update_with(op, &step).await?;
        }
        let after = match after {
            Some(after) => after,
            None => self.remove_or_expire(op, &step).await?,
        };
        self.model.set(key, after);
        self.check(key, &step.what).await
    }

    /// Makes a step that reads. Returns whether it is one.
    async fn read(&self, op: Op, step: &Step<V::Owned>) -> Result<bool> {
        let (table, Step { key, old, what, .. }) = (&self.table, step);
        match op {
            Op::Read => assert!(table.read(key).await? == *old, "{what}"),
            Op::ReadWith => {
                let look = table.read_with(key, |_| ()).await?;
                assert_eq!(look.is_some(), old.is_some(), "{what}");
            }
            Op::TryRead => {
                let read = match table.try_read(key) {
                    TryRead::Ready(read) => read?,
                    TryRead::Pending(read) => read.await?,
                };
                assert!(read == *old, "{what}");
            }
            Op::Contains => assert_eq!(table.contains(key).await?, old.is_some(), "{what}"),
            Op::Expiry => {}
            Op::ReadMany => {
                assert!(table.read_many(&[*key]).await? == [old.clone()], "{what}");
                let twice = table.read_each([*key, *key]).await?;
                assert!(twice == [old.clone(), old.clone()], "{what}");
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Makes a step that writes without the old value, or if there is none. Returns the state of
    /// the key after such a step.
    async fn write(&self, op: Op, step: &Step<V::Owned>) -> Result<Option<Option<State>>> {
        let (table, Step { key, number, before, new, what, .. }) = (&self.table, step);
        let is_new = before.is_none();
        let fresh = (*number, None);
        Ok(Some(match op {
            Op::Upsert => {
                step.known(table.upsert(key, new.borrow()).await?);
                Some(fresh)
            }
            Op::UpsertWith => {
                step.known(table.upsert_with(key, new.borrow(), at(step.later)).await?);
                Some((*number, Some(step.later)))
            }
            Op::UpsertWithLast => {
                step.known(table.upsert_with(key, new.borrow(), at(step.last)).await?);
                Some((*number, Some(step.last)))
            }
            Op::UpsertMany => {
                table.upsert_many(&[(*key, new.clone())]).await?;
                Some(fresh)
            }
            Op::UpsertManyWith => {
                table.upsert_many_with(&[(*key, new.clone(), at(step.later))]).await?;
                Some((*number, Some(step.later)))
            }
            Op::Insert => {
                let inserted = table.insert_if_absent(key, new.borrow()).await?;
                assert_eq!(inserted, is_new, "{what}");
                before.or(Some(fresh))
            }
            Op::InsertWith => {
                let inserted = table.insert_with(key, new.borrow(), at(step.later)).await?;
                assert_eq!(inserted, is_new, "{what}");
                before.or(Some((*number, Some(step.later))))
            }
            Op::InsertMany => {
                let inserted = table.insert_many(&[(*key, new.clone())]).await?;
                assert_eq!(inserted, [is_new], "{what}");
                before.or(Some(fresh))
            }
            _ => return Ok(None),
        }))
    }

    /// Makes a step that computes a value from the old one. Returns the state of the key after such
    /// a step.
    async fn modify(&self, op: Op, step: &Step<V::Owned>) -> Result<Option<Option<State>>> {
        let (table, Step { key, number, before, old, new, another, what, .. }) =
            (&self.table, step);
        let kept = (*number, before.and_then(|(_, second)| second));
        let update = |value: Option<V::Owned>| {
            assert!(value == *old, "{what}");
            new.clone()
        };
        Ok(Some(match op {
            Op::Rmw => {
                assert!(table.rmw(key, update).await? == *new, "{what}");
                Some(kept)
            }
            Op::RmwMany => {
                table.rmw_many(&[*key], |_, value| update(value)).await?;
                Some(kept)
            }
            Op::Keep => {
                let seen = table.update(key, |value| Update::Keep(value.is_some())).await?;
                assert_eq!(seen, before.is_some(), "{what}");
                *before
            }
            Op::Put => {
                let put = |value: Option<V::Owned>| Update::Put(new.clone(), value == *old);
                assert!(table.update(key, put).await?, "{what}");
                Some(kept)
            }
            Op::Replace => {
                assert!(table.replace(key, new.borrow()).await? == *old, "{what}");
                Some(kept)
            }
            Op::Swap => {
                let expected = old.as_ref().unwrap_or(another);
                let swapped = table.compare_and_swap(key, expected.borrow(), new.borrow()).await?;
                assert_eq!(swapped, before.is_some(), "{what}");
                before.map(|_| kept)
            }
            Op::SwapAnother => {
                let swapped = table.compare_and_swap(key, another.borrow(), new.borrow()).await?;
                assert!(!swapped, "{what}");
                *before
            }
            _ => return Ok(None),
        }))
    }

    /// Makes a step that decides about value and expiry. Returns the state of the key after such a
    /// step.
    async fn update_with(&self, op: Op, step: &Step<V::Owned>) -> Result<Option<Option<State>>> {
        let Step { key, number, later, last, before, old, new, what, .. } = step;
        let (expiry, after) = match op {
            Op::PutWith => (at(*later), Some((*number, Some(*later)))),
            Op::PutWithLast => (at(*last), Some((*number, Some(*last)))),
            Op::PutWithNow => (Expiry::after(Duration::ZERO), None),
            Op::KeepWith => (Expiry::never(), *before),
            Op::RemoveWith => (Expiry::never(), None),
            _ => return Ok(None),
        };
        let seen = before.map(|(_, second)| second.map_or(Expiry::never(), at));
        let decide = |current: Option<(V::Owned, Expiry)>| {
            let (value, found) = current.unzip();
            assert!(value == *old && found == seen, "{what}: {found:?}");
            match op {
                Op::KeepWith => Update::Keep(value.is_some()),
                Op::RemoveWith => Update::Remove(value.is_some()),
                _ => Update::Put((new.clone(), expiry), value.is_some()),
            }
        };
        assert_eq!(self.table.update_with(key, decide).await?, before.is_some(), "{what}");
        Ok(Some(after))
    }

    /// Makes a step that removes the key or changes its expiry. Returns the state of the key after
    /// it.
    async fn remove_or_expire(&self, op: Op, step: &Step<V::Owned>) -> Result<Option<State>> {
        let (table, Step { key, before, old, another, what, .. }) = (&self.table, step);
        let was_there = |answer: bool| assert_eq!(answer, before.is_some(), "{what}");
        let with = |expiry| before.map(|(number, _)| (number, expiry));
        match op {
            Op::Remove => {
                let seen = table.update(key, |value| Update::Remove(value == *old)).await?;
                assert!(seen, "{what}");
            }
            Op::CompareAndDelete => {
                let expected = old.as_ref().unwrap_or(another);
                was_there(table.compare_and_delete(key, expected.borrow()).await?);
            }
            Op::Take => assert!(table.take(key).await? == *old, "{what}"),
            Op::DeleteIf => was_there(table.delete_if(key, |_| true).await?),
            Op::Delete => step.known(table.delete(key).await?),
            Op::DeleteMany => {
                let previous = table.delete_many(&[*key]).await?;
                previous.into_iter().for_each(|previous| step.known(previous));
            }
            Op::ExpireNow => {
                was_there(table.set_expiry(key, Expiry::after(Duration::ZERO)).await?);
            }
            Op::SetExpiry => {
                was_there(table.set_expiry(key, at(step.later)).await?);
                return Ok(with(Some(step.later)));
            }
            Op::Persist => {
                was_there(table.persist(key).await?);
                return Ok(with(None));
            }
            _ => unreachable!("{what} is made by another function"),
        }
        Ok(None)
    }
}

/// The number of a key, and the second at which it expires.
type State = (u64, Option<u64>);

/// A step, and the state of its key before it.
struct Step<O> {
    key: u64,
    number: u64,
    later: u64,
    /// The expiry that the key had at last, even if that has passed.
    last: u64,
    before: Option<State>,
    old: Option<O>,
    new: O,
    /// A value that the key does not have.
    another: O,
    what: String,
}

impl<O> Step<O> {
    fn known(&self, previous: Previous) {
        let known = previous.known().is_none_or(|known| known == self.before.is_some());
        assert!(known, "{}: {previous:?}", self.what);
    }
}
