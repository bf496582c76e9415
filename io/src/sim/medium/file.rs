//! The contents of one simulated file: the durable bytes, and the later writes.
//!
//! Terms: a *version* of a block is the result of one write. A *stamp* numbers the changes of a
//! file; a sync covers the changes up to the stamp at its start.
//!
//! Invariants: the versions of a block are in the order of their stamps. A read of a block returns
//! its last version, else the cached block, else the durable block, else zeros. `cached` has
//! entries only after a failed sync: the system then treats pages as clean that it never wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sim::Random;
use crate::sim::medium::blocks::{Block, parts, patched};

/// A file, under any name.
#[derive(Debug)]
pub(in crate::sim) struct SimFile {
    /// Unique on its disk, also among deleted files.
    pub(in crate::sim) id: u64,
    contents: Mutex<Contents>,
}

impl SimFile {
    pub(in crate::sim) fn new(id: u64, contents: Contents) -> Arc<Self> {
        let contents = Mutex::new(contents);
        Arc::new(Self { id, contents })
    }

    pub(in crate::sim) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug)]
pub(in crate::sim) struct Contents {
    pub(in crate::sim) block: usize,
    // On the medium.
    pub(in crate::sim) durable: BTreeMap<u64, Block>,
    pub(in crate::sim) durable_length: u64,
    // Newer than the medium.
    pub(in crate::sim) versions: BTreeMap<u64, Vec<Version>>,
    pub(in crate::sim) lengths: Vec<(u64, u64)>,
    // In memory.
    cached: BTreeMap<u64, Block>,
    length: u64,
    stamp: u64,
    blocks_held: u64,
    /// Whether the file has a name. Only then its space counts.
    pub(in crate::sim) linked: bool,
}

/// The result of a write or a truncation for a block.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Version {
    pub(in crate::sim) stamp: u64,
    /// `None` after a truncation.
    pub(in crate::sim) bytes: Option<Block>,
}

impl Contents {
    /// Creates an empty file.
    pub(in crate::sim) fn new(block: u32) -> Self {
        Self::durable(block, BTreeMap::new(), 0)
    }

    /// Creates a file with only durable bytes.
    pub(in crate::sim) fn durable(block: u32, durable: BTreeMap<u64, Block>, length: u64) -> Self {
        Self {
            block: block as usize,
            blocks_held: durable.len() as u64,
            durable,
            durable_length: length,
            versions: BTreeMap::new(),
            lengths: Vec::new(),
            cached: BTreeMap::new(),
            length,
            stamp: 0,
            linked: true,
        }
    }

    pub(in crate::sim) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of the latest change.
    pub(in crate::sim) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Returns the bytes that the file takes on the medium.
    pub(in crate::sim) fn bytes_held(&self) -> u64 {
        self.blocks_held * self.block as u64
    }

    /// Fills `buf` from `offset`. Returns false if that reaches past the end.
    pub(in crate::sim) fn read(&self, offset: u64, buf: &mut [u8]) -> bool {
        if offset + buf.len() as u64 > self.length {
            return false;
        }
        let mut rest = buf;
        for part in parts(self.block, offset, rest.len()) {
            let (target, tail) = rest.split_at_mut(part.len);
            match self.current(part.index) {
                Some(block) => target.copy_from_slice(&block[part.within..part.within + part.len]),
                None => target.fill(0),
            }
            rest = tail;
        }
        true
    }

    /// Returns the bytes that a write would take on the medium in addition.
    pub(in crate::sim) fn growth(&self, offset: u64, length: usize) -> u64 {
        let absent = parts(self.block, offset, length)
            .filter(|part| self.current(part.index).is_none())
            .count();
        absent as u64 * self.block as u64
    }

