//! The places of named iterators, and the set of iterators in use.

use crate::base::address::Address;
use crate::log::LogAddress;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name, in bytes.
pub(crate) const LONGEST_NAME: usize = 128;

/// The named iterators of one log.
#[derive(Debug, Default)]
pub(crate) struct IteratorPositions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    places: BTreeMap<String, Address>,
    in_use: BTreeSet<String>,
}

impl IteratorPositions {
    pub(crate) fn new(places: BTreeMap<String, Address>) -> Self {
        Self(Mutex::new(State { places, in_use: BTreeSet::new() }))
    }

    /// Takes the iterator of a name into use and returns its place, if it has one. Returns `None`
    /// if it is in use already.
    pub(crate) fn take(&self, name: &str) -> Option<Option<LogAddress>> {
        let mut state = self.state();
        if !state.in_use.insert(name.to_owned()) {
            return None;
        }
        Some(state.places.get(name).map(|place| (*place).into()))
    }

    pub(crate) fn release(&self, name: &str) {
        let was_in_use = self.state().in_use.remove(name);
        debug_assert!(was_in_use, "one iterator of a name exists at a time: {name}");
    }

    /// Moves a place up, never down. Returns the place.
    pub(crate) fn advance(&self, name: &str, address: Address) -> Address {
        let mut state = self.state();
        debug_assert!(state.in_use.contains(name), "only an iterator in use moves: {name}");
        let place = state.places.entry(name.to_owned()).or_insert(address);
        *place = (*place).max(address);
        *place
    }

    pub(crate) fn forget(&self, name: &str) -> bool {
        self.state().places.remove(name).is_some()
    }

    pub(crate) fn places(&self) -> BTreeMap<String, LogAddress> {
        let state = self.state();
        state.places.iter().map(|(name, place)| (name.clone(), (*place).into())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under it")
    }
}
