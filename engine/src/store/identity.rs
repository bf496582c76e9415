//! What a session is called by, and how much of it there is.

use super::serials::Serials;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The identity of a session, unique among all sessions that a store ever had.
///
/// Its text is 32 hexadecimal digits, and parses back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SessionId(u128);

/// How much of a session a checkpoint holds: of the operations with the numbers 1 to `until` all
/// but those in `excluded`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommitPoint {
    /// The highest number that an operation has had; 0 is none.
    pub until: u64,
    /// Numbers below that whose operations are not in it: keys of a batch of read-modify-writes
    /// whose records were still on their way from the device, or that were left undone when the
    /// batch was dropped or failed. The next operations of the session take them.
    #[serde(default, skip_serializing_if = "Serials::is_empty")]
    pub excluded: Serials,
    /// The version of the store in which the session did something last; that is the token of the
    /// first checkpoint that has it. By this a session that was given up is told from the others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub version: u64,
}

/// Of a session that has done nothing yet.
fn is_none(version: &u64) -> bool {
    *version == 0
}

impl SessionId {
    /// None is below it, in their order.
    pub(crate) const LEAST: Self = Self(0);

    /// The `number`th of a life of the store.
    pub(crate) fn new(life: u64, number: u64) -> Self {
        Self(u128::from(life) << 64 | u128::from(number))
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

impl CommitPoint {
    /// Whether the operation with this number is in the checkpoint.
    #[must_use]
    pub fn covers(&self, serial: u64) -> bool {
        serial <= self.until && !self.excluded.contains(serial)
    }

    /// Whether what is excluded are numbers that operations have had.
    pub(crate) fn is_sound(&self) -> bool {
        let is_had = |range: RangeInclusive<u64>| *range.start() > 0 && *range.end() <= self.until;
        self.excluded.ranges().all(is_had)
    }

    /// Whether every operation that `other` has is in this one too.
    pub(crate) fn covers_all_of(&self, other: &Self) -> bool {
        let until = other.until;
        let mut missing = self.excluded.ranges().filter(|range| *range.start() <= until);
        let is_missing_in_other = |range: RangeInclusive<u64>| {
            other.excluded.contains_all(&(*range.start()..=until.min(*range.end())))
        };
        until <= self.until && missing.all(is_missing_in_other)
    }

    /// Whether it is a later point of the same session than `other`, or the same one. What was done
    /// stays done, so the later one has more.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        let order = |point: &Self| (point.until - point.excluded.len(), point.until);
        order(self) >= order(other)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_plain.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| {
            Error::invalid(format!("session id {text:?}: must be 32 hexadecimal digits"))
        })
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SessionId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ids_are_text_and_back() {
        let id = SessionId::new(0x1234, 7);
        assert_eq!(id.to_string().parse::<SessionId>().expect("its own text"), id);
        for text in ["", "12", "+0000000000000000000000000000001", "zz"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
