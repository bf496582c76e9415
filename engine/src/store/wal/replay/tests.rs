//! A session comes back with exactly the operations whose entries are there.

use super::{SessionProgress, later, point_after};
use crate::store::sessions::identity::{CommitPoint, SessionId};
use crate::store::sessions::serial_counter::SerialCounter;
use crate::store::sessions::state::{SessionEntry, SessionState, Waiting};
use crossbeam_utils::CachePadded;
use kvick_io::sim::Random;
use std::collections::BTreeSet;
use std::sync::Arc;

const NAME: &str = "worker";

/// An entry of the session, or a mark of the test.
enum Entry {
    Change(SessionProgress),
    Session(CommitPoint, bool),
}

/// A session, its entries, and what it has done.
struct Run {
    counter: Arc<CachePadded<SerialCounter>>,
    state: SessionState,
    put_off: Vec<u64>,
    log: Vec<Entry>,
    /// The point of the session in the checkpoint before the entries.
    recovered: Option<CommitPoint>,
    /// The operations whose changes a checkpoint has.
    kept: BTreeSet<u64>,
    /// The operation of each entry of a change, by the place of the entry, and all with lower
    /// numbers that had ended before it.
    changed: Vec<(usize, u64, BTreeSet<u64>)>,
    done: BTreeSet<u64>,
    /// The entries at the last `sync`, and what was done by then.
    synced: (usize, BTreeSet<u64>),
}

impl Run {
    fn new() -> Self {
        let counter: Arc<CachePadded<SerialCounter>> = Arc::default();
        let state = Self::begun(&counter);
        let (log, changed, kept, done) = Default::default();
        let synced = Default::default();
        Self {
            counter,
            state,
            put_off: Vec::new(),
            log,
            recovered: None,
            kept,
            changed,
            done,
            synced,
        }
    }

    /// Returns the session that has done nothing.
    fn begun(counter: &Arc<CachePadded<SerialCounter>>) -> SessionState {
        SessionState::named((Self::id(), NAME), Arc::clone(counter))
    }

    fn id() -> SessionId {
        SessionId::named(NAME).expect("a name")
    }

    /// Logs an operation that changes something. Returns its number.
    fn log_change(&mut self, deferred: Option<u64>) -> u64 {
        let log = &mut self.log;
        let logged = self.state.log_point::<()>(|point, begins| {
            log.push(Entry::Session(point, begins));
            Ok(())
        });
        logged.expect("there is space");
        let SessionEntry { serial, excluded, name, until } = self.state.next_entry(deferred);
        self.changed.push((self.log.len(), serial, self.done.range(..serial).copied().collect()));
        self.log.push(Entry::Change(SessionProgress { id: Self::id(), serial, excluded, name }));
        self.state.note_logged(serial, until);
        serial
    }

    fn step(&mut self, random: &mut Random) {
        match random.below(12) {
            0..3 => {
                let serial = self.log_change(None);
                self.counter.advance();
                assert!(self.done.insert(serial), "a number is taken once");
            }
            3 => {
                let serial = self.state.upcoming();
                self.counter.advance();
                assert!(self.done.insert(serial), "a number is taken once");
            }
            4..6 => {
                let serial = self.state.put_off();
                self.put_off.push(serial);
            }
            6..9 if !self.put_off.is_empty() => {
                let serial = self.put_off.swap_remove(random.index(self.put_off.len()));
                match random.below(3) {
                    0 => {
                        self.log_change(Some(serial));
                        self.state.catch_up(serial);
                        self.done.insert(serial);
                    }
                    1 => {
                        self.state.catch_up(serial);
                        self.done.insert(serial);
                    }
                    _ => self.state.give_up(serial),
                }
            }
            // The session is dropped and resumed.
            9 if self.put_off.is_empty() && random.chance(0.3) => {
                let before = std::mem::replace(&mut self.state, Self::begun(&Arc::default()));
                let waiting = SessionState::waiting(&Arc::new(before));
                self.counter = Arc::default();
                self.state = if waiting.point.is_empty() {
                    Self::begun(&self.counter)
                } else {
                    SessionState::resumed(Self::id(), waiting, Arc::clone(&self.counter))
                };
            }
            9 => {
                let point = self.state.present();
                if let Some(begins) = self.state.lacks_entry_of(&point) {
                    self.log.push(Entry::Session(point.clone(), begins));
                    self.state.note_logged_point(&point);
                }
                self.synced = (self.log.len(), self.done.clone());
            }
            // A checkpoint has everything so far, and the log begins after it.
            10 if random.chance(0.3) => {
                let point = self.state.present();
                self.recovered = Some(point).filter(|point| !point.is_empty());
                self.log.clear();
                self.changed.clear();
                self.kept = self.done.clone();
                self.synced = (0, self.done.clone());
            }
            _ => {}
        }
    }

    /// Returns the point that an opening finds with the first entries.
    fn replayed(&self, entries: usize) -> CommitPoint {
        let mut point = self.recovered.clone();
        for entry in &self.log[..entries] {
            point = Some(match entry {
                Entry::Change(progress) => point_after(point, progress),
                Entry::Session(logged, begins) => later(point.filter(|_| !begins), logged.clone()),
            });
            // Nothing keeps an empty point.
            point = point.filter(|point| !point.is_empty());
        }
        point.unwrap_or_default()
    }

    fn check(&self, entries: usize) -> CommitPoint {
        let point = self.replayed(entries);
        for (place, serial, before) in &self.changed {
            let is_there = *place < entries;
            assert_eq!(point.covers(*serial), is_there, "operation {serial}: {point:?}");
            let lost = before.iter().find(|earlier| is_there && !point.covers(**earlier));
            assert_eq!(lost, None, "it had ended before operation {serial}: {point:?}");
        }
        for serial in &self.kept {
            assert!(point.covers(*serial), "the checkpoint has operation {serial}: {point:?}");
        }
        if entries >= self.synced.0 {
            for serial in &self.synced.1 {
                assert!(point.covers(*serial), "operation {serial} was synced: {point:?}");
            }
        }
        for number in 1..=point.until {
            let is_done = self.done.contains(&number);
            assert!(is_done || !point.covers(number), "operation {number} is not done: {point:?}");
        }
        assert!(point.is_sound(), "{point:?}");
        let has_name = point.name.as_deref() == Some(NAME);
        assert!(has_name || point.is_empty(), "the session has lost its name: {point:?}");
        point
    }

    /// Continues after a crash with the first entries.
    fn crash(self, entries: usize) -> Self {
        let point = self.check(entries);
        let counter: Arc<CachePadded<SerialCounter>> = Arc::default();
        let state = if point.is_empty() {
            Self::begun(&counter)
        } else {
            SessionState::resumed(Self::id(), Waiting::new(point.clone()), Arc::clone(&counter))
        };
        let mut log = self.log;
        log.truncate(entries);
        let changed = self.changed.into_iter().filter(|(place, ..)| *place < entries).collect();
        let done = self.done.into_iter().filter(|serial| point.covers(*serial)).collect();
        let synced = (self.synced.0.min(entries), BTreeSet::new());
        Self { counter, state, put_off: Vec::new(), log, changed, done, synced, ..self }
    }
}

#[test]
fn each_prefix_of_the_entries_has_its_operations() {
    let mut random = Random::new(11);
    for _ in 0..3000 {
        let mut run = Run::new();
        for _ in 0..60 {
            run.step(&mut random);
            let entries = random.index(run.log.len() + 1);
            run.check(entries);
            run.check(run.log.len());
            if random.chance(0.03) {
                run = run.crash(entries);
            }
        }
    }
}
