//! The first word of every record.
//!
//! ```text
//! 63..57  56      55        54      53        52     51..45       44..............0
//! +------+-------+---------+-------+---------+-----+------------+------------------+
//! |table |present|tombstone|invalid|in pieces|piece|version tag | previous address |
//! |      |       |         |       |         |     |            | in units of 8    |
//! +------+-------+---------+-------+---------+-----+------------+------------------+
//! ```
//!
//! * `table`: the number of the table to which the record belongs. It decides the layout of the
//!   record. It is at the top, so that a comparison shifts the word and needs no mask.
//! * `present`: a record begins here. A zero word means that no record follows, up to the next
//!   unit.
//! * `tombstone`: this record deletes the key.
//! * `invalid`: the record was allocated but never linked; only its extent counts.
//! * `in pieces`: the value is a list of the addresses of its pieces. In a layout whose values are
//!   words, which are never in pieces, the bit means `frozen`: the record takes no more changes in
//!   place. It says nothing about a record that is immutable anyway, such as one on the device.
//! * `piece`: the record is a piece of the value of another record of its key; no chain leads here.
//! * `version_tag`: the version tag. It is the version in which the record was last changed
//!   (appended or in place), modulo the number of tags. An incremental checkpoint searches for the
//!   tag of its version. A very old record may share this tag and count as changed; a changed
//!   record never counts as unchanged.
//!
//! The word is complete before the record is linked. Afterwards atomic steps only set `tombstone`,
//! `frozen` and `version_tag`, while the record is mutable. A record that will not be linked is
//! marked `invalid` before that.

use super::{Layout, TableNumber, word_in};
use crate::base::address::{ADDRESS_UNIT_BITS, Address};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::fmt;

/// The lowest bit of the table number.
const TABLE_SHIFT: u32 = u64::BITS - TableNumber::BITS;
const TABLE: u64 = u64::MAX << TABLE_SHIFT;

const PRESENT: u64 = 1 << 56;
const TOMBSTONE: u64 = 1 << 55;
const INVALID: u64 = 1 << 54;
const IN_PIECES: u64 = 1 << 53;
const PIECE: u64 = 1 << 52;
/// The same bit as `IN_PIECES`, in layouts whose values are words.
const FROZEN: u64 = IN_PIECES;

/// The number of version tags.
const STAMPS: u64 = 1 << 7;
const STAMP: u64 = (STAMPS - 1) << ADDRESS_UNIT_BITS;

/// The bits of the previous address, in address units.
const PREVIOUS: u64 = (1 << ADDRESS_UNIT_BITS) - 1;

const FLAGS: u64 = PRESENT | TOMBSTONE | INVALID | IN_PIECES | PIECE;
const _: () = assert!((PREVIOUS ^ STAMP ^ FLAGS ^ TABLE) == u64::MAX, "every bit has one meaning");

/// The content of a new record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// The value itself.
    Value,
    /// No value: the key is deleted.
    Tombstone,
    /// The addresses of the pieces of the value.
    InPieces,
    /// One piece of the value of another record.
    Piece,
}

/// A decoded header word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct RecordInfo(u64);

impl RecordInfo {
    /// Returns the version tag of a version, for `new` and for comparisons with `version_tag`.
    pub(crate) const fn version_tag_of(version: u64) -> u64 {
        (version % STAMPS) << ADDRESS_UNIT_BITS
    }

    #[inline]
    pub(crate) fn new(
        table: TableNumber,
        previous: Address,
        content: RecordKind,
        version_tag: u64,
    ) -> Self {
        debug_assert!(version_tag & !STAMP == 0);
        debug_assert!(previous.units() <= PREVIOUS, "the tail of a store ends before");
        let content = match content {
            RecordKind::Value => 0,
            RecordKind::Tombstone => TOMBSTONE,
            RecordKind::InPieces => IN_PIECES,
            RecordKind::Piece => PIECE,
        };
        let table = table.word() << TABLE_SHIFT;
        Self(table | PRESENT | content | version_tag | previous.units())
    }

    #[inline]
    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Returns the header at the front of some bytes of the log.
    pub(crate) fn first_of(bytes: &[u8]) -> Self {
        Self(word_in(bytes, 0))
    }

    #[inline]
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    #[inline]
    pub(crate) fn is_tombstone(self) -> bool {
        self.0 & TOMBSTONE != 0
    }

    #[inline]
    pub(crate) fn is_invalid(self) -> bool {
        self.0 & INVALID != 0
    }

    #[inline]
    pub(crate) fn is_in_pieces(self, layout: Layout) -> bool {
        self.0 & IN_PIECES != 0 && !layout.value_is_word()
    }

    /// Returns whether the record takes no change in place, wherever it is: it is deleted or
    /// frozen.
    #[inline(always)]
    pub(crate) fn is_final(self, layout: Layout) -> bool {
        let flags = if layout.value_is_word() { TOMBSTONE | FROZEN } else { TOMBSTONE };
        self.0 & flags != 0
    }

    #[inline(always)]
    pub(crate) fn is_piece(self) -> bool {
        self.0 & PIECE != 0
    }

    /// Returns the version tag, in its bits of the word.
    #[inline(always)]
    pub(crate) fn version_tag(self) -> u64 {
        self.0 & STAMP
    }

    #[inline]
    pub(crate) fn previous(self) -> Address {
        Address::from_units(self.0 & PREVIOUS)
    }

    /// Returns the number of the table of the record.
    #[inline(always)]
    pub(crate) fn table(self) -> TableNumber {
        TableNumber::from_word(self.0 >> TABLE_SHIFT)
    }

