//! The read of a value, if it is a hit.

use super::Reader;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::hybrid_log::Region;
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::operation::attempt::layout;
use crate::store::record::hit::{Newest, count_read, has_expired, newest_record};
use crate::store::table::TableRef;
use kvick_io::sync::atomic::Ordering;

/// Reads the value of `key`.
#[inline(always)]
pub(in crate::store) fn read_hit<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    core: TableRef<'_>,
    found: (&[u8], Address),
    reader: &mut R,
    tools: &mut OperationContext<'_>,
) -> Option<Result<Option<R::Output>>> {
    if !R::LOOKS || !R::COUNTS {
        return None;
    }
    match V::WIDTH.filter(|_| layout::<K, V>().value_is_word()) {
        Some(width) => read_word::<K, V, R>(core, found, (reader, width), tools),
        None => read_bytes::<K, V, R>(core, found, reader, tools),
    }
}

/// Reads a value of one word, of which `width` bytes count.
#[inline(always)]
fn read_word<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    core: TableRef<'_>,
    (key, newest): (&[u8], Address),
    (reader, width): (&mut R, usize),
    tools: &OperationContext<'_>,
) -> Option<Result<Option<R::Output>>> {
    let (layout, pages) = (layout::<K, V>(), core.store.log.pages());
    let place = if pages.is_mutable(newest, tools.guard) {
        Counter::Mutable
    } else if newest < pages.head(tools.guard) || core.store.config.cache {
        // It is not in memory, or a cache moves it to the front.
        return None;
    } else {
        Counter::ReadOnly
    };
    let Newest { record, info } = newest_record(core, layout, (key, newest), tools.guard)?;
    if info.is_tombstone() || has_expired(core, layout, record.expiry(layout)) {
        return None;
    }
    // Acquire: pairs with the Release of the writer that stored the value.
    let word = record.value_word(layout).load(Ordering::Acquire).to_le_bytes();
    Some(reader.read(&word[..width]).map(|value| {
        count_read(tools.counters, place);
        Some(value)
    }))
}

/// Reads a value of bytes: a copy of one that may change, and the bytes of the record otherwise.
#[inline(always)]
fn read_bytes<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    core: TableRef<'_>,
    (key, newest): (&[u8], Address),
    reader: &mut R,
    tools: &mut OperationContext<'_>,
) -> Option<Result<Option<R::Output>>> {
    let (layout, pages) = (layout::<K, V>(), core.store.log.pages());
    let place = match pages.region(newest, tools.guard) {
        Region::Mutable => Counter::Mutable,
        // A cache moves it to the front.
        Region::ReadOnly if !core.store.config.cache => Counter::ReadOnly,
        _ => return None,
    };
    let Newest { record, info } = newest_record(core, layout, (key, newest), tools.guard)?;
    if info.is_tombstone() || info.is_in_pieces(layout) {
        return None;
    }
    let (value, expiry) = match place {
        Counter::Mutable => {
            let copied = record.copy_short(layout, tools.scratch.whole())?;
            (copied.bytes, copied.expiry)
        }
        _ => (pages.immutable_value(layout, newest, tools.guard), record.expiry(layout)),
    };
    if has_expired(core, layout, expiry) {
        return None;
    }
    Some(reader.read(value).map(|value| {
        count_read(tools.counters, place);
        Some(value)
    }))
}
