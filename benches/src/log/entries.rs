//! Entries whose every byte can be checked.
//!
//! ```text
//! | mark | pattern of the worker .. | mark' at 256 | .. | mark' at 512 | .. | mark' at the end |
//! ```
//!
//! The mark has the number of the worker and the number of the entry. It is repeated every 256
//! bytes and at the end, changed by its offset, so that pieces of different entries cannot look
//! like one. Writing an entry still costs only a few words.

/// Bits of the entry number within a mark.
const NUMBER_BITS: u32 = 48;

/// Bytes between two marks.
const STRIDE: usize = 256;

/// Bytes of the smallest entry, which is only a mark.
pub const SMALLEST: usize = MARK;

const MARK: usize = 8;
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// The entries of one worker, one at a time.
#[derive(Clone, Debug)]
pub struct Entries {
    worker: u64,
    bytes: Vec<u8>,
}

impl Entries {
    /// Creates the entries of a worker, with this many bytes each.
    pub fn new(worker: usize, entry_bytes: usize) -> Self {
        assert!(entry_bytes >= SMALLEST, "an entry has room for its mark");
        let worker = worker as u64;
        let word =
            |place: u64| (place + 1).wrapping_mul(MIX ^ worker.rotate_right(8)).to_le_bytes();
        let bytes = (0..entry_bytes.div_ceil(8) as u64).flat_map(word).take(entry_bytes).collect();
        Self { worker, bytes }
    }

    /// Returns the entry with this number.
    #[inline]
    pub fn entry(&mut self, number: u64) -> &[u8] {
        let mark = self.worker << NUMBER_BITS | number;
        let last = self.bytes.len() - MARK;
        for offset in (0..last).step_by(STRIDE).skip(1) {
            self.place(offset, mark);
        }
        self.place(last, mark);
        self.bytes[..MARK].copy_from_slice(&mark.to_le_bytes());
        &self.bytes
    }

    #[inline(always)]
    fn place(&mut self, offset: usize, mark: u64) {
        let changed = mark.wrapping_mul(MIX).wrapping_add(offset as u64);
        self.bytes[offset..offset + MARK].copy_from_slice(&changed.to_le_bytes());
    }
}

/// The entries that a reader has found, and their faults.
#[derive(Clone, Debug)]
pub struct Checks {
    workers: Vec<Entries>,
    /// The number of the next entry of each worker.
    next: Vec<u64>,
    /// The number of entries with the right bytes and in the right order.
    pub sound: u64,
    /// The number of entries that no task appended.
    pub wrong: u64,
    /// The number of entries out of order.
    pub misplaced: u64,
}

impl Checks {
    /// Creates the checks for the entries of this many workers.
    pub fn new(workers: usize, entry_bytes: usize) -> Self {
        let workers: Vec<Entries> =
            (0..workers).map(|worker| Entries::new(worker, entry_bytes)).collect();
        let next = vec![0; workers.len()];
        Self { workers, next, sound: 0, wrong: 0, misplaced: 0 }
    }

    /// Checks the next entry of the log.
    #[inline]
    pub fn saw(&mut self, payload: &[u8]) {
        let Some(mark) = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else {
            self.wrong += 1;
            return;
        };
        let number = mark & ((1 << NUMBER_BITS) - 1);
        let worker = usize::try_from(mark >> NUMBER_BITS).expect("16 bits");
        let known = self.workers.get_mut(worker);
        if known.is_none_or(|entries| entries.entry(number) != payload) {
            self.wrong += 1;
            return;
        }
        if self.next[worker] == number {
            self.sound += 1;
        } else {
            self.misplaced += 1;
        }
        self.next[worker] = number + 1;
    }

    /// Returns the number of checked entries.
    pub fn seen(&self) -> u64 {
        self.sound + self.wrong + self.misplaced
    }

    /// Returns the number of entries that are missing at the end, if each worker appended this
    /// many.
    pub fn missing(&self, appended: &[u64]) -> u64 {
        self.next.iter().zip(appended).map(|(next, appended)| appended.saturating_sub(*next)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 6] = [8, 9, 64, 100, 256, 1024];

    #[test]
    fn every_entry_is_recognised() {
        for bytes in SIZES {
            let mut checks = Checks::new(2, bytes);
            let mut workers = [Entries::new(0, bytes), Entries::new(1, bytes)];
            for number in 0..5 {
                for entries in &mut workers {
                    checks.saw(entries.entry(number));
                }
            }
            assert_eq!((checks.sound, checks.wrong, checks.misplaced), (10, 0, 0), "{bytes} B");
            assert_eq!(checks.missing(&[5, 7]), 2);
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for bytes in SIZES {
            for place in 0..bytes {
                let mut checks = Checks::new(1, bytes);
                let mut entry = Entries::new(0, bytes).entry(0).to_vec();
                entry[place] ^= 1;
                checks.saw(&entry);
                assert_eq!(checks.sound, 0, "byte {place} of {bytes}");
            }
        }
    }

    #[test]
    fn gaps_and_repetitions_are_misplaced() {
        let mut entries = Entries::new(0, 64);
        let mut checks = Checks::new(1, 64);
        for number in [0, 2, 2, 3] {
            checks.saw(entries.entry(number));
        }
        assert_eq!((checks.sound, checks.misplaced), (2, 2));
    }
}
