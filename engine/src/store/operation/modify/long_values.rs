//! New values of a modification that do not fit in a page.

use crate::codec::Value;
use crate::hybrid_log::Pages;
use crate::record::{ExpiryWord, NewRecord, RecordKind};
use crate::store::context::OperationContext;
use crate::store::operation::attempt::{Attempt, Blocked, EntrySnapshot, LongValue};
use crate::store::operation::changes::Change;
use crate::store::operation::pending::Scattered;

/// Returns the step of a value, computed from `version`, that does not fit in a page.
pub(super) fn too_long<V: Value + ?Sized, C: Change<V>>(
    version: EntrySnapshot,
    value: &[u8],
) -> Attempt<bool> {
    let long = LongValue { version, bytes: value.to_vec(), is_answer: C::ANSWERS_NEW };
    Attempt::Blocked(Blocked::NeedsOverflow(Box::new(long)))
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
