//! Identities and commit points of sessions.

use crate::base::error::{Error, Result};
use crate::base::hash::KeyHasher;
use crate::store::sessions::serials::Serials;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The identity of a session, unique among all sessions that a store ever had.
///
/// Its text has 32 hexadecimal digits, and can be parsed again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SessionId(u128);

/// The operations of a session in a checkpoint: the numbers 1 to `until`, except the numbers in
/// `excluded`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommitPoint {
    /// The highest number of an operation, or 0 if there is none.
    pub until: u64,
    /// Numbers up to `until` of operations that are not in the checkpoint. They belong to keys of
    /// batches of read-modify-writes. Their records were still being read from the device, or the
    /// batch was dropped or failed. The next operations of the session take the numbers of
    /// operations that do not end.
    #[serde(default, skip_serializing_if = "Serials::is_empty")]
    pub excluded: Serials,
    /// The version of the store in which the session last did something. It is the token of the
    /// first checkpoint with this point. It tells abandoned sessions from the others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub version: u64,
    /// The name of a [named](crate::FasterKv::session_named) session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The [offset](crate::Session::set_offset) of the session, if it has set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
}

/// A place in the input of a session, and the operations of the session up to there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Offset {
    /// The bytes that the user has given it.
    #[serde(with = "crate::base::serialized")]
    pub bytes: Vec<u8>,
    /// The number of the last operation before it, or 0.
    pub serial: u64,
    /// The number of offsets that the session has set so far.
    pub count: u64,
}

/// The longest name of a session, in bytes.
pub(crate) const LONGEST_NAME: usize = 128;
/// The longest offset, in bytes.
pub(crate) const LONGEST_OFFSET: usize = 256;
/// The seeds of the halves of the identity of a named session. Files have these identities.
const NAME_SEEDS: [u64; 2] = [0x6b76_6963_6b00_0002, 0x6b76_6963_6b00_0003];

/// Checks the length of an offset.
///
/// # Errors
/// `InvalidArgument` for an offset that is too long.
pub(in crate::store) fn check_offset(bytes: &[u8]) -> Result<()> {
    if bytes.len() > LONGEST_OFFSET {
        let message = format!("an offset of {} bytes: at most {LONGEST_OFFSET}", bytes.len());
        return Err(Error::invalid(message));
    }
    Ok(())
}

/// Returns whether the session has done nothing yet.
fn is_none(version: &u64) -> bool {
    *version == 0
}

impl SessionId {
    /// The lowest identity.
    pub(crate) const LEAST: Self = Self(0);

    /// Returns identity `number` of a life of the store.
    pub(crate) fn new(life: u64, number: u64) -> Self {
        Self(u128::from(life) << 64 | u128::from(number))
    }

    /// Returns the identity of the session with a name, in each store and life.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is empty or too long.
    pub(crate) fn named(name: &str) -> Result<Self> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(Error::invalid(format!(
                "a session name of {} bytes: must have 1 to {LONGEST_NAME}",
                name.len()
            )));
        }
        let [high, low] =
            NAME_SEEDS.map(|seed| u128::from(KeyHasher::new(seed).hash(name.as_bytes()).bits()));
        Ok(Self(high << 64 | low))
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

impl CommitPoint {
    /// Returns whether the operation with this number is in the checkpoint.
    #[must_use]
    pub fn covers(&self, serial: u64) -> bool {
        serial <= self.until && !self.excluded.contains(serial)
    }

    /// Returns whether there is nothing to keep of the session.
    pub(crate) fn is_empty(&self) -> bool {
        self.until == 0 && self.offset.is_none()
    }

    /// Returns whether operations have had all excluded numbers, and whether name and offset can
    /// be those of a session.
    pub(crate) fn is_sound(&self) -> bool {
        let is_had = |range: RangeInclusive<u64>| *range.start() > 0 && *range.end() <= self.until;
        let is_reached = |offset: &Offset| {
            offset.serial <= self.until && offset.count > 0 && offset.bytes.len() <= LONGEST_OFFSET
        };
        let is_name = |name: &String| SessionId::named(name).is_ok();
        let first_excluded = self.excluded.iter().next().unwrap_or(u64::MAX);
        self.excluded.ranges().all(is_had)
            && self.offset.as_ref().is_none_or(|offset| offset.serial < first_excluded)
            && self.offset.as_ref().is_none_or(is_reached)
            && self.name.as_ref().is_none_or(is_name)
    }

    /// Returns whether the point takes more bytes than its numbers.
    pub(crate) fn has_text(&self) -> bool {
        self.name.is_some() || self.offset.is_some()
    }

    /// Returns how many offsets the session had set.
    fn offsets(&self) -> u64 {
        self.offset.as_ref().map_or(0, |offset| offset.count)
    }

    /// Returns whether this point has every operation and the offset of `other`, or a later one.
    pub(crate) fn covers_all_of(&self, other: &Self) -> bool {
        let until = other.until;
        let mut missing = self.excluded.ranges().filter(|range| *range.start() <= until);
        let is_missing_in_other = |range: RangeInclusive<u64>| {
            other.excluded.contains_all(&(*range.start()..=until.min(*range.end())))
        };
        until <= self.until && other.offsets() <= self.offsets() && missing.all(is_missing_in_other)
    }

    /// Returns whether this point of a session is `other` or later. Operations are never undone, so
    /// a later point has more of them.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        let order =
            |point: &Self| (point.until - point.excluded.len(), point.until, point.offsets());
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
        write!(formatter, "Id({self})")
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
