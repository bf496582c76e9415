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
