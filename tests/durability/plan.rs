//! The operations of sessions. Each is a pure function of the seed of the store, the number of the
//! session and the serial number. So a check that knows a commit point knows the expected contents
//! of the store.

use kvick::io::sim::Random;
use kvick::session::CommitPoint;
use std::collections::{BTreeSet, HashMap};

/// The number of sessions of a store.
pub(crate) const SESSIONS: u32 = 4;
/// The number of keys that only one session writes. It is a prime, so any stride visits all of
/// them.
pub(crate) const OWN_KEYS: u64 = 2039;
/// The number of keys that all sessions add to.
pub(crate) const COUNTERS: u64 = 8;

/// The number of operations that are done in one way, alone or as a batch.
const BLOCK: u64 = 16;
const HOT_KEYS: u64 = 64;

/// The way in which the operations of a block are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    OneByOne,
    ModifyMany,
    UpsertMany,
}

/// The effect of an operation on its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Upsert,
    Modify,
    Delete,
    /// Adds to a counter. Operations of different sessions on it commute.
    Count,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) change: Change,
    pub(crate) key: u64,
    /// The word of this operation, or the addend of a counter.
    pub(crate) word: u64,
}

/// The operations of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) session: u32,
}

impl Plan {
    /// Returns the way in which `serial` is done, and the last serial number of its block.
    pub(crate) fn shape(self, serial: u64) -> (Shape, u64) {
        let block = (serial - 1) / BLOCK;
        let shape = match self.random(!block).below(4) {
            0 => Shape::ModifyMany,
            1 => Shape::UpsertMany,
            _ => Shape::OneByOne,
        };
        (shape, (block + 1) * BLOCK)
    }

    /// Returns the operation `serial`.
    pub(crate) fn step(self, serial: u64) -> Step {
        let mut random = self.random(serial);
        let key = if random.chance(0.5) { random.below(HOT_KEYS) } else { random.below(OWN_KEYS) };
        let word = u64::from(self.session + 1) << 48 | serial;
        let step = |change, key| Step { change, key: own_key(self.session, key), word };
        match (self.shape(serial).0, random.below(20)) {
            (Shape::UpsertMany, _) | (Shape::OneByOne, 0..8) => step(Change::Upsert, key),
            (Shape::OneByOne, 8..14) => step(Change::Modify, key),
            (Shape::OneByOne, 14..17) => step(Change::Delete, key),
            (Shape::OneByOne, _) => {
                let key = counter_key(random.below(COUNTERS));
                Step { change: Change::Count, key, word: serial % 1000 + 1 }
            }
            (Shape::ModifyMany, _) => step(Change::Modify, self.key_in_batch(serial)),
        }
    }

    /// Returns a key of a batch. The keys of one batch differ, since a batch has no order.
    fn key_in_batch(self, serial: u64) -> u64 {
        let (block, place) = ((serial - 1) / BLOCK, (serial - 1) % BLOCK);
        let mut random = self.random(!block);
        random.next_u64();
        let (first, stride) = (random.below(OWN_KEYS), 1 + random.below(OWN_KEYS - 1));
        (first + place * stride) % OWN_KEYS
    }

    fn random(self, what: u64) -> Random {
        Random::new(self.seed ^ Random::new(what ^ u64::from(self.session) << 48).next_u64())
    }
}

impl Step {
    /// Returns the value of the key after the operation.
    pub(crate) fn apply(self, before: Option<u64>) -> Option<u64> {
        match self.change {
            Change::Upsert => Some(self.word),
            Change::Modify => Some(self.modified(before)),
            Change::Delete => None,
            Change::Count => Some(before.unwrap_or(0).wrapping_add(self.word)),
        }
    }

    /// Returns a value that depends on the order. A repeated or missing operation shows in all
    /// later values.
    fn modified(self, before: Option<u64>) -> u64 {
        Random::new(before.unwrap_or(0).rotate_left(17) ^ self.word).next_u64()
    }
}

/// The expected contents of a store.
#[derive(Debug, Default)]
pub(crate) struct Model(HashMap<u64, u64>);

impl Model {
    /// Performs the operations of a session up to its commit point, except the skipped numbers.
    pub(crate) fn replay(&mut self, plan: Plan, point: &CommitPoint, void: &BTreeSet<u64>) {
        let is_done = |serial: &u64| point.covers(*serial) && !void.contains(serial);
        for serial in (1..=point.until).filter(is_done) {
            let step = plan.step(serial);
            match step.apply(self.word(step.key)) {
                Some(word) => self.0.insert(step.key, word),
                None => self.0.remove(&step.key),
            };
        }
    }

    pub(crate) fn word(&self, key: u64) -> Option<u64> {
        self.0.get(&key).copied()
    }
}

/// Returns all keys that a store may have, and neighbours of them that it must not have.
pub(crate) fn keys() -> impl Iterator<Item = u64> {
    let own = (0..SESSIONS).flat_map(|session| (0..=OWN_KEYS).map(move |key| (session, key)));
    own.map(|(session, key)| own_key(session, key)).chain((0..=COUNTERS).map(counter_key))
}

fn own_key(session: u32, key: u64) -> u64 {
    u64::from(session) << 32 | key
}

fn counter_key(counter: u64) -> u64 {
    1 << 48 | counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_batch_of_modifications_differ() {
        let plan = Plan { seed: 7, session: 3 };
        let mut batches = 0;
        for serial in (0..250).map(|block| block * BLOCK + 1) {
            let (shape, last) = plan.shape(serial);
            assert_eq!(last, serial + BLOCK - 1);
            if shape == Shape::ModifyMany {
                let keys: BTreeSet<u64> = (serial..=last).map(|it| plan.step(it).key).collect();
                assert_eq!(keys.len() as u64, BLOCK);
                batches += 1;
            }
        }
        assert!(batches > 20);
    }

    #[test]
    fn an_operation_more_or_less_shows() {
        let plan = Plan { seed: 1, session: 0 };
        let contents = |until, excluded: &[u64]| {
            let mut point = CommitPoint::default();
            point.until = until;
            point.excluded = excluded.iter().copied().collect();
            let mut model = Model::default();
            model.replay(plan, &point, &BTreeSet::new());
            keys().map(|key| model.word(key)).collect::<Vec<_>>()
        };
        assert_ne!(contents(500, &[]), contents(501, &[]));
        let modification = (1..=500)
            .rev()
            .find(|serial| plan.step(*serial).change == Change::Modify)
            .expect("one of 500");
        assert_ne!(contents(500, &[]), contents(500, &[modification]));
    }
}
