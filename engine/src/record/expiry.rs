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

#[cfg(loom)]
mod loom_tests {
    use super::*;
    use crate::base::address::Address;
    use crate::record::{Layout, NewRecord, RecordInfo, RecordKind, RecordRef, TableNumber};
    use crate::record::{ValueState, WORD};
    use kvick_io::sync::atomic::AtomicU64;
    use loom::{sync::Arc, thread};

    const LAYOUT: Layout = Layout::new(Some(WORD), Some(2 * WORD)).with_expiry(true);

    /// Returns a record whose value and expiry are 1.
    fn record() -> Arc<Vec<AtomicU64>> {
        let page: Vec<AtomicU64> = (0..6).map(|_| AtomicU64::new(0)).collect();
        let info = RecordInfo::new(TableNumber::FIRST, Address::NONE, RecordKind::Value, 0);
        let (content, expiry) = (RecordKind::Value, ExpiryWord::at(1, 0));
        let (key, value) = (&[0; WORD][..], &[1; 2 * WORD][..]);
        RecordRef::new(&page).initialise(LAYOUT, info, NewRecord { key, value, content, expiry });
        Arc::new(page)
    }

    /// Changes the expiry to 2, and the value too if asked. Returns whether it did.
    fn change(page: &[AtomicU64], with_value: bool) -> bool {
        let record = RecordRef::new(page);
        let word = record.state_word(LAYOUT);
        let Ok(state) = ValueState::observe(word) else {
            return false;
        };
        if state.transition_to_locked(word).is_err() {
            return false;
        }
        if with_value {
            record.write_value(LAYOUT, &[2; 2 * WORD]);
        }
        record.write_expiry(LAYOUT, ExpiryWord::at(2, 0));
        state.unlock(word, 2 * WORD);
        true
    }

    /// A reader never accepts a value with the expiry of another one.
    #[test]
    fn loom_a_value_and_its_expiry_are_read_together() {
        loom::model(|| {
            let page = record();
            let written = Arc::clone(&page);
            let writer = thread::spawn(move || assert!(change(&written, true), "one writer"));
            let check = |value: &[u8], expiry: ExpiryWord| {
                let is_whole = |byte: &u8| expiry.second() == Some((*byte).into());
                assert!(value.iter().all(is_whole), "torn");
            };
            let (mut value, mut buffer) = (Vec::new(), [0; 2 * WORD]);
            if let Ok((_, expiry)) = RecordRef::new(&page).copy_with_expiry(LAYOUT, &mut value) {
                check(&value, expiry);
            }
            if let Some(short) = RecordRef::new(&page).copy_short(LAYOUT, &mut buffer) {
                check(short.bytes, short.expiry);
            }
            writer.join().expect("the writer did not panic");
        });
    }

    /// Either a change of the expiry or a copy of the record wins: the copy has the last expiry.
    #[test]
    fn loom_a_copy_loses_no_change_of_the_expiry() {
        loom::model(|| {
            let page = record();
            let written = Arc::clone(&page);
            let writer = thread::spawn(move || change(&written, false));
            let record = RecordRef::new(&page);
            let copied = (0..2).find_map(|_| {
                let (state, expiry) = record.copy_with_expiry(LAYOUT, &mut Vec::new()).ok()?;
                state.transition_to_sealed(record.state_word(LAYOUT)).ok()?;
                expiry.second()
            });
            let has_changed = writer.join().expect("the writer did not panic");
            if let Some(second) = copied {
                assert_eq!(second, 1 + u32::from(has_changed), "a change was lost");
            }
        });
    }
}
