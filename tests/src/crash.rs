//! Power cuts at every I/O of a run, and the check of the recovered store.
//!
//! A [`Snapshots`] stands between the executor and the simulated disk. At each I/O it may take an
//! *image*: the disk after a power cut at that moment, with the checkpoint acknowledged by then. A
//! test opens a store on an image and verifies it. The store must have the state of some
//! checkpoint, no older than the newest acknowledged one. It must have exactly the operations of
//! each session that this checkpoint reports. [`Ledgers`] store the operations of each session by
//! serial number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kvick::io::EventSource;
use kvick::io::sim::{Random, SimDisk};
use kvick::session::CommitPoint;
use kvick::{FasterKv, recovery, session};

use crate::samples::{SampleKey, SampleValue, item};

/// The first of the shared keys. All sessions count at these keys.
pub const SHARED: u64 = 1_000_000;
/// The number of shared keys.
pub const COUNTERS: u64 = 3;

/// The number of power cuts in a row.
const DEPTH: u32 = 3;

/// Decides whether a life after `depth` power cuts works on what it has opened. Returns this, and
/// the chance of an image at each I/O.
pub fn next_life(depth: u32, random: &mut Random) -> (bool, f64) {
    let works = depth == 0 || depth < DEPTH && random.chance(0.1);
    let chance = match (depth, works) {
        (0, _) => 1.0,
        (_, true) => 0.3,
        // The images of a recovery without further work.
        (depth, false) if depth < DEPTH => 0.02,
        _ => 0.0,
    };
    (works, chance)
}

/// The effect of one operation on its key.
#[derive(Clone, Debug)]
pub enum Effect<T> {
    /// Sets the value.
    Set(T),
    /// Updates the value; see [`SampleValue::updated`].
    Update(u64),
    /// Deletes the key.
    Delete,
    /// Removes the value and returns it, with `take` or with a decision of `update`.
    Take {
        /// Whether `update` decides.
        decides: bool,
    },
    /// Adds one to a shared counter.
    Count,
}

/// One operation of a session.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The serial number.
    pub serial: u64,
    /// The changed key.
    pub key: u64,
    /// The effect on the key.
    pub effect: Effect<T>,
}

/// The operations of all sessions, in the order in which they took effect. This is not the order of
/// the numbers: a session repeats an operation that a crash excluded after later ones.
#[derive(Debug)]
pub struct Ledgers<V: SampleValue + ?Sized>(BTreeMap<session::Id, Ledger<V::Owned>>);

type Ledger<T> = Vec<Entry<T>>;

impl<V: SampleValue + ?Sized> Clone for Ledgers<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V: SampleValue + ?Sized> Default for Ledgers<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: SampleValue + ?Sized> Ledgers<V> {
    /// Notes the next operation of a session before the session performs it.
    pub fn push(&mut self, session: session::Id, entry: Entry<V::Owned>) {
        self.0.entry(session).or_default().push(entry);
    }

    /// Removes the operations that a session did not perform.
    pub fn forget(&mut self, session: session::Id, undone: &[u64]) {
        let ledger = self.0.entry(session).or_default();
        ledger.retain(|entry| !undone.contains(&entry.serial));
    }

    /// Returns the operations from which a recovered store continues.
    #[must_use]
    pub fn up_to(&self, points: &BTreeMap<session::Id, CommitPoint>) -> Self {
        let kept = points.iter().map(|(id, point)| {
            let ledger = self.0.get(id).into_iter().flatten();
            let done: Vec<_> = ledger.filter(|entry| point.covers(entry.serial)).cloned().collect();
            let serials: BTreeSet<u64> = done.iter().map(|entry| entry.serial).collect();
            assert_eq!(serials.len(), done.len(), "session {id}: each number is done once");
            let covered = point.until - point.excluded.len();
            assert_eq!(done.len() as u64, covered, "session {id} did not do all of {point:?}");
            (*id, done)
        });
        Self(kept.collect())
    }

