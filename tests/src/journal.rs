//! The operations of a session by serial number, and the state that a checkpoint of it must have.

use std::collections::BTreeMap;

use crate::simulated::Site;
use kvick::io::sim::Random;
use kvick::{Error, FasterKv, Result, Session, checkpoint, recovery, session};

/// The kinds of checkpoints, in an order in which a checkpoint often builds on the one before.
pub const ALL_KINDS: [checkpoint::Kind; 7] = [
    checkpoint::Kind::Snapshot,
    checkpoint::Kind::Incremental,
    checkpoint::Kind::IndexOnly,
    checkpoint::Kind::Incremental,
    checkpoint::Kind::FoldOver,
    checkpoint::Kind::Snapshot,
    checkpoint::Kind::Auto,
];

/// A session of `u64` keys and values, and the operations that it has done.
#[derive(Debug)]
pub struct Journal {
    session: Session<u64, u64>,
    record: Record,
    random: Random,
}

/// The operations of a session that is gone.
#[derive(Clone, Debug)]
pub struct Record {
    id: session::Id,
    first_key: u64,
    keys: u64,
    /// The key and the new value of each counted operation; no value for a deletion.
    done: Vec<(u64, Option<u64>)>,
}

impl Journal {
    /// Creates a session that works on keys of its own.
    ///
    /// # Errors
    /// As [`FasterKv::session`].
    pub fn new(store: &FasterKv<u64, u64>, first_key: u64, random: Random) -> Result<Self> {
        let session = store.session()?;
        let record = Record { id: session.id(), first_key, keys: 300, done: Vec::new() };
        Ok(Self { session, record, random })
    }

    /// Begins so many new sessions of a store, on keys of their own.
    ///
    /// # Panics
    /// If the store is closed.
    pub fn several(store: &FasterKv<u64, u64>, site: &Site, count: u64) -> Vec<Self> {
        let begin = |number| Self::new(store, number * 1000, site.random(number)).expect("open");
        (0..count).map(begin).collect()
    }

    /// Performs one random write.
    ///
    /// # Errors
    /// Returns the error of the operation, which must have had no effect then.
    pub async fn step(&mut self) -> Result<()> {
        let key = self.record.first_key + self.random.below(self.record.keys);
        let value = self.random.next_u64();
        let done = match self.random.below(10) {
            0 => self.session.delete(&key).await.map(|_| None),
            1..6 => self.session.upsert(&key, &value).await.map(|_| Some(value)),
            _ => self.session.rmw(&key, |_| value).await.map(Some),
        };
        let done = done.inspect_err(|_| self.check_serial())?;
        self.record.done.push((key, done));
        self.check_serial();
        Ok(())
    }

    fn check_serial(&self) {
        assert_eq!(
            self.session.serial(),
            self.record.done.len() as u64,
            "serial numbers count the operations"
        );
    }

    /// Compares the store with the journal. A read may fail with an allowed error.
    pub async fn check(&mut self, is_allowed: impl Fn(&Error) -> bool) {
        let expected = self.record.state(self.session.serial());
        for key in self.record.keys() {
            match self.session.read(&key).await {
                Ok(found) => assert_eq!(found, expected.get(&key).copied(), "key {key}"),
                Err(error) => assert!(is_allowed(&error), "key {key}: {error}"),
            }
        }
    }

    /// Returns the session.
    pub fn session(&self) -> &Session<u64, u64> {
        &self.session
    }

    /// Ends the session, and returns its operations.
    pub fn end(self) -> Record {
        self.record
    }
}

impl Record {
    /// Returns the id of the session.
    pub fn id(&self) -> session::Id {
        self.id
    }

    /// Returns the number of operations.
    pub fn serial(&self) -> u64 {
        self.done.len() as u64
    }

    fn keys(&self) -> std::ops::Range<u64> {
        self.first_key..self.first_key + self.keys
    }

    /// Returns the keys and values after the first `until` operations.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn state(&self, until: u64) -> BTreeMap<u64, u64> {
        let until = usize::try_from(until).expect("a count of operations fits");
        let mut state = BTreeMap::new();
        for (key, value) in &self.done[..until] {
            match value {
                Some(value) => drop(state.insert(*key, *value)),
                None => drop(state.remove(key)),
            }
        }
        state
    }

    /// Checks that a store holds exactly the operations that its report has of this session.
    /// Returns the recovered serial number.
    pub async fn check(&self, store: &FasterKv<u64, u64>) -> u64 {
        let report = store.recovery().cloned().unwrap_or_else(recovery::Report::default);
        let point = report.sessions.get(&self.id).cloned().unwrap_or_default();
        assert!(point.excluded.is_empty(), "one operation at a time");
        let expected = self.state(point.until);
        for key in self.keys() {
            let found = store.read(&key).await.expect("a sound disk");
            assert_eq!(found, expected.get(&key).copied(), "key {key} of {report:?}");
        }
        point.until
    }
}
