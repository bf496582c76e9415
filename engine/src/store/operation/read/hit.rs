//! The read of a value of one word, if it is a hit.

use super::Reader;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::operation::attempt::layout;
use crate::store::record::hit::{Newest, count_read, may_hit, newest_record};
use crate::store::table::TableRef;
use kvick_io::sync::atomic::Ordering;

/// Reads the value of `key`.
#[inline(always)]
pub(in crate::store) fn read_hit<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    core: TableRef<'_>,
    (key, newest): (&[u8], Address),
    reader: &mut R,
    tools: &OperationContext<'_>,
) -> Option<Result<Option<R::Output>>> {
    let (layout, width) = (layout::<K, V>(), V::WIDTH?);
    if !may_hit(layout) || !R::LOOKS || !R::COUNTS {
        return None;
    }
    let pages = core.store.log.pages();
    let place = if pages.is_mutable(newest, tools.guard) {
        Counter::Mutable
    } else if newest < pages.head(tools.guard) || core.store.config.cache {
        // It is not in memory, or a cache moves it to the front.
        return None;
    } else {
        Counter::ReadOnly
    };
    let Newest { record, info } = newest_record(core, layout, (key, newest), tools.guard)?;
    if info.is_tombstone() {
        return None;
    }
    // Acquire: pairs with the Release of the writer that stored the value.
    let word = record.value_word(layout).load(Ordering::Acquire).to_le_bytes();
    Some(reader.read(&word[..width]).map(|value| {
        count_read(tools.counters, place);
        Some(value)
    }))
}
