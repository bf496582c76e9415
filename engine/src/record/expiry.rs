//! The time at which a record expires: the word before the key, in tables that have it.
//!
//! ```text
//!   63..............32   31...............0
//! +------------------+---------------------+
//! |        0         | seconds since 1970  |
//! +------------------+---------------------+
//! ```
//!
//! A new record never expires, unless it replaces the value of its key by one that was computed
//! from it. Then it takes the expiry of the record that it replaces. A change in place leaves the
//! word as it is, so it never changes once the record is linked. A tombstone, a piece of a long
//! value, and a value that is written without the old one at the tail never expire.

/// The time at which a record expires, in seconds since 1970; 0 if it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry(u32);

impl Expiry {
    pub(crate) const NEVER: Self = Self(0);

    /// Returns the expiry in a word, of which it uses the lower half.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half remains")]
    #[inline(always)]
    pub(crate) const fn from_word(word: u64) -> Self {
        Self(word as u32)
    }

    #[inline(always)]
    pub(super) const fn word(self) -> u64 {
        self.0 as u64
    }

    /// Returns the second at which the record expires, if it does.
    pub(crate) fn second(self) -> Option<u32> {
        (self != Self::NEVER).then_some(self.0)
    }
}
