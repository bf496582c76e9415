//! The buffer of a seat for the copy of one value.
//!
//! An operation copies a value that a writer may change meanwhile. The copy ends with the
//! operation, so a seat could keep the buffer of the largest value that it has seen; thousands of
//! idle sessions would then hold memory that no budget counts. A seat keeps a small buffer only,
//! and [`super::ExecutionContext::BYTES`] counts it for each seat.

use std::mem::take;

/// The buffer of a seat for the copy of one value. Its bytes mean nothing between operations.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    buffer: Vec<u8>,
}

impl Scratch {
    /// The largest buffer that a seat keeps, in bytes.
    pub(crate) const KEPT: usize = 512;

    /// Returns the empty buffer, until the operation gives it back.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut buffer = take(&mut self.buffer);
        buffer.clear();
        buffer
    }

    /// Returns the whole buffer of a seat.
    #[inline(always)]
    pub(crate) fn whole(&mut self) -> &mut [u8] {
        if self.buffer.len() < Self::KEPT {
            self.enlarge();
        }
        &mut self.buffer
    }

    #[cold]
    #[inline(never)]
    fn enlarge(&mut self) {
        self.buffer.reserve_exact(Self::KEPT - self.buffer.len());
        self.buffer.resize(Self::KEPT, 0);
    }

    /// Keeps the buffer of an operation, or frees a large one.
    #[inline]
    pub(crate) fn give_back(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= Self::KEPT {
            self.buffer = buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn a_small_buffer_is_kept_and_a_large_one_is_freed() {
        let mut scratch = Scratch::default();
        for (length, kept) in [(1, true), (Scratch::KEPT, true), (Scratch::KEPT + 1, false)] {
            let mut buffer = scratch.take();
            assert!(buffer.is_empty());
            buffer.reserve_exact(length);
            buffer.extend(std::iter::repeat_n(7, length));
            scratch.give_back(buffer);
            assert_eq!(scratch.buffer.capacity() >= length, kept, "{length} bytes");
            assert!(scratch.take().is_empty());
        }
    }

    #[test]
    fn the_whole_buffer_is_what_a_seat_keeps() {
        let mut scratch = Scratch::default();
        for used in [0, 1, Scratch::KEPT] {
            let mut buffer = scratch.take();
            buffer.extend(std::iter::repeat_n(7, used));
            scratch.give_back(buffer);
            assert_eq!(scratch.whole().len(), Scratch::KEPT);
            assert_eq!(scratch.buffer.capacity(), Scratch::KEPT, "what the budget counts");
        }
    }
}
