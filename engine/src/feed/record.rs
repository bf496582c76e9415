//! A record of the log, for users.

use super::Address;
use std::time::SystemTime;

/// A record of the log of a store: a change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LogRecord<K, V> {
    /// The address of the record.
    pub address: Address,
    /// The address after the record. A reader that begins there shows the records that follow.
    pub next: Address,
    /// The number of the table: see [`database::Table`](crate::database::Table).
    pub table: u8,
    /// The key.
    pub key: K,
    /// The value, or what the record has in its place.
    pub content: Content<V>,
    /// The time at which the value expires, if it does. Nothing is appended at that time.
    pub expires_at: Option<SystemTime>,
    /// Whether the record never counted: a writer appended it, and another writer of the key was
    /// faster. Only [`Database::log_records`](crate::Database::log_records) shows such records.
    pub is_invalid: bool,
}

/// The content of a [`LogRecord`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Content<V> {
    /// The value of the key.
    Value(V),
    /// The key is deleted.
    Tombstone,
    /// The value was stored in pieces, and some of them are gone. So it is not the present value
    /// any more: a later record has the key, or the value has expired or its table was dropped.
    Gone,
    /// The value is stored in pieces. Only
    /// [`Database::log_records`](crate::Database::log_records) shows this.
    InPieces {
        /// The bytes of the value.
        bytes: u64,
        /// The addresses of the pieces, in order. They are before the record.
        pieces: Vec<Address>,
    },
    /// A piece of the value of a later record of the key. Only
    /// [`Database::log_records`](crate::Database::log_records) shows this.
    Piece(Vec<u8>),
}

impl<V> Content<V> {
    /// Returns the value, if the record has it as a whole.
    pub fn into_value(self) -> Option<V> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Returns whether the record deletes its key.
    pub fn is_tombstone(&self) -> bool {
        matches!(self, Self::Tombstone)
    }
}
