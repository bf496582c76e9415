//! Modifications of many keys. Keys with records on the device follow in no particular order.

use super::in_turn::{DeferredSerial, InTurn};
use super::{GROUP, Waiting, stage};
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::context::OperationContext;
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::operation::changes::{Change, Compute, Form, Insert, Unanswered};
use crate::store::operation::future::OperationFuture;
use crate::store::operation::modify::{Modify, modify_hashed, modify_hit};
use crate::store::operation::pending::long_value_turn::{LongValuePlace, LongValueTurn};
use crate::store::operation::read::{Boxed, DecodeValue};
use crate::store::operation::store_ref::StoreRef;
use crate::store::record::append::TRIES;
use crate::store::record::encoding::is_large;
use crate::store::sessions::state::SessionState;
use crate::store::table::TableRef;
use std::borrow::Borrow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The changes of a batch, one for each place.
trait Changes<V: Value + ?Sized>: Sized {
    /// The answer of one change.
    type Output;

    /// Returns the change of a place, for the group under the guard.
    fn now(&mut self, place: usize) -> impl Change<V, Output = Self::Output>;

    /// Returns the change of a place, for an operation that runs beside others.
    fn later(shared: &Mutex<Self>, place: usize) -> impl Change<V, Output = Self::Output>;
}

/// The changes of `rmw_many`: one closure computes all new values.
struct Computes<F, R>(F, R);

impl<V, F, R> Changes<V> for Computes<F, R>
where
    V: Value + ?Sized,
    F: FnMut(usize, Option<V::Owned>) -> V::Owned,
    R: Form<V> + Copy,
{
    type Output = ();

    #[inline(always)]
    fn now(&mut self, place: usize) -> impl Change<V, Output = ()> {
        let form = self.1;
        Unanswered(Compute::new(move |current| (self.0)(place, current), form))
    }

    fn later(shared: &Mutex<Self>, place: usize) -> impl Change<V, Output = ()> {
        let form = locked(shared).1;
        Unanswered(Compute::new(move |current| (locked(shared).0)(place, current), form))
    }
}

/// The changes of `insert_many`: each writes the value of its pair if there is none.
struct Inserts<'p, Q, W>(&'p [(Q, W)]);

impl<V: Value + ?Sized, Q, W: Borrow<V::Item>> Changes<V> for Inserts<'_, Q, W> {
    type Output = bool;

    fn now(&mut self, place: usize) -> impl Change<V, Output = bool> {
        Insert::<V>(self.0[place].1.borrow())
    }

    fn later(shared: &Mutex<Self>, place: usize) -> impl Change<V, Output = bool> {
        Insert::<V>(locked(shared).0[place].1.borrow())
    }
}

/// Modifies each of `keys` once.
pub(crate) async fn rmw_many<K, V, Q, F>(access: StoreRef<'_>, keys: &[Q], f: F) -> Result<()>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    F: FnMut(usize, Option<V::Owned>) -> V::Owned,
{
    if const { is_large::<V>() } {
        return modify_each::<K, V, _, _>(access, keys, Q::borrow, Computes(f, Boxed), |_, ()| ())
            .await;
    }
    modify_each::<K, V, _, _>(access, keys, Q::borrow, Computes(f, DecodeValue), |_, ()| ()).await
}

/// Sets the values of keys that have none. The answers are in the order of the pairs.
pub(crate) async fn insert_many<'p, K, V, Q, W>(
    access: StoreRef<'_>,
    pairs: &'p [(Q, W)],
) -> Result<Vec<bool>>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let mut answers = vec![false; pairs.len()];
    let answer = |place: usize, inserted| answers[place] = inserted;
    let key_of = |(key, _): &'p (Q, W)| key.borrow();
    modify_each::<K, V, _, _>(access, pairs, key_of, Inserts(pairs), answer).await?;
    Ok(answers)
}

