//! A check that some order of the operations explains the history of one key.
//!
//! An operation takes effect at one instant between its call and its return. A history is
//! *linearizable* if there are such instants for all operations, so that each operation sees the
//! effects of the ones before. The search is that of Wing and Gong, and it stores failed states as
//! Lowe does. It begins with the earliest operation, and tries each operation that may come next.
//!
//! An operation whose future was dropped is a *maybe*. It may have taken effect at any time after
//! its call, or not at all.

use std::collections::HashSet;

use kvick::session::Update;

use crate::numbers::Number;

/// The value of a key, and its expiry. [`NEVER`] is none.
pub type State = (u64, u64);

/// The expiry of a key that does not expire.
pub const NEVER: u64 = 0;
/// The expiry that has passed: a key with it is absent. No other expiry passes.
pub const PASSED: u64 = 1;

/// An operation on the key, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A read that returned this value.
    Read(Option<u64>),
    /// A write of this value; whether the key was present, if the store knew.
    Upsert(u64, Option<bool>),
    /// An update that added the first to the value, or to 0, and returned the second.
    Add(u64, u64),
    /// A deletion; whether the key was present, if the store knew.
    Delete(Option<bool>),
    /// A deletion that returned this value.
    Take(Option<u64>),
    /// A write of the first value that returned the second.
    Replace(u64, Option<u64>),
    /// A deletion on condition that the key has this value; whether it took place.
    Remove(u64, bool),
    /// An update that returned this value and subtracted one. It removed a value of at most one.
    Less(Option<u64>),
    /// A write on condition that the key is absent; whether it took place.
    Insert(u64, bool),
    /// A write of the first value with this expiry; whether the key was present, if the store knew.
    UpsertWith(u64, u64, Option<bool>),
    /// A read of the expiry.
    Expiry(Option<u64>),
    /// A change of the expiry; whether the key was present.
    SetExpiry(u64, bool),
    /// A write of the second value on condition that the key has the first; whether it took place.
    Swap(u64, u64, bool),
}

/// Subtracts one from a value, or removes it, as [`Action::Less`] describes.
pub fn less<V: Number>(value: Option<V>) -> Update<V, Option<u64>> {
    let value = value.map(V::get);
    match value {
        None => Update::Keep(None),
        Some(0 | 1) => Update::Remove(value),
        Some(more) => Update::Put(V::of(more - 1), value),
    }
}

/// Adds to a value, or to 0, as [`Action::Add`] describes.
pub fn add<V: Number>(amount: u64) -> impl Fn(Option<V>) -> V {
    move |value| V::of(value.map_or(0, V::get) + amount)
}

/// One operation of a history.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The operation and its answer.
    pub action: Action,
    /// The tick of the shared clock before the call.
    pub called: u64,
    /// The tick of the shared clock after the return; `None` for a maybe.
    pub returned: Option<u64>,
}

impl Action {
    /// Returns the state of the key after this operation, or `None` if the answer does not fit
    /// `current`. Any answer of a maybe fits.
    fn apply(self, current: Option<State>, is_maybe: bool) -> Option<Option<State>> {
        let found = current.map(|(value, _)| value);
        let expiry = current.map_or(NEVER, |(_, expiry)| expiry);
        let set = |value| Some((value, expiry));
        let (answered, next) = match self {
            Self::Read(seen) => (seen == found, current),
            Self::Expiry(seen) => (seen == current.map(|_| expiry), current),
            Self::Upsert(value, known) => (is_right(known, current), Some((value, NEVER))),
            Self::UpsertWith(value, expiry, known) => {
                (is_right(known, current), Some((value, expiry)))
            }
            Self::SetExpiry(expiry, was_there) => {
                (was_there == current.is_some(), found.map(|value| (value, expiry)))
            }
            Self::Add(amount, got) => {
                let sum = found.unwrap_or(0) + amount;
                (got == sum, set(sum))
            }
            Self::Delete(known) => (is_right(known, current), None),
            Self::Take(seen) => (seen == found, None),
            Self::Replace(value, seen) => (seen == found, set(value)),
            Self::Remove(value, removed) => {
                let matches = found == Some(value);
                (removed == matches, if matches { None } else { current })
            }
            Self::Less(seen) => (seen == found, found.filter(|n| *n > 1).and_then(|n| set(n - 1))),
            Self::Insert(value, inserted) => {
                let absent = current.is_none();
                (inserted == absent, current.or(Some((value, NEVER))))
            }
            Self::Swap(old, new, swapped) => {
                let matches = found == Some(old);
                let next = if matches { set(new) } else { current };
                (swapped == matches, next)
            }
        };
        let next = next.filter(|(_, expiry)| *expiry != PASSED);
        (answered || is_maybe).then_some(next)
    }
}

