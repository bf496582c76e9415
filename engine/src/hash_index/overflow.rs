//! Overflow lines for full buckets: an arena that grows by doubling and never moves.

use super::line::{LINE_WORDS, Line};
use crate::base::memory::WordMemory;
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::sync::OnceLock;

/// The lines of the first chunk; each next chunk is twice as large.
const FIRST_CHUNK: u64 = 64;
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
    // Lines whose taker lost the race to link them, or found no memory for their chunk.
    returned: Mutex<Vec<u64>>,
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
            returned: Mutex::new(Vec::new()),
        }
    }

    /// Returns a zeroed line that no other task has.
    ///
    /// # Errors
    /// Fails if the system has no memory for it now. Nothing has changed then.
    pub(super) fn take(&self) -> io::Result<u64> {
        let returned = self.returned.lock().expect("nothing panics under it").pop();
        // Relaxed: only uniqueness matters; the link publishes the line.
        let number = returned.unwrap_or_else(|| self.taken.fetch_add(1, Ordering::Relaxed) + 1);
        let (chunk, _) = place(number - 1);
        if let Err(error) = self.ensure(chunk) {
            self.give_back(number);
            return Err(error);
        }
        Ok(number)
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

    /// Takes back a line that was never linked.
    pub(super) fn give_back(&self, number: u64) {
        self.returned.lock().expect("nothing panics under it").push(number);
    }

    #[inline]
    pub(super) fn line(&self, number: u64) -> Line<'_> {
        debug_assert!(number > 0);
        let (chunk, line) = place(number - 1);
        let words = self.chunks[chunk].get().expect("a line's chunk is there before its number");
        let words = words[line * LINE_WORDS..].first_chunk().expect("chunks hold whole lines");
        Line::new(words, true)
    }

    /// Returns the bytes of all lines in use.
    pub(super) fn bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed) * (LINE_WORDS * 8) as u64
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
        let first = lines.take().expect("memory");
        let second = lines.take().expect("memory");
        assert_ne!(first, second);
        lines.give_back(first);
        assert_eq!(lines.take().expect("memory"), first);
        assert_eq!(lines.bytes(), 128);
    }
}
