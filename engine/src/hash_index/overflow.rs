//! Overflow lines for full buckets: an arena that grows by doubling and never moves.
//!
//! Lines that were returned are used again, the lowest first, so that the lines in use gather at
//! the front. A *sheet* is 64 lines: a page of the system. The memory of a sheet without a line in
//! use goes back to the system.

use super::line::{LINE_WORDS, Line};
use crate::base::memory::WordMemory;
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::OnceLock;

/// The lines of a sheet, a bit each of a word.
pub(super) const SHEET: u64 = 64;
/// The lines of the first chunk; each next chunk is twice as large.
const FIRST_CHUNK: u64 = SHEET;
/// The number of chunks, which hold more lines than there are addresses.
const CHUNKS: usize = 40;

/// Overflow lines, numbered from 1.
#[derive(Debug)]
pub(super) struct OverflowLines {
    // Fixed after creation: the source of the words.
    reserve: fn(usize) -> io::Result<WordMemory>,
    // Each is written once, before a number of its lines is handed out.
    chunks: [OnceLock<WordMemory>; CHUNKS],
    // Any thread, atomic: lines ever taken.
    taken: AtomicU64,
    returned: Mutex<Returned>,
}

/// Lines that were returned. No bucket links them, and no task reads them.
#[derive(Debug, Default)]
struct Returned {
    /// Sheets of which some lines are free, with a bit for each free line. Free lines are zero.
    partly: BTreeMap<u64, u64>,
    /// Sheets all of whose lines are free.
    whole: BTreeSet<u64>,
    /// The number of free lines.
    free: u64,
}

impl Returned {
    /// Takes the lowest free line, and returns its number less 1.
    fn pop(&mut self) -> Option<u64> {
        if let Some(mut sheet) = self.partly.first_entry() {
            let bit = sheet.get().trailing_zeros();
            *sheet.get_mut() &= !(1 << bit);
            let number = *sheet.key() * SHEET + u64::from(bit);
            if *sheet.get() == 0 {
                sheet.remove();
            }
            self.free -= 1;
            return Some(number);
        }
        let sheet = self.whole.pop_first()?;
        self.partly.insert(sheet, u64::MAX - 1);
        self.free -= 1;
        Some(sheet * SHEET)
    }

    /// Adds a line. Returns its sheet if all lines of the sheet are free now.
    fn push(&mut self, index: u64) -> Option<u64> {
        let (sheet, bit) = (index / SHEET, 1 << (index % SHEET));
        let free = self.partly.entry(sheet).or_default();
        assert!(*free & bit == 0 && !self.whole.contains(&sheet), "line {index} is free already");
        *free |= bit;
        self.free += 1;
        if *free != u64::MAX {
            return None;
        }
        self.partly.remove(&sheet);
        self.whole.insert(sheet);
        Some(sheet)
    }
}

impl OverflowLines {
    pub(super) fn new() -> Self {
        Self::from(|words| WordMemory::zeroed(words, false))
    }

    /// Creates lines whose memory comes from `reserve`, a function of the number of words.
    pub(super) fn from(reserve: fn(usize) -> io::Result<WordMemory>) -> Self {
        Self {
            reserve,
            chunks: [const { OnceLock::new() }; CHUNKS],
            taken: AtomicU64::new(0),
            returned: Mutex::default(),
        }
    }

    /// Returns a zeroed line that no other task has.
    ///
    /// # Errors
    /// Fails if the system has no memory for it now. Nothing has changed then.
    pub(super) fn take(&self) -> io::Result<u64> {
        let returned = self.returned.lock().expect("nothing panics under it").pop();
        // Relaxed: only uniqueness matters; the link publishes the line.
        let index = returned.unwrap_or_else(|| self.taken.fetch_add(1, Ordering::Relaxed));
        let (chunk, _) = place(index);
        if let Err(error) = self.ensure(chunk) {
            self.give_back(index + 1);
            return Err(error);
        }
        Ok(index + 1)
    }