/// Returns whether the known presence of the key, if any, was right.
fn is_right(known: Option<bool>, current: Option<State>) -> bool {
    known.is_none_or(|known| known == current.is_some())
}

/// Returns whether the history of one key, absent at first, is linearizable.
pub fn is_linearizable(history: &[Event]) -> bool {
    let mut events = history.to_vec();
    events.sort_by_key(|event| event.called);
    let mut search = Search { done: vec![false; events.len()], events, dead: HashSet::new() };
    search.explains(0, None)
}

struct Search {
    events: Vec<Event>,
    done: Vec<bool>,
    /// The states that led nowhere: the operations done after the first one that is not, and the
    /// state of the key.
    dead: HashSet<(usize, Vec<bool>, Option<State>)>,
}

impl Search {
    /// Returns whether the remaining operations can follow. All operations before `first` are done.
    fn explains(&mut self, first: usize, current: Option<State>) -> bool {
        let first = (first..self.done.len()).find(|&at| !self.done[at]);
        let Some(first) = first else {
            return true;
        };
        let candidates = self.candidates(first);
        if candidates.is_empty() {
            // Only maybes remain.
            return true;
        }
        let last = (first..self.done.len()).rfind(|&at| self.done[at]).unwrap_or(first);
        let state = (first, self.done[first..=last].to_vec(), current);
        if self.dead.contains(&state) {
            return false;
        }
        for at in candidates {
            let Event { action, returned, .. } = self.events[at];
            let Some(next) = action.apply(current, returned.is_none()) else {
                continue;
            };
            self.done[at] = true;
            if self.explains(first, next) {
                return true;
            }
            self.done[at] = false;
        }
        self.dead.insert(state);
        false
    }

    /// Returns the operations that may come next: each was called before the first return of an
    /// operation that must still come.
    fn candidates(&self, first: usize) -> Vec<usize> {
        let open = || (first..self.events.len()).filter(|&at| !self.done[at]);
        let deadline = open().filter_map(|at| self.events[at].returned).min();
        let Some(deadline) = deadline else {
            return Vec::new();
        };
        open().take_while(|&at| self.events[at].called <= deadline).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: Action, called: u64, returned: u64) -> Event {
        Event { action, called, returned: Some(returned) }
    }

