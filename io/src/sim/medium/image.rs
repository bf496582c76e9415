//! The state of a simulated disk after a power cut.
//!
//! Each file and each change of a name survives on its own, in no order. Some of the changes that
//! no sync covered survive, block by block. The probabilities of a [`Survival`] decide which;
//! neighbouring blocks often have the same fate.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sim::Random;
use crate::sim::medium::blocks::Block;
use crate::sim::medium::file::{Contents, SimFile, Version};
use crate::sim::medium::namespace::{Names, Namespace};
use crate::sim::medium::work::Work;
use crate::sim::medium::world::World;
use crate::sim::options::{FaultRates, Survival};

impl World {
    /// Returns the disk as the next start finds it.
    pub(in crate::sim) fn image(&self, seed: u64, survival: Option<Survival>) -> Self {
        let mut random = Random::new(seed);
        let survival = survival.unwrap_or_else(|| Survival::draw(&mut random));
        let mut options = self.options.clone();
        options.fault_rates = FaultRates::default();
        let mut image = Self::new(random.next_u64(), options);
        for (path, namespace) in &self.directories {
            let names: Names = namespace
                .survivors(survival.names, &mut random)
                .into_iter()
                .map(|(name, file)| {
                    image.files_made += 1;
                    let contents = self.survivor(&file, survival, &mut random);
                    image.bytes_used += contents.bytes_held();
                    (name, SimFile::new(image.files_made, contents))
                })
                .collect();
            let namespace = Namespace::durable(names);
            image.directories.insert(path.clone(), namespace);
        }
        image
    }

    fn survivor(&self, file: &SimFile, survival: Survival, random: &mut Random) -> Contents {
        let mut contents = file.contents().clone();
        // Writes in flight count as unsynced writes: any portion may survive.
        for operation in self.in_flight.values() {
            let Work::Write(extents, bytes, _) = &operation.work else {
                continue;
            };
            let mut rest: &[u8] = bytes;
            for extent in extents {
                let (part, tail) = rest.split_at(extent.len);
                rest = tail;
                if extent.file.id == file.id {
                    contents.write(extent.offset, part, |_| true);
                }
            }
        }
        let physical = self.options.physical_block.unwrap_or(self.options.block);
        let blocks_at_once = u64::from(physical / self.options.block);
        Cut { survival, blocks_at_once, random }.contents(&contents)
    }
}

/// One power cut, applied to one file.
struct Cut<'a> {
    survival: Survival,
    /// Blocks in a physical block.
    blocks_at_once: u64,
    random: &'a mut Random,
}

impl Cut<'_> {
    fn contents(&mut self, file: &Contents) -> Contents {
        let length = self.length(file);
        let end = length.div_ceil(file.block as u64);
        let mut blocks: BTreeMap<u64, Block> = file.durable.clone();
        drop(blocks.split_off(&end));
        // With a high inertia whole runs of blocks survive, or do not.
        let inertia = [0.0, 0.9][self.random.index(2)];
        let mut survives = self.random.chance(self.survival.writes);
        for (&index, versions) in file.versions.range(..end) {
            if !self.random.chance(inertia) {
                survives = self.random.chance(self.survival.writes);
            }
            let durable = file.durable.get(&index);
            let block = if survives {
                self.newer(file.block, durable, versions)
            } else {
                self.older(file.block, durable)
            };
            match block {
                Some(block) => blocks.insert(index, block),
                None => blocks.remove(&index),
            };
        }
        if self.blocks_at_once > 1 {
            self.harm_neighbours(file, &mut blocks);
        }
        let block = u32::try_from(file.block).expect("a block is small");
        Contents::durable(block, blocks, length)
    }

    /// Damages physical blocks whose write was interrupted: a whole physical block may be lost,
    /// with its durable bytes.
    fn harm_neighbours(&mut self, file: &Contents, blocks: &mut BTreeMap<u64, Block>) {
        let written = file.versions.iter().filter(|(_, versions)| {
            // A truncation writes nothing.
            versions.iter().any(|version| version.bytes.is_some())
        });
        let mut touched: Vec<u64> = written.map(|(index, _)| index / self.blocks_at_once).collect();
        touched.dedup();
        for physical in touched {
            if !self.random.chance(self.survival.torn) {
                continue;
            }
            let first = physical * self.blocks_at_once;
            for (_, block) in blocks.range_mut(first..first + self.blocks_at_once) {
                *block = self.garbage(file.block);
            }
        }
    }

    fn garbage(&mut self, size: usize) -> Block {
        (0..size).map(|_| self.random.next_u64().to_le_bytes()[0]).collect()
    }

    fn length(&mut self, file: &Contents) -> u64 {
        let durable = file.durable_length;
        if !self.random.chance(self.survival.writes) {
            return durable;
        }
        let lengths: Vec<u64> = file.lengths.iter().map(|&(_, length)| length).collect();
        self.one_of(&lengths).copied().unwrap_or(durable)
    }

    fn newer(
        &mut self,
        size: usize,
        durable: Option<&Block>,
        versions: &[Version],
    ) -> Option<Block> {
        let version = self.one_of(versions).expect("a list of versions has one");
        let new = version.bytes.as_ref()?;
        if !self.random.chance(self.survival.torn) {
            return Some(Arc::clone(new));
        }
        let old = self.older(size, durable);
        let mut torn = old.map_or_else(|| vec![0; size], |old| old.to_vec());
        let cut = 1 + self.random.index(size - 1);
        let written = if self.random.chance(0.5) { 0..cut } else { cut..size };
        torn[written.clone()].copy_from_slice(&new[written]);
        Some(Arc::from(torn))
    }

    /// Returns the durable version, or the contents of an area that was never written.
    fn older(&mut self, size: usize, durable: Option<&Block>) -> Option<Block> {
        if let Some(block) = durable {
            return Some(Arc::clone(block));
        }
        let garbage = self.random.chance(self.survival.garbage);
        garbage.then(|| self.garbage(size))
    }

    /// Returns the last item, or sometimes any item.
    fn one_of<'v, T>(&mut self, versions: &'v [T]) -> Option<&'v T> {
        if !versions.is_empty() && self.random.chance(self.survival.stale) {
            return versions.get(self.random.index(versions.len()));
        }
        versions.last()
    }
}