/// Makes the change of each of `items`, and passes its place and its answer on.
async fn modify_each<'k, K, V, T, C>(
    mut access: StoreRef<'_>,
    items: &'k [T],
    key_of: impl Fn(&'k T) -> &'k K::Item,
    changes: C,
    answer: impl FnMut(usize, C::Output),
) -> Result<()>
where
    K: Key + ?Sized + 'k,
    V: Value + ?Sized,
    C: Changes<V>,
{
    // A change that panicked has changed nothing, so other operations may continue to use it.
    let shared = &Mutex::new(changes);
    let (core, ledger) = (access.core(), access.ledger());
    let mut waiting = Waiting::new(core);
    let mut long_values: Option<Arc<LongValueTurn>> = None;
    let left = Vec::new();
    let mut batch = Modifications { items, key_of, answer, ledger, left, done: 0, overtaken: 0 };
    while batch.done < items.len() {
        let before = batch.done;
        access.protected(|core, tools| batch.run_group::<K, V, C>(core, tools, shared))?;
        access.yield_after(batch.done - before).await;
        for (place, turn) in batch.left.drain(..) {
            let key = (batch.key_of)(&items[place]);
            let modify = Modify::<K, V, _>::new(key, C::later(shared, place));
            let long = LongValuePlace::new(long_values.get_or_insert_default(), place);
            let modify = InTurn { modify, turn, long };
            let modify = OperationFuture::of_part(StoreRef::pooled(core.table), modify);
            let modify = async move { modify.await.map(|output| (place, output)) };
            if let Some((place, output)) = waiting.add(modify).await? {
                (batch.answer)(place, output);
            }
        }
    }
    while let Some((place, output)) = waiting.next().await? {
        (batch.answer)(place, output);
    }
    Ok(())
}

/// A batch of modifications in progress.
struct Modifications<'k, T, G, A> {
    items: &'k [T],
    key_of: G,
    answer: A,
    /// `Some` only in a batch of a session.
    ledger: Option<Arc<SessionState>>,
    /// The places that were left to ordinary operations, with the numbers of these.
    left: Vec<(usize, Option<DeferredSerial>)>,
    done: usize,
    /// The number of times that another operation was faster in this group.
    overtaken: usize,
}

impl<'k, T, G, A> Modifications<'k, T, G, A> {
    /// Makes the changes of a group under one guard. Out of line, so that the code of the caller
    /// takes no registers from this loop.
    #[inline(never)]
    fn run_group<K, V, C>(
        &mut self,
        core: TableRef<'_>,
        mut tools: OperationContext<'_>,
        shared: &Mutex<C>,
    ) -> Result<()>
    where
        K: Key + ?Sized + 'k,
        V: Value + ?Sized,
        C: Changes<V>,
        G: Fn(&'k T) -> &'k K::Item,
        A: FnMut(usize, C::Output),
    {
        core.check_write()?;
        let group = &self.items[self.done..self.items.len().min(self.done + GROUP)];
        let staged = stage::<K>(core, group.iter().map(&self.key_of))?;
        // One lock for the group. Nothing else takes it before the guard ends.
        let mut changes = locked(shared);
        // As in `write_group`.
        let mut is_as_staged = true;
        for key in staged.iter().flatten() {
            let place = self.done;
            let mut change = changes.now(place);
            let found = (key.bytes.as_ref(), key.newest);
            if is_as_staged
                && let Some(wrote) = modify_hit::<K, V, _>(core, found, &mut change, &mut tools)
            {
                (self.answer)(place, change.answer(wrote?));
                self.done += 1;
                continue;
            }
            is_as_staged = false;
            match modify_hashed::<K, V, _>(core, key.hashed(), &mut change, tools.again())? {
                Attempt::Done(wrote) => (self.answer)(place, change.answer(wrote)),
                // The batch continues here under another guard.
                Attempt::Blocked(Blocked::Overtaken) if self.overtaken < TRIES => {
                    self.overtaken += 1;
                    return Ok(());
                }
                Attempt::Blocked(_) => {
                    let ledger = self.ledger.as_ref();
                    let turn = ledger.map(|ledger| DeferredSerial::put_off(core, ledger));
                    self.left.push((place, turn));
                }
            }
            self.done += 1;
        }
        self.overtaken = 0;
        Ok(())
    }
}

fn locked<C>(shared: &Mutex<C>) -> MutexGuard<'_, C> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
