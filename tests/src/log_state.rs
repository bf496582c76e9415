//! The state of a log apart from its entries, and the changes of this state.

use std::collections::BTreeMap;

/// A change of the log, apart from an appended entry.
#[derive(Clone, Debug)]
pub enum Change {
    /// The log was truncated: its entries begin here.
    Begin(u64),
    /// An iterator completed the entries up to here, or was forgotten.
    Place(String, Option<u64>),
    /// The entries of this range were truncated from the end of the log.
    Void([u64; 2]),
    /// The log was completed, and takes no more entries.
    Complete,
}

/// The state after a sequence of changes.
#[derive(Clone, Debug, Default)]
pub struct LogState {
    /// The address at which the entries begin.
    pub begin: u64,
    /// The named iterators and their places.
    pub places: BTreeMap<String, u64>,
    /// The ranges of entries that were truncated from the end of the log.
    pub voids: Vec<[u64; 2]>,
    /// Whether the log was completed.
    pub completed: bool,
}

impl LogState {
    /// Applies a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Begin(begin) => self.begin = self.begin.max(*begin),
            Change::Place(name, Some(address)) => {
                let place = self.places.entry(name.clone()).or_insert(*address);
                *place = (*place).max(*address);
            }
            Change::Place(name, None) => drop(self.places.remove(name)),
            Change::Void(void) => self.voids.push(*void),
            Change::Complete => self.completed = true,
        }
    }

    /// Returns whether a reader must see an entry at this address.
    #[must_use]
    pub fn shows(&self, address: u64) -> bool {
        let is_void = self.voids.iter().any(|[start, end]| (*start..*end).contains(&address));
        address >= self.begin && !is_void
    }
}
