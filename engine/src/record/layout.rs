//! The positions of the fields of a record.
//!
//! ```text
//! fixed key, value of at most 8 bytes      fixed key, longer fixed value
//! +------+-----+-------+                   +------+-------+-----+---------+
//! | info | key | value |                   | info | state | key |  value  |
//! +------+-----+-------+                   +------+-------+-----+---------+
//!
//! anything of variable length              variable key, value of at most 8 bytes
//! +------+---------+-------+-----+-------+ +------+---------+-----+-------+
//! | info | extents | state | key | value | | info | extents | key | value |
//! +------+---------+-------+-----+-------+ +------+---------+-----+-------+
//! ```
//!
//! In a table with expiry, the [`ExpiryWord`](super::ExpiryWord) is between these headers and the
//! key.
//!
//! Every field begins on a word of 8 bytes. `extents` holds the length of the key and the capacity
//! of the value, and never changes. So the extent of a record is stable while its value shrinks and
//! grows in place. `state` is the [`ValueState`](super::ValueState).

/// Bytes of a machine word, the unit of all record arithmetic.
pub(crate) const WORD: usize = 8;
/// Wider fixed types are stored like variable ones, so that a huge array can be stored in pieces.
const WIDEST_FIXED: usize = 1024;

/// The layout of the keys and values of one table; a constant of its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The bytes of every key, if all have the same length.
    pub(crate) key_width: Option<usize>,
    /// The bytes of every value, if all have the same length.
    pub(crate) value_width: Option<usize>,
    /// Whether each record has a word for its expiry.
    pub(crate) has_expiry: bool,
}

/// The lengths of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extents {
    /// The bytes of the key.
    pub(crate) key: usize,
    /// The bytes to which the value may grow; a multiple of 8, except in fixed layouts.
    pub(crate) capacity: usize,
}

/// A layout as a type, so that the code of one store computes with constants.
pub(crate) trait HasLayout {
    const LAYOUT: Layout;
}

/// A layout that an operation gets as a value. It is a constant if it comes from a type.
pub(crate) trait Shape: Copy {
    fn layout(self) -> Layout;
}

impl Shape for Layout {
    #[inline(always)]
    fn layout(self) -> Layout {
        self
    }
}

impl Layout {
    pub(crate) const fn new(key_width: Option<usize>, value_width: Option<usize>) -> Self {
        let (key_width, value_width) = (narrow(key_width), narrow(value_width));
        Self { key_width, value_width, has_expiry: false }
    }

    /// Returns the same layout with or without a word for the expiry.
    pub(crate) const fn with_expiry(self, has_expiry: bool) -> Self {
        Self { has_expiry, ..self }
    }

    /// Returns whether the value is one atomic word, without a lock and a length.
    #[inline(always)]
    pub(crate) const fn value_is_word(self) -> bool {
        matches!(self.value_width, Some(width) if width <= WORD)
    }

    #[inline(always)]
    pub(crate) const fn has_extents(self) -> bool {
        self.key_width.is_none() || self.value_width.is_none()
    }

    /// Returns the word index of the extents, for layouts that have them.
    #[inline(always)]
    pub(crate) const fn extents_index(self) -> usize {
        1
    }

    /// Returns the word index of the state of the value, for values that are not a word.
    #[inline(always)]
    pub(crate) const fn state_index(self) -> usize {
        1 + self.has_extents() as usize
    }

    /// Returns the word index of the expiry, for layouts that have it.
    #[inline(always)]
    pub(crate) const fn expiry_index(self) -> usize {
        1 + self.has_extents() as usize + !self.value_is_word() as usize
    }

    /// Returns the word index of the key.
    #[inline(always)]
    pub(crate) const fn key_index(self) -> usize {
        self.expiry_index() + self.has_expiry as usize
    }

    /// Returns the word index of the value after a key of `key` bytes.
    #[inline(always)]
    pub(crate) const fn value_index(self, key: usize) -> usize {
        self.key_index() + words(key)
    }

    /// Returns the bytes of a whole record.
    #[inline(always)]
    pub(crate) const fn record_bytes(self, extents: Extents) -> usize {
        (self.value_index(extents.key) + words(extents.capacity)) * WORD
    }

    /// Returns the extents of a new record.
    #[inline(always)]
    pub(crate) const fn extents(self, key: usize, value: usize) -> Extents {
        let key = match self.key_width {
            Some(width) => width,
            None => key,
        };
        let capacity = match self.value_width {
            // Even a value of no bytes has its word, so that every word value has an address.
            Some(0) => 1,
            Some(width) => width,
            None => words(value) * WORD,
        };
        Extents { key, capacity }
    }

    /// Returns the number of words of every record, if all have the same.
    #[inline(always)]
    pub(crate) const fn fixed_words(self) -> Option<usize> {
        if self.has_extents() { None } else { Some(self.record_bytes(self.extents(0, 0)) / WORD) }
    }

    /// Returns the number of bytes from the start of a record that show its extent.
    pub(crate) const fn header_bytes(self) -> usize {
        self.key_index() * WORD
    }
}

/// Returns the number of words of `bytes` bytes.
#[inline(always)]
pub(crate) const fn words(bytes: usize) -> usize {
    bytes.div_ceil(WORD)
}

const fn narrow(width: Option<usize>) -> Option<usize> {
    match width {
        Some(width) if width <= WIDEST_FIXED => Some(width),
        _ => None,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn eight_byte_keys_and_values_take_24_bytes() {
        let layout = Layout::new(Some(8), Some(8));
        assert_eq!(layout.record_bytes(layout.extents(8, 8)), 24);
        assert_eq!(layout.key_index(), 1);
        assert_eq!(layout.value_index(8), 2);
    }

    #[test]
    fn parts_do_not_overlap() {
        let layout = Layout::new(None, None);
        let extents = layout.extents(5, 100);
        assert_eq!((layout.extents_index(), layout.state_index(), layout.key_index()), (1, 2, 3));
        assert_eq!(layout.value_index(5), 4);
        assert_eq!(extents, Extents { key: 5, capacity: 104 });
        assert_eq!(layout.record_bytes(extents), (4 + 13) * 8);
    }

    #[test]
    fn an_expiry_takes_one_word_before_the_key() {
        for widths in [[None, None], [Some(8), Some(8)], [Some(4), Some(24)], [None, Some(2)]] {
            let plain = Layout::new(widths[0], widths[1]);
            let expiring = plain.with_expiry(true);
            assert_eq!(expiring.expiry_index(), plain.key_index());
            assert_eq!(expiring.key_index(), plain.key_index() + 1);
            let extents = plain.extents(5, 100);
            assert_eq!(extents, expiring.extents(5, 100));
            assert_eq!(expiring.record_bytes(extents), plain.record_bytes(extents) + WORD);
            assert_eq!(expiring.with_expiry(false), plain);
        }
    }

    #[test]
    fn wide_fixed_values_are_variable() {
        assert_eq!(Layout::new(Some(8), Some(1 << 20)).value_width, None);
        assert_eq!(Layout::new(Some(8), Some(1024)).value_width, Some(1024));
    }
}
