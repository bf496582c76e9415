//! The names in one simulated directory: the durable names, and the later changes.
//!
//! A change takes place as a whole or not at all: a rename never leaves a file without a name.
//! Until a sync of the directory each change survives a power cut independently of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sim::Random;
use crate::sim::medium::file::SimFile;

pub(in crate::sim) type Names = BTreeMap<String, Arc<SimFile>>;

#[derive(Debug, Default)]
pub(in crate::sim) struct Namespace {
    current: Names,
    durable: Names,
    pending: Vec<Change>,
    changes: u64,
}

#[derive(Debug)]
struct Change {
    stamp: u64,
    name: String,
    file: Arc<SimFile>,
    kind: ChangeKind,
}

#[derive(Debug)]
enum ChangeKind {
    Create,
    /// Gives the file the name `name`, whatever its old name.
    Rename,
    /// Gives the file the name `name`, and the file with that name the name here.
    Exchange(String, Arc<SimFile>),
    Remove,
}

impl Namespace {
    /// Creates a directory with only durable names.
    pub(in crate::sim) fn durable(names: Names) -> Self {
        Self { current: names.clone(), durable: names, ..Self::default() }
    }

    pub(in crate::sim) fn names(&self) -> &Names {
        &self.current
    }

    /// Returns the file with this name on the medium.
    pub(in crate::sim) fn durable_file(&self, name: &str) -> Option<&Arc<SimFile>> {
        self.durable.get(name)
    }

    /// Returns the number of the latest change.
    pub(in crate::sim) fn stamp(&self) -> u64 {
        self.changes
    }

    pub(in crate::sim) fn create(&mut self, name: &str, file: &Arc<SimFile>) {
        assert!(!self.current.contains_key(name), "{name} exists");
        self.change(name, file, ChangeKind::Create);
    }

    /// Renames a file. Returns the file that had the new name before.
    pub(in crate::sim) fn rename(&mut self, file: &Arc<SimFile>, to: &str) -> Option<Arc<SimFile>> {
        let replaced = self.current.get(to).map(Arc::clone);
        self.change(to, file, ChangeKind::Rename);
        replaced.filter(|replaced| replaced.id != file.id)
    }

    /// Exchanges the names of two files.
    pub(in crate::sim) fn exchange(
        &mut self,
        (one, first): (&str, &Arc<SimFile>),
        (other, second): (&str, &Arc<SimFile>),
    ) {
        let kind = ChangeKind::Exchange(one.to_owned(), Arc::clone(second));
        self.change(other, first, kind);
    }

    pub(in crate::sim) fn remove(&mut self, name: &str) -> Option<Arc<SimFile>> {
        let file = self.current.get(name).map(Arc::clone)?;
        self.change(name, &file, ChangeKind::Remove);
        Some(file)
    }

    /// Makes the changes up to `stamp` durable.
    pub(in crate::sim) fn sync(&mut self, stamp: u64) {
        for change in self.take_pending(|change| change.stamp <= stamp) {
            apply(&mut self.durable, &change);
        }
    }

    /// Makes the creation of these files durable, as a sync of a device does. Other files that had
    /// these names before cannot return afterwards.
    pub(in crate::sim) fn sync_created(&mut self, files: &[u64]) {
        let created = |change: &&Change| {
            matches!(change.kind, ChangeKind::Create) && files.contains(&change.file.id)
        };
        let creations = self.pending.iter().filter(created);
        let stamps: BTreeMap<String, u64> =
            creations.map(|change| (change.name.clone(), change.stamp)).collect();
        let covered =
            |change: &Change| stamps.get(&change.name).is_some_and(|&stamp| change.stamp <= stamp);
        for change in self.take_pending(covered) {
            apply(&mut self.durable, &change);
        }
    }

    /// Applies a failed sync: each change either took place or never will.
    pub(in crate::sim) fn fail_sync(&mut self, stamp: u64, random: &mut Random) {
        for change in self.take_pending(|change| change.stamp <= stamp) {
            if random.chance(0.5) {
                apply(&mut self.durable, &change);
            }
        }
    }

    /// Returns the names after a power cut that each change survives with probability `chance`.
    pub(in crate::sim) fn survivors(&self, chance: f64, random: &mut Random) -> Names {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if random.chance(chance) {
                apply(&mut names, change);
            }
        }
        names
    }

    fn change(&mut self, name: &str, file: &Arc<SimFile>, kind: ChangeKind) {
        self.changes += 1;
        let change =
            Change { stamp: self.changes, name: name.to_owned(), file: Arc::clone(file), kind };
        apply(&mut self.current, &change);
        self.pending.push(change);
    }

    fn take_pending(&mut self, mut covered: impl FnMut(&Change) -> bool) -> Vec<Change> {
        let all = std::mem::take(&mut self.pending);
        let (taken, left) = all.into_iter().partition(|change| covered(change));
        self.pending = left;
        taken
    }
}

/// Applies a change. Valid on any set of names, since earlier changes may not have survived.
fn apply(names: &mut Names, change: &Change) {
    match &change.kind {
        ChangeKind::Create => {
            names.insert(change.name.clone(), Arc::clone(&change.file));
        }
        ChangeKind::Rename => {
            names.retain(|_, file| file.id != change.file.id);
            names.insert(change.name.clone(), Arc::clone(&change.file));
        }
        ChangeKind::Exchange(other_name, other) => {
            names.retain(|_, file| file.id != change.file.id && file.id != other.id);
            names.insert(change.name.clone(), Arc::clone(&change.file));
            names.insert(other_name.clone(), Arc::clone(other));
        }
        ChangeKind::Remove => {
            let same = |file: &Arc<SimFile>| file.id == change.file.id;
            if names.get(&change.name).is_some_and(same) {
                names.remove(&change.name);
            }
        }
    }
}
