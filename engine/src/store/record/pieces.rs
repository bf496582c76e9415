//! The list of the pieces of a long value.

use crate::base::address::{ADDRESS_MASK, Address};
use crate::record::WORD;

/// Returns the addresses of the pieces in a list.
pub(in crate::store) fn pieces_of(list: &[u8]) -> impl Iterator<Item = Address> {
    let words = list.chunks_exact(WORD).skip(1);
    words.map(|word| {
        let raw = u64::from_le_bytes(word.try_into().expect("chunks of 8 bytes"));
        Address::new(raw & ADDRESS_MASK)
    })
}

/// Returns whether a value is *cut*: a piece is below `begin`, where the log began when `list` was
/// found as the newest record of its key. Compaction copies pieces of a live value before that, so
/// nothing has the value any more, and the key is absent. A cache has dropped the piece, or the
/// value has expired and lives on only for a task that knows no time.
pub(in crate::store) fn is_cut(list: &[u8], begin: Address) -> bool {
    pieces_of(list).any(|piece| piece < begin)
}