    /// Makes a chunk if it does not exist yet. If two tasks make it at once, one copy is dropped.
    fn ensure(&self, chunk: usize) -> io::Result<()> {
        let place = &self.chunks[chunk];
        if place.get().is_some() {
            return Ok(());
        }
        let words = usize::try_from(FIRST_CHUNK << chunk).expect("fits") * LINE_WORDS;
        match (self.reserve)(words) {
            Ok(memory) => drop(place.set(memory)),
            // The memory may have been enough for only one of two tasks.
            Err(_) if place.get().is_some() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes back a line that no bucket links and no task reads.
    pub(super) fn give_back(&self, number: u64) {
        assert!(number > 0, "lines are numbered from 1");
        let (chunk, line) = place(number - 1);
        let memory = self.chunks[chunk].get();
        if let Some(words) = memory {
            let words = &words[line * LINE_WORDS..(line + 1) * LINE_WORDS];
            // Relaxed: the lock below, and the link to the line, publish the zeros.
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        let mut returned = self.returned.lock().expect("nothing panics under it");
        if let (Some(sheet), Some(words)) = (returned.push(number - 1), memory) {
            let ((_, first), (_, last)) = (place(sheet * SHEET), place(sheet * SHEET + SHEET - 1));
            // All of these words are zero already.
            words.discard(first * LINE_WORDS..(last + 1) * LINE_WORDS);
        }
    }

    #[inline]
    pub(super) fn line(&self, number: u64) -> Line<'_> {
        debug_assert!(number > 0);
        let (chunk, line) = place(number - 1);
        let words = self.chunks[chunk].get().expect("a line's chunk is there before its number");
        let words = words[line * LINE_WORDS..].first_chunk().expect("chunks hold whole lines");
        Line::new(words, true)
    }

    /// Returns the number of lines that would hold all lines in use, and some more. A bucket with a
    /// higher line should take another.
    pub(super) fn enough(&self) -> u64 {
        let free = self.returned.lock().expect("nothing panics under it").free;
        let used = self.taken.load(Ordering::Relaxed).saturating_sub(free);
        used + used / 16 + SHEET
    }

    /// Returns the bytes of all sheets with a line in use.
    pub(super) fn bytes(&self) -> u64 {
        let given_back = self.returned.lock().expect("nothing panics under it").whole.len() as u64;
        let lines = self.taken.load(Ordering::Relaxed).saturating_sub(given_back * SHEET);
        lines * (LINE_WORDS * 8) as u64
    }
}

/// Returns the chunk of a line, and the number of the line in it.
#[expect(clippy::cast_possible_truncation, reason = "a line number is far below 2^40")]
fn place(index: u64) -> (usize, usize) {
    let chunk = (index / FIRST_CHUNK + 1).ilog2();
    let before = FIRST_CHUNK * ((1 << chunk) - 1);
    (chunk as usize, (index - before) as usize)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 as u64 == FIRST_CHUNK << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn returned_lines_are_taken_again() {
        let lines = OverflowLines::new();
        let taken: Vec<u64> = (0..200).map(|_| lines.take().expect("memory")).collect();
        assert_eq!(lines.bytes(), 200 * 64);
        let write = |number| lines.line(number).first_word().store(7, Ordering::Relaxed);
        taken.iter().copied().for_each(write);
        // The second sheet is free as a whole, and a line of the first.
        (65..=128).for_each(|number| lines.give_back(number));
        lines.give_back(7);
        assert_eq!(lines.bytes(), (200 - 64) * 64);
        let again: Vec<u64> = (0..3).map(|_| lines.take().expect("memory")).collect();
        assert_eq!(again, [7, 65, 66], "the lowest first");
        for number in again {
            assert_eq!(lines.line(number).first_word().load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    #[should_panic(expected = "free already")]
    fn a_line_is_given_back_once() {
        let lines = OverflowLines::new();
        let number = lines.take().expect("memory");
        lines.give_back(number);
        lines.give_back(number);
    }
}
