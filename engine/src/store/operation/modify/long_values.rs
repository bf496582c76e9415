//! New values of a modification that do not fit in a page.

use crate::codec::Value;
use crate::hybrid_log::Pages;
use crate::record::{ExpiryWord, NewRecord, RecordKind};
use crate::store::context::OperationContext;
use crate::store::operation::attempt::{Attempt, Blocked, EntrySnapshot, LongValue};
use crate::store::operation::changes::Change;
use crate::store::operation::pending::Scattered;
use crate::store::table::TableRef;
use crate::store::wal::KeyChange;

/// Returns the step of a value, computed from `version`, that does not fit in a page.
pub(super) fn too_long<V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    version: EntrySnapshot,
    value: &[u8],
) -> Attempt<bool> {
    // The write-ahead log gets them in the end.
    let is_answer = C::ANSWERS_NEW || core.store.wal.is_some();
    let long = LongValue { version, bytes: value.to_vec(), is_answer };
    Attempt::Blocked(Blocked::NeedsOverflow(Box::new(long)))
}

/// Describes the change to a value that is stored in pieces. Only a write-ahead log needs its
/// bytes.
pub(super) fn long_put<'v>(
    core: TableRef<'_>,
    value: Option<&'v [u8]>,
    expiry: ExpiryWord,
) -> KeyChange<'v> {
    assert!(value.is_some() || core.store.wal.is_none(), "the bytes are kept for the log");
    KeyChange::Put(value.unwrap_or_default(), expiry)
}

/// Returns the record of a value that is already stored in pieces, and the value if it is the
/// answer. An earlier attempt computed it from this very version and found it too long.
pub(super) fn scattered<'r>(
    pages: &Pages,
    tools: &OperationContext<'r>,
    version: EntrySnapshot,
    (key, expiry): (&'r [u8], ExpiryWord),
) -> Option<(NewRecord<'r>, Option<&'r [u8]>)> {
    let Scattered { pieces, answer, .. } =
        tools.pending.scattered_for(version, pages, tools.guard)?;
    let record = NewRecord { key, value: pieces, content: RecordKind::InPieces, expiry };
    Some((record, answer.as_deref()))
}