    /// Returns whether the record belongs to the table whose number is in `word`.
    #[inline(always)]
    pub(crate) fn is_of(self, word: u64) -> bool {
        self.0 >> TABLE_SHIFT == word
    }

    /// Deletes a mutable record in place. Returns whether it was not deleted before.
    ///
    /// Release: pairs with the Acquire of `load`, so a reader that sees the tombstone also sees
    /// everything that the deleting writer saw.
    #[must_use]
    pub(crate) fn transition_to_tombstone(word: &AtomicU64) -> bool {
        let before = Self(word.fetch_or(TOMBSTONE, Ordering::AcqRel));
        debug_assert!(before.is_present() && !before.is_invalid(), "{before:?}");
        !before.is_tombstone()
    }

    /// Lets no further operation change a mutable record of one word in place.
    ///
    /// Operations under older guards may have missed the bit. The word is final when they have
    /// left. The bit is never removed.
    pub(crate) fn transition_to_frozen(word: &AtomicU64) {
        // Relaxed: the bump of the epoch that follows orders it before the drain that the remover
        // waits for.
        let before = Self(word.fetch_or(FROZEN, Ordering::Relaxed));
        debug_assert!(before.is_present() && !before.is_invalid(), "{before:?}");
    }

    /// Writes the version tag into a mutable record that is changed in this version. It runs once
    /// per version and record, so it is kept out of the hot path.
    #[cold]
    pub(crate) fn transition_to_tagged(word: &AtomicU64, version_tag: u64) {
        debug_assert!(version_tag & !STAMP == 0);
        let mut current = word.load(Ordering::Relaxed);
        loop {
            let stamped = current & !STAMP | version_tag;
            // Relaxed: read only during a version barrier (`Cut`), when the writer of the tag has
            // left protection.
            match word.compare_exchange(current, stamped, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => current = now,
            }
        }
    }

    /// Abandons a record that was written but lost the race to be linked.
    pub(crate) fn transition_to_invalid(word: &AtomicU64) {
        // Relaxed: no operation reaches the record; the epoch orders the flush that reads it.
        let before = Self(word.fetch_or(INVALID, Ordering::Relaxed));
        debug_assert!(before.is_present(), "{before:?}");
    }

    /// Loads the header.
    ///
    /// Acquire: pairs with the Release of the writer that linked the record or deleted it.
    #[inline]
    pub(crate) fn load(word: &AtomicU64) -> Self {
        Self(word.load(Ordering::Acquire))
    }
}

impl fmt::Debug for RecordInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordInfo")
            .field("table", &self.table())
            .field("previous", &self.previous())
            .field("present", &self.is_present())
            .field("tombstone", &self.is_tombstone())
            .field("invalid", &self.is_invalid())
            .field("in_pieces_or_frozen", &(self.0 & IN_PIECES != 0))
            .field("version_tag", &(self.version_tag() >> ADDRESS_UNIT_BITS))
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bits_do_not_disturb_the_address() {
        let previous = Address::new(0x1234_5678_9ab8);
        let tag = RecordInfo::version_tag_of(u64::MAX);
        let info = RecordInfo::new(TableNumber::LAST, previous, RecordKind::InPieces, tag);
        assert!(info.is_present() && info.is_in_pieces(Layout::new(None, None)));
        assert!(!info.is_in_pieces(Layout::new(None, Some(8))), "words are never in pieces");
        assert!(!info.is_invalid() && !info.is_tombstone());
        assert_eq!(info.previous(), previous);
        assert_eq!((info.table(), info.version_tag()), (TableNumber::LAST, tag));
        assert!(info.is_of(TableNumber::LAST.word()) && !info.is_of(TableNumber::FIRST.word()));
        assert!(!RecordInfo::from_raw(0).is_present());
        let highest = Address::from_units(PREVIOUS);
        let info = RecordInfo::new(TableNumber::FIRST, highest, RecordKind::Value, 0);
        assert_eq!((info.previous(), info.version_tag()), (highest, 0));
    }

    #[test]
    fn transitions_set_one_bit() {
        let info = RecordInfo::new(TableNumber::FIRST, Address::FIRST, RecordKind::Value, 0);
        let word = AtomicU64::new(info.raw());
        let words = Layout::new(Some(8), Some(8));
        assert!(!RecordInfo::load(&word).is_final(words));
        RecordInfo::transition_to_frozen(&word);
        assert!(RecordInfo::load(&word).is_final(words));
        assert!(!RecordInfo::load(&word).is_tombstone());
        assert!(RecordInfo::transition_to_tombstone(&word), "it was alive");
        assert!(!RecordInfo::transition_to_tombstone(&word), "once");
        assert!(RecordInfo::load(&word).is_tombstone());
        RecordInfo::transition_to_invalid(&word);
        assert!(RecordInfo::load(&word).is_invalid());
        assert_eq!(RecordInfo::load(&word).previous(), Address::FIRST);
    }

    #[test]
    fn a_stamp_is_replaced_and_wraps() {
        let version_tag = RecordInfo::version_tag_of(5);
        let first = TableNumber::FIRST;
        let info = RecordInfo::new(first, Address::FIRST, RecordKind::Value, version_tag);
        let word = AtomicU64::new(info.raw());
        assert_eq!(RecordInfo::load(&word).version_tag(), RecordInfo::version_tag_of(5 + STAMPS));
        assert!(RecordInfo::transition_to_tombstone(&word), "it was alive");
        RecordInfo::transition_to_tagged(&word, RecordInfo::version_tag_of(6));
        let info = RecordInfo::load(&word);
        assert_eq!(info.version_tag(), RecordInfo::version_tag_of(6));
        assert!(info.is_tombstone() && info.is_present());
        assert_eq!(info.previous(), Address::FIRST);
    }
}
