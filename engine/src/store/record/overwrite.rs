//! Overwriting the value of a mutable record, which is alive and neither frozen nor in pieces.

use crate::record::{ExpiryWord, Layout, RecordRef, ValueState};
use crate::store::answers::Previous;
use crate::store::moment::Moment;
use crate::store::record::hit::Newest;
use crate::store::table::TableRef;
use kvick_io::sync::atomic::Ordering;

/// The result of a try to overwrite a value.
pub(in crate::store) enum InPlace {
    /// It has the new value. The answer says what the key had before.
    Done(Previous),
    /// Another operation is changing the value.
    Contended,
    /// The record does not take the value.
    Unfit,
}

/// Overwrites the word of a record that may be changed, if its expiry stays the same.
#[inline(always)]
pub(in crate::store) fn overwrite_word(
    core: TableRef<'_>,
    Newest { record: current, info }: Newest<'_>,
    layout: Layout,
    (value, expiry): (&[u8], ExpiryWord),
    moment: &Moment<'_>,
) -> InPlace {
    if current.expiry(layout) != expiry {
        return InPlace::Unfit;
    }
    // The header was loaded before, so the version tag is compared without another load.
    core.stamp_observed(current, info);
    // Release: pairs with the Acquire of readers.
    current.value_word(layout).store(word_of(value), Ordering::Release);
    InPlace::Done(Previous::of(!has_passed(layout, expiry, moment)))
}

/// Overwrites the bytes of a record that may be changed, and its expiry with them, if they fit.
#[inline(always)]
pub(in crate::store) fn overwrite_bytes(
    core: TableRef<'_>,
    Newest { record: current, info }: Newest<'_>,
    layout: Layout,
    (value, expiry): (&[u8], ExpiryWord),
    moment: &Moment<'_>,
) -> InPlace {
    if info.is_in_pieces(layout) || value.len() > current.extents(layout).capacity {
        return InPlace::Unfit;
    }
    let word = current.state_word(layout);
    let Ok(state) = ValueState::observe(word) else {
        return InPlace::Contended;
    };
    // It belongs to the observed state if that can be locked.
    let had_expired = has_passed(layout, current.expiry(layout), moment);
    if state.transition_to_locked(word).is_err() {
        return InPlace::Contended;
    }
    // The tombstone cannot change under the lock, because deleting takes the lock too.
    if current.info().is_tombstone() {
        state.unlock(word, state.length());
        return InPlace::Unfit;
    }
    current.write_value(layout, value);
    current.write_expiry(layout, expiry);
    state.unlock(word, value.len());
    core.version_tag(current);
    InPlace::Done(Previous::of(!had_expired))
}

/// Overwrites the observed value of a mutable record, and its expiry, with a value that fits in the
/// record. Returns false if another operation was faster.
#[inline(always)]
pub(in crate::store) fn overwrite_observed(
    core: TableRef<'_>,
    (record, state): (RecordRef<'_>, ValueState),
    layout: Layout,
    (new, expiry): (&[u8], ExpiryWord),
) -> bool {
    let word = record.state_word(layout);
    if state.transition_to_locked(word).is_err() {
        return false;
    }
    core.version_tag(record);
    record.write_value(layout, new);
    record.write_expiry(layout, expiry);
    state.unlock(word, new.len());
    true
}

/// Returns whether a record with this expiry has expired.
#[inline(always)]
fn has_passed(layout: Layout, expiry: ExpiryWord, moment: &Moment<'_>) -> bool {
    layout.has_expiry && moment.has_passed(expiry)
}

/// Returns the stored word of a value of at most 8 bytes.
#[inline(always)]
pub(in crate::store) fn word_of(value: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..value.len()].copy_from_slice(value);
    u64::from_le_bytes(bytes)
}
