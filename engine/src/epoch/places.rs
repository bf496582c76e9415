//! The placement of participants' words, and the list of free words.
//!
//! # Terms
//! * A *chunk* (`Chunk`) is memory with room for some hundred words. Chunks are never freed and
//!   never move.
//! * A *place* is one word of a chunk. Its *level* says how near its neighbours are. Places of
//!   level 0 have two cache lines each, places of level 1 have one, and each higher level shares
//!   lines with all lower levels.
//!
//! # Reason
//! A drain reads every word, so the words of many participants must be close together: 100,000
//! words with their own lines need twelve megabytes. Participants that run at the same time must
//! not share a line, or each of their operations would fetch it from another processor. So the
//! table hands out places of level 0 first, in new chunks up to a bound, and higher levels only
//! beyond it. Then there are thousands of participants, and the few that run at one moment are
//! unlikely to be neighbours.
//!
//! # Access rules
//! The table is under a lock that registering, retiring and draining take briefly. A drain takes it
//! once for each chunk and reads the words without it. A place changes owners under that lock, so a
//! new owner sees all writes of the former owner.

use super::slot::Slot;
use crossbeam_utils::CachePadded;
use kvick_io::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{Ordering, fence},
};

/// The number of places of a chunk. A place is a `u8`, which needs no bounds check.
const CHUNK: usize = if cfg!(loom) { 2 } else { 256 };
/// The number of places of a level in each chunk.
const PER_LEVEL: usize = if cfg!(loom) { 1 } else { 16 };
const LEVELS: usize = CHUNK / PER_LEVEL;
/// The number of chunks before places of a level above 0 are handed out: 512 KiB.
const CHUNKS_OF_LEVEL_0: usize = if cfg!(loom) { 1 } else { 256 };

const _: () = assert!(CHUNK.is_power_of_two() && CHUNK <= 1 << u8::BITS);

/// The words of some participants.
#[derive(Debug)]
pub(super) struct Chunk {
    slots: CachePadded<[Slot; CHUNK]>,
}

/// The right to use a place, until it is returned.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) chunk: Arc<Chunk>,
    pub(super) index: u8,
    number: usize,
}

impl Place {
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

/// All places of one epoch clock.
#[derive(Debug)]
pub(super) struct Places {
    // Under its lock.
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    chunks: Vec<Arc<Chunk>>,
    /// The numbers of free places, by level.
    free: [Vec<usize>; LEVELS],
    /// The number of places of each chunk that were ever in use, in the order of their numbers.
    reach: usize,
    taken: usize,
    most_taken: usize,
}

/// The progress of a drain. Every earlier place was seen free of older guards since the bump.
#[derive(Debug)]
pub(super) struct Drain {
    epoch: u64,
    chunk: usize,
    turn: usize,
}

impl Places {
    pub(super) fn new() -> Self {
        let free = std::array::from_fn(|_level| Vec::new());
        let table = Table { chunks: Vec::new(), free, reach: 0, taken: 0, most_taken: 0 };
        Self { table: Mutex::new(table) }
    }

    /// Returns a place that no participant has.
    pub(super) fn take(&self) -> Place {
        self.table().take()
    }

    /// Takes back a place whose owner no longer needs it and is unprotected.
    pub(super) fn give_back(&self, place: &Place) {
        let mut table = self.table();
        table.free[level_of(place.number % CHUNK)].push(place.number);
        table.taken -= 1;
    }

    /// The largest number of places that were taken at once.
    pub(super) fn most_taken(&self) -> usize {
        self.table().most_taken
    }

    /// Continues a drain and returns whether it is done. The drain began after the fence of its
    /// bump.
    pub(super) fn go_on(&self, drain: &mut Drain) -> bool {
        while let Some((chunk, reach)) = self.chunk(drain.chunk) {
            if drain.turn > 0 || !chunk.is_idle(reach) {
                while drain.turn < reach {
                    if chunk.slot(index_of(drain.turn)).is_older_than(drain.epoch) {
                        return false;
                    }
                    drain.turn += 1;
                }
            }
            drain.chunk += 1;
            drain.turn = 0;
        }
        true
    }