    #[test]
    fn sequences_are_explained_if_they_are_right() {
        let right = [
            event(Action::Read(None), 0, 1),
            event(Action::Add(2, 2), 2, 3),
            event(Action::Read(Some(2)), 4, 5),
            event(Action::Insert(9, false), 6, 7),
            event(Action::Swap(2, 7, true), 8, 9),
            event(Action::Delete(Some(true)), 10, 11),
            event(Action::Insert(9, true), 12, 13),
            event(Action::Read(Some(9)), 14, 15),
            event(Action::Less(Some(9)), 16, 17),
            event(Action::Replace(1, Some(8)), 18, 19),
            event(Action::Remove(8, false), 20, 21),
            event(Action::Less(Some(1)), 22, 23),
            event(Action::Take(None), 24, 25),
            event(Action::Upsert(5, Some(false)), 26, 27),
            event(Action::Take(Some(5)), 28, 29),
            event(Action::Delete(None), 30, 31),
            event(Action::SetExpiry(8, false), 32, 33),
            event(Action::UpsertWith(4, 8, Some(false)), 34, 35),
            event(Action::Add(1, 5), 36, 37),
            event(Action::Expiry(Some(8)), 38, 39),
            event(Action::SetExpiry(9, true), 40, 41),
            event(Action::Expiry(Some(9)), 42, 43),
            event(Action::Upsert(5, Some(true)), 44, 45),
            event(Action::Expiry(Some(NEVER)), 46, 47),
            event(Action::SetExpiry(PASSED, true), 48, 49),
            event(Action::Read(None), 50, 51),
        ];
        assert!(is_linearizable(&right));
        for wrong in 2..right.len() {
            let mut history = right;
            history[wrong].action = Action::Read(Some(1000));
            assert!(!is_linearizable(&history));
        }
    }

    #[test]
    fn a_value_is_taken_once() {
        let set = event(Action::Upsert(1, None), 0, 1);
        let take = |seen| event(Action::Take(seen), 2, 9);
        assert!(is_linearizable(&[set, take(Some(1)), take(None)]));
        assert!(!is_linearizable(&[set, take(Some(1)), take(Some(1))]));
        assert!(!is_linearizable(&[set, take(Some(1)), event(Action::Delete(Some(true)), 3, 4)]));
    }

    #[test]
    fn a_stale_read_is_caught_and_an_overlapping_one_is_not() {
        let write = event(Action::Upsert(1, None), 0, 10);
        assert!(is_linearizable(&[write, event(Action::Read(None), 2, 3)]));
        assert!(is_linearizable(&[write, event(Action::Read(Some(1)), 2, 3)]));
        assert!(!is_linearizable(&[write, event(Action::Read(None), 11, 12)]));
        let there_and_back =
            [write, event(Action::Read(Some(1)), 2, 3), event(Action::Read(None), 4, 5)];
        assert!(!is_linearizable(&there_and_back));
    }

    #[test]
    fn a_lost_update_is_caught() {
        let adds =
            |one, other| [event(Action::Add(1, one), 0, 5), event(Action::Add(1, other), 1, 6)];
        let [one, other] = adds(2, 1);
        let sum = |sum| [one, other, event(Action::Read(Some(sum)), 7, 8)];
        assert!(is_linearizable(&sum(2)));
        assert!(!is_linearizable(&sum(1)));
        assert!(!is_linearizable(&adds(1, 1)));
    }

    #[test]
    fn a_lost_change_of_an_expiry_is_caught() {
        let set = event(Action::UpsertWith(1, 7, None), 0, 1);
        let both = [event(Action::SetExpiry(8, true), 2, 9), event(Action::Add(1, 2), 3, 8)];
        let end = |expiry| {
            let seen = event(Action::Expiry(Some(expiry)), 10, 11);
            is_linearizable(&[set, both[0], both[1], seen])
        };
        assert!(end(8) && !end(7));
        let beside = [set, both[0], event(Action::Upsert(3, Some(true)), 3, 8)];
        let seen = |expiry| event(Action::Expiry(Some(expiry)), 10, 11);
        assert!(
            [8, NEVER].iter().all(|expiry| {
                is_linearizable(&[beside[0], beside[1], beside[2], seen(*expiry)])
            })
        );
        assert!(!is_linearizable(&[beside[0], beside[1], beside[2], seen(7)]));
    }

    #[test]
    fn a_maybe_happens_or_not_but_not_before_its_call() {
        let maybe = Event { action: Action::Upsert(1, None), called: 4, returned: None };
        assert!(is_linearizable(&[maybe, event(Action::Read(None), 5, 6)]));
        assert!(is_linearizable(&[maybe, event(Action::Read(Some(1)), 50, 60)]));
        assert!(!is_linearizable(&[maybe, event(Action::Read(Some(1)), 1, 2)]));
    }
}
