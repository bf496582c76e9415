//! The time at which a record expires: the word before the key, in tables that have it.
//!
//! ```text
//!   63..............32   31...............0
//! +------------------+---------------------+
//! |        0         | seconds since 1970  |
//! +------------------+---------------------+
//! ```
//!
//! A record that has expired is no value of its key any more: every operation treats it as a
//! tombstone, from that second on.
//!
//! # How it changes
//! Value and expiry are one state of the key, so readers and copies must see them together.
//!
//! * A value of bytes has a seqlock, and the word changes under it, alone or with the value. A
//!   reader loads the word after the value, and then asks whether the state of the value is still
//!   the same. A copy of the record is linked under a seal, so no change is lost.
//! * A value of one word has no lock. Its expiry never changes once the record is linked. An
//!   operation that needs another expiry appends a record. If the new record has the old value, the
//!   old record is frozen first, as for a removal.
//!
//! A new record never expires, with two exceptions. An operation may set a time. A record that
//! replaces a value by one that was computed from it takes the expiry of the old record.
//! Tombstones and pieces of long values never expire.

/// The time at which a record expires, in seconds since 1970; 0 if it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExpiryWord(u32);

impl ExpiryWord {
    pub(crate) const NEVER: Self = Self(0);

    /// Returns the expiry in a word, of which it uses the lower half.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half remains")]
    #[inline(always)]
    pub(crate) const fn from_word(word: u64) -> Self {
        Self(word as u32)
    }

    /// Returns the expiry at a time since 1970: its second, or the next one after a fraction. A
    /// time from the last second on, in 2106, is never.
    pub(crate) fn at(seconds: u64, nanos: u32) -> Self {
        let second = seconds.saturating_add(u64::from(nanos > 0));
        match u32::try_from(second) {
            Ok(u32::MAX) | Err(_) => Self::NEVER,
            // The first second stands for all times before it: 0 is never.
            Ok(second) => Self(second.max(1)),
        }
    }

    #[inline(always)]
    pub(super) const fn word(self) -> u64 {
        self.0 as u64
    }

    /// Returns the second at which the record expires, if it does.
    pub(crate) fn second(self) -> Option<u32> {
        (self != Self::NEVER).then_some(self.0)
    }

    /// Returns whether a record with this expiry has expired at `second`.
    #[inline(always)]
    pub(crate) const fn has_passed(self, second: u32) -> bool {
        self.0 != 0 && self.0 <= second
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_record_expires_with_its_second() {
        let expiry = ExpiryWord::at(100, 0);
        assert_eq!(expiry.second(), Some(100));
        assert!(!expiry.has_passed(99) && expiry.has_passed(100) && expiry.has_passed(u32::MAX));
        assert!(!ExpiryWord::NEVER.has_passed(u32::MAX));
    }

    #[test]
    fn a_fraction_counts_as_a_second_and_no_time_as_never() {
        assert_eq!(ExpiryWord::at(100, 1).second(), Some(101));
        assert_eq!(ExpiryWord::at(0, 0).second(), Some(1), "it has expired");
        let last = u64::from(u32::MAX) - 1;
        assert_eq!(ExpiryWord::at(last, 0).second(), Some(u32::MAX - 1));
        for [seconds, nanos] in [[last, 1], [last + 1, 0], [u64::MAX, 1]] {
            let nanos = u32::try_from(nanos).expect("0 or 1");
            assert_eq!(ExpiryWord::at(seconds, nanos), ExpiryWord::NEVER);
        }
    }
}