    /// Returns the resulting values. Absent keys have none.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<u64, V::Owned> {
        let mut contents = BTreeMap::new();
        for Entry { key, effect, .. } in self.0.values().flatten() {
            apply::<V>(&mut contents, *key, effect);
        }
        contents
    }

    /// Returns all keys of the operations, and the counters.
    fn keys(&self) -> Vec<u64> {
        let mut keys: Vec<u64> = self.0.values().flatten().map(|entry| entry.key).collect();
        keys.extend(SHARED..SHARED + COUNTERS);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Applies an effect to `contents`.
pub fn apply<V: SampleValue + ?Sized>(
    contents: &mut BTreeMap<u64, V::Owned>,
    key: u64,
    effect: &Effect<V::Owned>,
) {
    let before = contents.remove(&key);
    let after = match effect {
        Effect::Set(value) => Some(value.clone()),
        Effect::Update(tag) => Some(V::updated(before, *tag)),
        Effect::Delete | Effect::Take { .. } => None,
        Effect::Count => Some(V::counted(before)),
    };
    if let Some(after) = after {
        contents.insert(key, after);
    }
}

/// The contents of the newest acknowledged checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// The token of the checkpoint.
    pub token: u64,
    /// The commit points of the checkpoint.
    pub points: BTreeMap<session::Id, CommitPoint>,
}

/// A value that tasks of one run share.
#[derive(Debug, Default)]
pub struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    /// Shares a value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// Locks the value.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The disk after a power cut, and the checkpoint acknowledged before it.
#[derive(Debug)]
pub struct Image<A = Acknowledged> {
    /// The disk after the power cut.
    pub disk: SimDisk,
    /// The state that a recovery must reach.
    pub acknowledged: A,
}

/// Takes images of a disk while it works.
#[derive(Debug)]
pub struct Snapshots<A = Acknowledged> {
    disk: SimDisk,
    acknowledged: Shared<A>,
    /// The chance of an image at an I/O.
    chance: f64,
    state: Mutex<(Random, Vec<Image<A>>)>,
}

impl<A> Snapshots<A> {
    /// Takes an image with the chance `chance` at each I/O.
    pub fn new(disk: SimDisk, acknowledged: Shared<A>, chance: f64, random: Random) -> Self {
        Self { disk, acknowledged, chance, state: Mutex::new((random, Vec::new())) }
    }

    /// Takes the images so far.
    pub fn take(&self) -> Vec<Image<A>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.1)
    }
}

impl<A: Clone + Send> EventSource for Snapshots<A> {
    fn next_event(&self) -> Option<Duration> {
        self.disk.next_event()
    }

    fn run_event(&self, now: Duration) {
        let is_due = self.disk.next_event().is_some_and(|time| time <= now);
        self.disk.run_event(now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_due && state.0.chance(self.chance) {
            let disk = self.disk.crash(state.0.next_u64());
            let acknowledged = self.acknowledged.lock().clone();
            state.1.push(Image { disk, acknowledged });
        }
    }
}

/// Returns the state of a recovered store, which counts as acknowledged.
pub fn recovered<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    before: &Acknowledged,
) -> Acknowledged {
    let Some((report, token)) = store.recovery().and_then(|report| Some((report, report.chosen?)))
    else {
        return before.clone();
    };
    Acknowledged { token: token.version(), points: report.sessions.clone() }
}

/// Checks that a store holds the contents of its recovered checkpoint, which must cover the
/// acknowledged one. Returns the ledgers from which the store continues.
///
/// # Panics
/// Panics if the contents differ.
pub async fn verify<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    acknowledged: &Acknowledged,
    ledgers: &Ledgers<V>,
) -> Ledgers<V> {
    let nothing = recovery::Report::default();
    let report = store.recovery().unwrap_or(&nothing);
    let token = report.chosen.map_or(0, kvick::checkpoint::Token::version);
    assert!(
        token >= acknowledged.token,
        "checkpoint {} was acknowledged, {token} was recovered: {report:?}",
        acknowledged.token
    );
    for (id, point) in &acknowledged.points {
        let found = report.sessions.get(id).map_or(0, |point| point.until);
        assert!(found >= point.until, "session {id}: {} acknowledged, {found} found", point.until);
    }
    let kept = ledgers.up_to(&report.sessions);
    let expected = kept.contents();
    for number in ledgers.keys() {
        let key = K::numbered(number);
        let found = store.read(item::<K>(&key)).await.expect("a sound disk");
        assert_eq!(
            found.as_ref(),
            expected.get(&number),
            "key {number} of {report:?}; kept are {:?}",
            store.checkpoints()
        );
    }
    kept
}
