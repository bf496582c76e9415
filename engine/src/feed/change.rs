//! A change in the write-ahead log, for users.

use super::ChangeToken;
use std::time::SystemTime;

/// A durable change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Change<K, V> {
    /// The place after the change. A reader that begins there shows the changes that follow. The
    /// changes of a [batch](crate::session::WriteBatch) have no place between them: all but the
    /// last one have the place before the batch, and a reader that begins there shows all of it
    /// again.
    pub token: ChangeToken,
    /// The number of the table: see [`database::Table`](crate::database::Table).
    pub table: u8,
    /// The key.
    pub key: K,
    /// The effect on the key.
    pub kind: ChangeKind<V>,
}

/// The effect of a [`Change`] on its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ChangeKind<V> {
    /// The key has this value, whole, whichever operation has set or computed it.
    Upsert {
        /// The value.
        value: V,
        /// The time at which the value expires, if it does.
        expires_at: Option<SystemTime>,
    },
    /// The key is deleted.
    Delete,
    /// The value that the key has expires at this time, or never.
    SetExpiry(Option<SystemTime>),
}

impl<V> ChangeKind<V> {
    /// Returns the new value, if there is one.
    pub fn into_value(self) -> Option<V> {
        match self {
            Self::Upsert { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Returns whether the key is deleted.
    pub fn is_delete(&self) -> bool {
        matches!(self, Self::Delete)
    }
}
