//! The change of a value, if it is a hit.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::epoch::Guard;
use crate::record::{Layout, NewRecord, RecordKind, RecordRef, ShortValue, ValueState};
use crate::statistics::{Counter, Counters};
use crate::store::context::OperationContext;
use crate::store::operation::attempt::{Attempt, layout};
use crate::store::operation::changes::Change;
use crate::store::operation::upsert::{check_value, is_too_long};
use crate::store::record::append::{append_in, sealed};
use crate::store::record::hit::{Newest, changeable, count_change, has_expired, takes_changes};
use crate::store::record::overwrite::{overwrite_observed, word_of};
use crate::store::table::TableRef;
use kvick_io::sync::atomic::Ordering;

/// Modifies the value of `key`. Returns whether the change wrote.
#[inline(always)]
pub(in crate::store) fn modify_hit<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    found: (&[u8], Address),
    change: &mut C,
    tools: &mut OperationContext<'_>,
) -> Option<Result<bool>> {
    let layout = layout::<K, V>();
    // A removal freezes the record first. Only a change that may remove sets an expiry.
    if C::REMOVES || !takes_changes(core, tools) {
        return None;
    }
    let newest = changeable(core, layout, found, tools.guard)?;
    let changed = match V::WIDTH.filter(|_| layout.value_is_word()) {
        Some(width) => modify_word::<K, V, C>(core, newest, (change, width))?,
        None => modify_bytes::<K, V, C>(core, (found, newest), change, tools)?,
    };
    match changed {
        // Another operation was faster: the change is computed again.
        Ok(Some(false)) => None,
        Ok(wrote) => {
            count_change(tools, Counter::Modifies);
            Some(Ok(wrote.is_some()))
        }
        Err(error) => Some(Err(error)),
    }
}

/// Modifies a value of one word, of which `width` bytes count. Returns `None` if it has computed
/// nothing, and `Some(false)` in the result if another operation was faster.
#[inline(always)]
fn modify_word<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    Newest { record, info }: Newest<'_>,
    (change, width): (&mut C, usize),
) -> Option<Result<Option<bool>>> {
    let layout = layout::<K, V>();
    if has_expired(core, layout, record.expiry(layout)) {
        return None;
    }
    core.stamp_observed(record, info);
    let word = record.value_word(layout);
    // Acquire: pairs with the Release of the writer that stored the value.
    let current = word.load(Ordering::Acquire);
    Some(change.apply(
        Some(&current.to_le_bytes()[..width]),
        #[inline(always)]
        |new| {
            let new = new.expect("the change removes nothing");
            check_value::<V>(core, new)?;
            // Release: pairs with the Acquire of readers.
            let new = word_of(new);
            let swap = word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed);
            Ok(swap.is_ok())
        },
    ))
}

/// As [`modify_word`], for a value of bytes.
#[inline(always)]
fn modify_bytes<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    ((key, newest), Newest { record, info }): ((&[u8], Address), Newest<'_>),
    change: &mut C,
    tools: &mut OperationContext<'_>,
) -> Option<Result<Option<bool>>> {
    let layout = layout::<K, V>();
    if info.is_in_pieces(layout) {
        return None;
    }
    let OperationContext { guard, counters, .. } = *tools;
    let copied = record.copy_short(layout, tools.scratch.whole())?;
    let ShortValue { bytes, state, expiry } = copied;
    // A deletion after this look changes the state.
    if record.info().is_tombstone() || has_expired(core, layout, expiry) {
        return None;
    }
    let observed = (record, state);
    Some(change.apply(
        Some(bytes),
        #[inline(always)]
        |new| {
            let new = new.expect("the change removes nothing");
            check_value::<V>(core, new)?;
            if layout.value_width.is_some() || new.len() <= record.extents(layout).capacity {
                return Ok(overwrite_observed(core, observed, layout, (new, expiry)));
            }
            let new = NewRecord { key, value: new, content: RecordKind::Value, expiry };
            Ok(replace_observed(core, layout, (newest, observed), new, (guard, counters)))
        },
    ))
}

/// Appends a record in front of one that is too short for the new value. Returns false if another
/// operation was faster, and if the record needs more than space at the tail.
#[inline(never)]
fn replace_observed(
    core: TableRef<'_>,
    layout: Layout,
    (newest, (record, state)): (Address, (RecordRef<'_>, ValueState)),
    new: NewRecord<'_>,
    (guard, counters): (&Guard<'_>, &Counters),
) -> bool {
    if is_too_long(core, layout, new.key, new.value) {
        return false;
    }
    let entry = core.index.find(core.table.hasher.hash(new.key));
    let Some(entry) = entry.filter(|entry| entry.address() == newest) else {
        return false;
    };
    let link = || append_in(core, layout, (entry, new), guard, counters);
    matches!(sealed(state, record.state_word(layout), link), Attempt::Done(_))
}
