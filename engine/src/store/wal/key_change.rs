//! Changes of keys, as the write-ahead log has them, and those of a batch as bytes.
//!
//! ```text
//! kind 1 | 0 0 0 | key length 4 | value length 4 | key | value
//! ```

use crate::record::ExpiryWord;

/// A change of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyChange<'e> {
    /// The key has this value, until it expires.
    Put(&'e [u8], ExpiryWord),
    /// The key is absent.
    Remove,
    /// The value of the key expires at another time.
    Expire(ExpiryWord),
}

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// Appends a change of a key. `None` removes it.
pub(crate) fn append_change(bytes: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    bytes.extend([if value.is_some() { PUT } else { REMOVE }, 0, 0, 0]);
    for text in [key, value.unwrap_or_default()] {
        let length = u32::try_from(text.len()).expect("checked against the limits of the table");
        bytes.extend(length.to_le_bytes());
    }
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value.unwrap_or_default());
}

/// The changes of a batch, in order. It ends early at bytes that are no change.
#[derive(Clone, Debug)]
pub(crate) struct BatchChanges<'b>(&'b [u8]);

impl<'b> BatchChanges<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes after the changes so far.
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.0
    }
}

impl<'b> Iterator for BatchChanges<'b> {
    type Item = (&'b [u8], KeyChange<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_at_checked(12)?;
        let length = |at: usize| {
            let bytes = head[at..at + 4].try_into().expect("4 bytes");
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let (key, rest) = rest.split_at_checked(length(4)?)?;
        let (value, rest) = rest.split_at_checked(length(8)?)?;
        let change = match (head[0], value) {
            (PUT, value) => KeyChange::Put(value, ExpiryWord::NEVER),
            (REMOVE, []) => KeyChange::Remove,
            _ => return None,
        };
        self.0 = rest;
        Some((key, change))
    }
}
