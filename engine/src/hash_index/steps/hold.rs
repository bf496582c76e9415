//! Holds entries, so that a task can change several of them and none of the changes fails.
//!
//! A held entry has the bit of a frozen one: searches see it as it was, and the CAS of every other
//! task on it fails. A held entry that leads to no record yet has a word of its own: searches skip
//! it, and a creator of the same prefix tries again. So an entry is held for as long as a step
//! freezes a bucket, a moment under one guard.
//!
//! # Why no other task changes a held entry
//! A writer, a copy and the driver change an entry by a CAS on a word that is not held. A sweep
//! passes over held words. A creator claims free slots alone, and ends its own claims alone. A step
//! freezes and moves any word of its bucket, so the holder has the lock of the steps: places of
//! entries stay the same meanwhile.

use super::Steps;
use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::hash_index::entry::HashBucketEntry;
use crate::hash_index::{FoundEntry, HashIndex, Refused};
use kvick_io::sync::MutexGuard;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::hint::spin_loop;
use std::thread::panicking;

/// The number of tries to hold an entry, before other tasks run.
const TRIES: usize = if cfg!(any(loom, shuttle)) { 2 } else { 256 };

/// Entries that no other task changes while this value lives. Its drop leaves those as they were
/// that were not changed.
pub(crate) struct HeldEntries<'i> {
    index: &'i HashIndex,
    entries: Vec<HeldEntry<'i>>,
    /// Always there, until the drop.
    steps: Option<MutexGuard<'i, Steps>>,
}

/// An entry, at its place.
struct HeldEntry<'i> {
    /// The entry before it was held.
    found: FoundEntry,
    slot: &'i AtomicU64,
    is_changed: bool,
}

impl HashIndex {
    /// Returns the bits of a hash that select its entry.
    pub(crate) fn prefix_of(&self, hash: KeyHash) -> u64 {
        hash.bits() & (self.prefixes() - 1)
    }

    /// Holds the entries of different prefixes, and makes those that are missing. The index grows
    /// for them before they are held.
    ///
    /// # Errors
    /// As for [`find_or_create`](Self::find_or_create). Then it holds nothing, and entries that
    /// lead to no record are given up.
    pub(crate) fn hold(
        &self,
        prefixes: impl Iterator<Item = KeyHash> + Clone,
    ) -> Result<HeldEntries<'_>, Refused> {
        let held = self.try_hold(prefixes.clone(), self);
        if held.is_err() {
            prefixes.filter_map(|hash| self.find(hash)).for_each(|entry| self.give_up(entry));
        }
        held
    }

    /// As [`hold`](Self::hold), with the lock of the steps of `stepping`, which is this index
    /// except in a test. Gives nothing up.
    pub(in crate::hash_index) fn try_hold<'i>(
        &'i self,
        prefixes: impl Iterator<Item = KeyHash> + Clone,
        stepping: &'i Self,
    ) -> Result<HeldEntries<'i>, Refused> {
        let mut count = 0;
        for hash in prefixes.clone() {
            self.find_or_create(hash)?;
            count += 1;
        }
        let entries = Vec::with_capacity(count);
        let mut held = HeldEntries { index: self, entries, steps: Some(stepping.lock_steps()) };
        for hash in prefixes {
            held.hold(hash)?;
        }
        Ok(held)
    }
}

impl HeldEntries<'_> {
    fn hold(&mut self, hash: KeyHash) -> Result<(), Refused> {
        for _ in 0..TRIES {
            let found = self.index.find_or_create(hash)?;
            let slot = self.index.slot_of(found);
            let word = found.observed.raw();
            let is_held = |slot: &&AtomicU64| {
                let held = found.observed.held().raw();
                // AcqRel: pairs with the Release of the CAS that linked the record, which the
                // holder may read.
                slot.compare_exchange(word, held, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            };
            if let Some(slot) = slot.filter(is_held) {
                self.entries.push(HeldEntry { found, slot, is_changed: false });
                return Ok(());
            }
            spin_loop();
        }
        Err(Refused::Contended)
    }

    /// Returns the newest address of an entry, in the order of the prefixes.
    pub(crate) fn address(&self, place: usize) -> Address {
        self.entries[place].found.address()
    }

    /// Makes `address` the newest record of an entry, once. Returns the entry, which is no longer
    /// held.
    pub(crate) fn change(&mut self, place: usize, address: Address) -> FoundEntry {
        let entry = &mut self.entries[place];
        assert!(
            !entry.is_changed && address > entry.found.address(),
            "addresses go up: {address:?}"
        );
        let changed = entry.found.moved_to(address);
        entry.is_changed = true;
        assert!(entry.release(changed.observed), "only its holder changes it");
        changed
    }
}

impl HeldEntry<'_> {
    /// Sets the word of the entry. Returns false if another task has changed it.
    fn release(&self, word: HashBucketEntry) -> bool {
        let held = self.found.observed.held();
        // Release: publishes the records; pairs with the Acquire of searches.
        let swap = self.slot.compare_exchange(
            held.raw(),
            word.raw(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        swap.is_ok()
    }
}

impl Drop for HeldEntries<'_> {
    fn drop(&mut self) {
        // Those that remain had no record, and have got one or were removed.
        self.entries.retain(|entry| {
            let is_new = entry.found.address() == Address::UNSET;
            if !entry.is_changed {
                let word = if is_new { HashBucketEntry::FREE } else { entry.found.observed };
                let is_released = entry.release(word);
                assert!(is_released || panicking(), "only its holder changes it");
            }
            is_new
        });
        // A count may wake the driver, whose waker is code of the caller: not under the lock.
        self.steps = None;
        for HeldEntry { found, is_changed, .. } in &self.entries {
            if *is_changed {
                // Creators could not, while the steps were locked.
                self.index.grow_if_full(self.index.bucket(found.hash));
            } else {
                self.index.count_removed(found.hash);
            }
        }
    }
}