    /// Writes the blocks whose numbers `reaches` accepts.
    pub(in crate::sim) fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        mut reaches: impl FnMut(u64) -> bool,
    ) {
        self.stamp += 1;
        let mut rest = bytes;
        let mut end = None;
        for part in parts(self.block, offset, bytes.len()) {
            let (source, tail) = rest.split_at(part.len);
            rest = tail;
            if !reaches(part.index) {
                continue;
            }
            let current = self.current(part.index);
            let grows = current.is_none();
            let block = patched(self.block, current, part.within, source);
            self.blocks_held += u64::from(grows);
            self.push(part.index, Some(block));
            end = Some(part.index * self.block as u64 + (part.within + part.len) as u64);
        }
        if let Some(end) = end.filter(|&end| end > self.length) {
            self.set_length(end);
        }
    }

    /// Deletes the blocks at and above `length`.
    pub(in crate::sim) fn truncate(&mut self, length: u64) {
        assert!(length.is_multiple_of(self.block as u64), "a truncation keeps whole blocks");
        self.stamp += 1;
        let end = length / self.block as u64;
        let known = self.durable.keys().chain(self.cached.keys()).chain(self.versions.keys());
        let indices: BTreeSet<u64> = known.copied().collect();
        let held = |&index: &u64| self.current(index).is_some();
        let (cut, kept): (Vec<u64>, Vec<u64>) =
            indices.into_iter().filter(held).partition(|&index| index >= end);
        for index in cut {
            self.push(index, None);
        }
        self.blocks_held = kept.len() as u64;
        self.set_length(length);
    }

    /// Leaves at most `length` bytes, before a caller overwrites them.
    pub(in crate::sim) fn shorten(&mut self, length: u64) {
        if self.length > length {
            self.truncate(length.next_multiple_of(self.block as u64));
            self.set_length(length);
        }
    }

    /// Makes the changes up to `stamp` durable.
    pub(in crate::sim) fn sync(&mut self, stamp: u64) {
        for (index, covered) in self.take_versions(stamp) {
            let last = covered.last().expect("at least one version is covered");
            self.cached.remove(&index);
            self.set_durable(index, last.bytes.clone());
        }
        if let Some(&(_, length)) = self.take_lengths(stamp).last() {
            self.durable_length = length;
        }
        assert!(stamp < self.stamp || self.versions.is_empty(), "a sync covers all");
    }

    /// Applies a failed sync: leaves any version, and pages that count as clean (module essay).
    pub(in crate::sim) fn fail_sync(&mut self, stamp: u64, random: &mut Random) {
        for (index, covered) in self.take_versions(stamp) {
            let last = covered.last().expect("at least one version is covered");
            let shown = last.bytes.clone();
            // Each version, and the durable version, has the same chance to stay.
            if let Some(kept) = covered.get(random.index(covered.len() + 1)) {
                self.set_durable(index, kept.bytes.clone());
            }
            // Evicted at once, or shown until overwritten.
            if random.chance(0.5) {
                self.cached.remove(&index);
            } else {
                let zeros = || Arc::from(vec![0; self.block]);
                self.cached.insert(index, shown.unwrap_or_else(zeros));
            }
        }
        let lengths = self.take_lengths(stamp);
        if let Some(&(_, length)) = lengths.get(random.index(lengths.len() + 1)) {
            self.durable_length = length;
        }
    }

    /// Flips the bits of `mask` in one byte, in every version of it.
    pub(in crate::sim) fn corrupt(&mut self, offset: u64, mask: u8) {
        assert!(offset < self.length, "byte {offset} is past the end of the file");
        let part = parts(self.block, offset, 1).next().expect("one byte");
        let versions = self.versions.get_mut(&part.index).into_iter().flatten();
        let all = versions
            .filter_map(|version| version.bytes.as_mut())
            .chain(self.durable.get_mut(&part.index))
            .chain(self.cached.get_mut(&part.index));
        let mut found = false;
        for block in all {
            // Blocks are shared with the disks that this disk was made from.
            Arc::make_mut(block)[part.within] ^= mask;
            found = true;
        }
        if !found {
            let block = patched(self.block, None, part.within, &[mask]);
            self.durable.insert(part.index, block);
            self.blocks_held += 1;
        }
    }

    fn current(&self, index: u64) -> Option<&Block> {
        if let Some(version) = self.versions.get(&index).and_then(|all| all.last()) {
            return version.bytes.as_ref();
        }
        self.cached.get(&index).or_else(|| self.durable.get(&index))
    }

    fn push(&mut self, index: u64, bytes: Option<Block>) {
        let stamp = self.stamp;
        let versions = self.versions.entry(index).or_default();
        versions.push(Version { stamp, bytes });
    }

    fn set_length(&mut self, length: u64) {
        self.length = length;
        self.lengths.push((self.stamp, length));
    }

    fn set_durable(&mut self, index: u64, bytes: Option<Block>) {
        match bytes {
            Some(bytes) => self.durable.insert(index, bytes),
            None => self.durable.remove(&index),
        };
    }

    /// Removes and returns the versions up to `stamp`, by block. No returned list is empty.
    fn take_versions(&mut self, stamp: u64) -> Vec<(u64, Vec<Version>)> {
        let mut taken = Vec::new();
        self.versions.retain(|&index, versions| {
            let covered = versions.partition_point(|version| version.stamp <= stamp);
            if covered > 0 {
                taken.push((index, versions.drain(..covered).collect()));
            }
            !versions.is_empty()
        });
        taken
    }

    fn take_lengths(&mut self, stamp: u64) -> Vec<(u64, u64)> {
        let covered = self.lengths.partition_point(|&(made, _)| made <= stamp);
        self.lengths.drain(..covered).collect()
    }
}
