//! The change of a value of one word in place, if it is a hit.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::operation::attempt::layout;
use crate::store::operation::changes::Change;
use crate::store::operation::upsert::{check_value, word_of};
use crate::store::record::hit::{changeable, count_change, may_hit, takes_changes};
use crate::store::table::TableRef;
use kvick_io::sync::atomic::Ordering;

/// Modifies the value of `key`. Returns whether the change wrote.
#[inline(always)]
pub(in crate::store) fn modify_hit<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    found: (&[u8], Address),
    change: &mut C,
    tools: &OperationContext<'_>,
) -> Option<Result<bool>> {
    let (layout, width) = (layout::<K, V>(), V::WIDTH?);
    // A removal freezes the record first.
    if !may_hit(layout) || C::REMOVES || !takes_changes(core, tools) {
        return None;
    }
    let word = changeable(core, layout, found, tools)?.value_word(layout);
    // Acquire: pairs with the Release of the writer that stored the value.
    let current = word.load(Ordering::Acquire);
    let changed = change.apply(
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
    );
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
