//! What changes about a log apart from its entries, and what changes come to.

use std::collections::BTreeMap;

/// What changes about a log, apart from its entries.
#[derive(Clone, Debug)]
pub enum Change {
    /// Entries below are truncated.
    Begin(u64),
    /// An iterator was completed up to here, or forgotten.
    Place(String, Option<u64>),
    /// Entries were taken back.
    Void([u64; 2]),
    /// There will be no more entries.
    Complete,
}

/// What changes come to.
#[derive(Clone, Debug, Default)]
pub struct LogState {
    /// Entries below are truncated.
    pub begin: u64,
    /// Iterators with a name.
    pub places: BTreeMap<String, u64>,
    /// Entries that were taken back.
    pub voids: Vec<[u64; 2]>,
    /// There will be no more entries.
    pub completed: bool,
}

impl LogState {
    /// Makes a change.
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

    /// Whether an entry at this address is to be seen.
    #[must_use]
    pub fn shows(&self, address: u64) -> bool {
        let is_void = self.voids.iter().any(|[start, end]| (*start..*end).contains(&address));
        address >= self.begin && !is_void
    }
}