    /// Returns a chunk, and the number of its places that were ever in use.
    fn chunk(&self, number: usize) -> Option<(Arc<Chunk>, usize)> {
        let table = self.table();
        table.chunks.get(number).map(|chunk| (Arc::clone(chunk), table.reach))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics under it")
    }
}

impl Table {
    fn take(&mut self) -> Place {
        let level = match self.free.iter().position(|level| !level.is_empty()) {
            Some(level) if level == 0 || self.chunks.len() >= CHUNKS_OF_LEVEL_0 => level,
            _ => self.grow(),
        };
        let number = self.free[level].pop().expect("the level has a free place");
        self.reach = self.reach.max((level + 1) * PER_LEVEL);
        self.taken += 1;
        self.most_taken = self.most_taken.max(self.taken);
        let chunk = Arc::clone(&self.chunks[number / CHUNK]);
        Place { chunk, index: index_of(number % CHUNK), number }
    }

    /// Adds a chunk, and returns the level to take from.
    fn grow(&mut self) -> usize {
        let first = self.chunks.len() * CHUNK;
        let slots = std::array::from_fn(|_place| Slot::new());
        self.chunks.push(Arc::new(Chunk { slots: CachePadded::new(slots) }));
        for (level, free) in self.free.iter_mut().enumerate() {
            let lowest = first + level * PER_LEVEL;
            free.extend((lowest..lowest + PER_LEVEL).rev());
        }
        0
    }
}

impl Chunk {
    #[inline(always)]
    pub(super) fn slot(&self, index: u8) -> &Slot {
        &self.slots[index as usize]
    }

    /// Returns whether no participant is protected in the first `reach` places, at any epoch.
    fn is_idle(&self, reach: usize) -> bool {
        let announced = if reach == CHUNK {
            self.slots.iter().fold(0, |any, slot| any | slot.announced_relaxed())
        } else {
            let slots = (0..reach).map(|turn| self.slot(index_of(turn)));
            slots.fold(0, |any, slot| any | slot.announced_relaxed())
        };
        // Acquire: pairs with the Release of `leave`, as `Slot::announced` does.
        fence(Ordering::Acquire);
        announced == 0
    }
}

impl Drain {
    /// Creates the drain of an epoch whose bump has returned.
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, chunk: 0, turn: 0 }
    }

    /// Returns the number of the next place to check.
    pub(super) fn place(&self) -> usize {
        self.chunk * CHUNK + self.turn
    }

    /// Returns the chunk and place that it checks next.
    #[cfg(all(test, not(loom)))]
    pub(super) fn position(&self) -> (usize, usize) {
        (self.chunk, self.turn)
    }
}

/// Returns the index of the word of a chunk that is handed out at this turn. The bits of the turn
/// are reversed, so that the first words are as far apart as possible.
fn index_of(turn: usize) -> u8 {
    let turn = u8::try_from(turn).expect("a chunk has no more places");
    turn.reverse_bits() >> (u8::BITS - CHUNK.ilog2())
}

fn level_of(turn: usize) -> usize {
    turn / PER_LEVEL
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Returns the distinct lines of `bytes` bytes that hold the words of the places.
    fn lines(places: &[Place], bytes: usize) -> Vec<usize> {
        let address = |place: &Place| std::ptr::from_ref(place.chunk.slot(place.index)).addr();
        let mut lines: Vec<usize> = places.iter().map(|place| address(place) / bytes).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    #[test]
    fn thousands_of_participants_have_lines_of_their_own() {
        let table = Places::new();
        let places: Vec<_> = (0..CHUNKS_OF_LEVEL_0 * PER_LEVEL).map(|_| table.take()).collect();
        assert_eq!(lines(&places, 128).len(), places.len());
        let more: Vec<_> = (0..places.len()).map(|_| table.take()).collect();
        assert_eq!(lines(&more, 64).len(), more.len());
        assert_eq!(table.table().chunks.len(), CHUNKS_OF_LEVEL_0);
    }

    /// A hundred thousand words with their own lines took twelve megabytes. Every drain fetched
    /// them from memory while all writers waited.
    #[test]
    fn a_hundred_thousand_participants_lie_close_together() {
        let table = Places::new();
        let places: Vec<_> = (0..100_000).map(|_| table.take()).collect();
        assert_eq!(lines(&places, size_of::<Slot>()).len(), places.len(), "each has its word");
        assert!(table.table().chunks.len() * size_of::<Chunk>() < 1 << 20);
    }

    #[test]
    fn places_with_lines_of_their_own_are_given_out_again_first() {
        let table = Places::new();
        let mut places: Vec<_> = (0..10_000).map(|_| table.take()).collect();
        let first = places.swap_remove(17);
        table.give_back(&places.pop().expect("there are many"));
        table.give_back(&first);
        assert_eq!(table.take().number, first.number);
    }
}
