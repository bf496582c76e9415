//! An entry of the write-ahead log.
//!
//! ```text
//! +------+-------+-------+---+------------+---------+----------+-----+-------+
//! | kind | table | flags | 0 | key length | session | expiry 4 | key | value |
//! +------+-------+-------+---+------------+---------+----------+-----+-------+
//! session: id 16, serial 8, count 4 of excluded ranges, each 8 + 8, length 4 and name
//! ```
//!
//! ```text
//! batch, table, flags, 0 | bytes of changes | session | offset: serial 8, count 8, length 4, bytes
//!     | changes
//! ```
//!
//! Numbers are little-endian. Session and expiry are there if their flag is. An entry of zeros is a
//! change that did not take effect.
//!
//! A change has the serial number of its operation, and the numbers that the session has put off
//! since its last entry. All others up to the highest number are done. The first change of a
//! session with a name has the name. The entry of a session has a whole commit point, and its name
//! and its offset in place of a key. A batch has all of its changes, and the commit point after it.

use super::key_change::{BatchChanges, KeyChange};
use crate::record::{ExpiryWord, TableNumber};
use crate::store::sessions::identity::{CommitPoint, Offset, SessionId};
use crate::store::sessions::serials::Serials;

const VOID: u8 = 0;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
const EXPIRE: u8 = 3;
const SESSION: u8 = 4;
const BATCH: u8 = 5;

const HAS_SESSION: u8 = 1;
const HAS_EXPIRY: u8 = 2;
/// A session with a name begins.
const BEGINS: u8 = 4;
/// The change has the name of its session.
const HAS_NAME: u8 = 8;

/// The operation of a session that has made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionProgress {
    pub(crate) id: SessionId,
    pub(crate) serial: u64,
    /// The numbers without an operation, from the last entry of the session on.
    pub(crate) excluded: Vec<[u64; 2]>,
    /// The name of the session, in its first entry.
    pub(crate) name: Option<String>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WalEntry<'e> {
    /// Nothing has changed.
    Void,
    Change {
        table: TableNumber,
        key: &'e [u8],
        change: KeyChange<'e>,
        /// The session that has made the change, if it has an identity.
        session: Option<SessionProgress>,
    },
    /// The state of a session. It `begins` if no operation of an earlier session with its name
    /// counts.
    Session { id: SessionId, point: CommitPoint, begins: bool },
    /// All changes of a batch, and the state of its session after it.
    Batch {
        table: TableNumber,
        id: SessionId,
        point: CommitPoint,
        begins: bool,
        /// In the form of [`BatchChanges`].
        changes: &'e [u8],
    },
}

impl<'e> WalEntry<'e> {
    /// Returns the encoded entry.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    /// Appends the encoded entry to `bytes`.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Void => bytes.resize(bytes.len() + 8, VOID),
            Self::Change { table, key, change, session } => {
                let (kind, expiry, value): (u8, ExpiryWord, &[u8]) = match change {
                    KeyChange::Put(value, expiry) => (PUT, *expiry, value),
                    KeyChange::Remove => (REMOVE, ExpiryWord::NEVER, &[]),
                    KeyChange::Expire(expiry) => (EXPIRE, *expiry, &[]),
                };
                let expiry = expiry.second();
                let session_flag = session.as_ref().map_or(0, |_| HAS_SESSION);
                let name = session.as_ref().and_then(|session| session.name.as_deref());
                let flags =
                    session_flag | expiry.map_or(0, |_| HAS_EXPIRY) | name.map_or(0, |_| HAS_NAME);
                bytes.extend([kind, table.raw(), flags, 0]);
                bytes.extend(length_of(key));
                if let Some(SessionProgress { id, serial, excluded, .. }) = session {
                    encode_progress(bytes, *id, *serial, excluded.iter().copied());
                }
                if let Some(name) = name {
                    encode_name(bytes, name);
                }
                bytes.extend(expiry.iter().flat_map(|second| second.to_le_bytes()));
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(value);
            }
            Self::Session { id, point, begins } => {
                let flags = HAS_SESSION | if *begins { BEGINS } else { 0 };
                bytes.extend([SESSION, 0, flags, 0, 0, 0, 0, 0]);
                encode_state(bytes, *id, point);
                if let Some(offset) = &point.offset {
                    encode_numbers(bytes, offset);
                    bytes.extend_from_slice(&offset.bytes);
                }
            }
            Self::Batch { table, id, point, begins, changes } => {
                let flags = HAS_SESSION | if *begins { BEGINS } else { 0 };
                bytes.extend([BATCH, table.raw(), flags, 0]);
                bytes.extend(length_of(changes));
                encode_state(bytes, *id, point);
                let offset = point.offset.as_ref().expect("a batch has an offset");
                encode_numbers(bytes, offset);
                bytes.extend(length_of(&offset.bytes));
                bytes.extend_from_slice(&offset.bytes);
                bytes.extend_from_slice(changes);
            }
        }
    }

    /// Returns the entry in `bytes`; `None` if they are no entry.
    pub(super) fn decode(bytes: &'e [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let [kind, table, flags, _] = rest.array()?;
        let key_length = rest.length()?;
        if kind == VOID {
            return bytes.iter().all(|byte| *byte == 0).then_some(Self::Void);
        }
        let mut session = if flags & HAS_SESSION == 0 { None } else { Some(rest.progress()?) };
        if kind == SESSION {
            return rest.session(session?, flags & BEGINS != 0);
        }
        if kind == BATCH {
            return rest.batch((table, key_length), session?, flags & BEGINS != 0);
        }
        if flags & HAS_NAME != 0 {
            session.as_mut()?.name = Some(rest.name()?);
        }
        let expiry = if flags & HAS_EXPIRY == 0 {
            ExpiryWord::NEVER
        } else {
            ExpiryWord::from_word(u32::from_le_bytes(rest.array()?).into())
        };
        let key = rest.take(key_length)?;
        let change = match (kind, rest.0) {
            (PUT, value) => KeyChange::Put(value, expiry),
            (REMOVE, []) => KeyChange::Remove,
            (EXPIRE, []) => KeyChange::Expire(expiry),
            _ => return None,
        };
        Some(Self::Change { table: TableNumber::new(table)?, key, change, session })
    }
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("keys and names are short").to_le_bytes()
}

fn encode_name(bytes: &mut Vec<u8>, name: &str) {
    bytes.extend(length_of(name.as_bytes()));
    bytes.extend_from_slice(name.as_bytes());
}

/// Appends a session and its commit point, without the offset.
fn encode_state(bytes: &mut Vec<u8>, id: SessionId, point: &CommitPoint) {
    let excluded = point.excluded.ranges().map(|range| [*range.start(), *range.end()]);
    encode_progress(bytes, id, point.until, excluded);
    encode_name(bytes, point.name.as_deref().unwrap_or_default());
}

/// Appends the numbers of an offset.
fn encode_numbers(bytes: &mut Vec<u8>, offset: &Offset) {
    bytes.extend(offset.serial.to_le_bytes());
    bytes.extend(offset.count.to_le_bytes());
}

fn encode_progress(
    bytes: &mut Vec<u8>,
    id: SessionId,
    serial: u64,
    excluded: impl IntoIterator<Item = [u64; 2]>,
) {
    bytes.extend(id.to_bytes());
    bytes.extend(serial.to_le_bytes());
    let (at, mut count) = (bytes.len(), 0_u32);
    bytes.extend(count.to_le_bytes());
    for range in excluded {
        bytes.extend(range.iter().flat_map(|number| number.to_le_bytes()));
        count += 1;
    }
    bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
}

/// The bytes of an entry that are not decoded yet.
struct Rest<'e>(&'e [u8]);

impl<'e> Rest<'e> {
    fn take(&mut self, length: usize) -> Option<&'e [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn progress(&mut self) -> Option<SessionProgress> {
        let id = SessionId::from_bytes(self.array()?);
        let (serial, count) = (self.number()?, self.length()?);
        let mut excluded = Vec::new();
        for _ in 0..count {
            excluded.push([self.number()?, self.number()?]);
        }
        Some(SessionProgress { id, serial, excluded, name: None })
    }

    fn name(&mut self) -> Option<String> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok().map(str::to_owned)
    }

    /// Returns the session of a commit point, and that, without the offset.
    fn state(&mut self, progress: SessionProgress) -> Option<(SessionId, CommitPoint)> {
        let SessionProgress { id, serial: until, excluded, .. } = progress;
        let excluded = Serials::try_from(excluded).ok()?;
        let name = Some(self.name()?).filter(|name| !name.is_empty());
        Some((id, CommitPoint { until, excluded, version: 0, name, offset: None }))
    }

    fn session(mut self, progress: SessionProgress, begins: bool) -> Option<WalEntry<'e>> {
        let (id, mut point) = self.state(progress)?;
        if !self.0.is_empty() {
            let (serial, count) = (self.number()?, self.number()?);
            point.offset = Some(Offset { bytes: self.0.to_vec(), serial, count });
        }
        point.is_sound().then_some(WalEntry::Session { id, point, begins })
    }

    fn batch(
        mut self,
        (table, length): (u8, usize),
        progress: SessionProgress,
        begins: bool,
    ) -> Option<WalEntry<'e>> {
        let (id, mut point) = self.state(progress)?;
        let (serial, count, bytes) = (self.number()?, self.number()?, self.length()?);
        let bytes = self.take(bytes)?.to_vec();
        point.offset = Some(Offset { bytes, serial, count });
        let mut changes = BatchChanges::new(self.0);
        changes.by_ref().for_each(drop);
        let is_sound = self.0.len() == length && changes.rest().is_empty() && point.is_sound();
        let table = TableNumber::new(table)?;
        is_sound.then_some(WalEntry::Batch { table, id, point, begins, changes: self.0 })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A value under `key`, and the removal of `k`.
    const CHANGES: &[u8] = b"\x01\0\0\0\x03\0\0\0\x05\0\0\0keyvalue\x02\0\0\0\x01\0\0\0\0\0\0\0k";

    fn entries() -> Vec<WalEntry<'static>> {
        let (id, table) = (SessionId::new(7, 9), TableNumber::new(5).expect("small"));
        let ranges = vec![[2, 3], [5, 5]];
        let excluded = ranges.clone();
        let named = Some("partition".to_owned());
        let session = Some(SessionProgress { id, serial: 8, excluded, name: named });
        let excluded = Serials::try_from(ranges).expect("ranges");
        let offset = Some(Offset { bytes: b"12".to_vec(), serial: 1, count: 4 });
        let name = Some("partition".to_owned());
        let point = CommitPoint { until: 8, excluded, version: 0, name, offset };
        let offset = Some(Offset { bytes: b"13".to_vec(), serial: 8, count: 5 });
        let batched = CommitPoint { until: 8, offset, ..CommitPoint::default() };
        let expiry = ExpiryWord::from_word(1_700_000_000);
        let change = |change, session| WalEntry::Change { table, key: b"key", change, session };
        vec![
            WalEntry::Void,
            change(KeyChange::Put(b"a value", ExpiryWord::NEVER), None),
            change(KeyChange::Put(b"", expiry), session.clone()),
            change(KeyChange::Remove, session),
            change(KeyChange::Expire(expiry), None),
            change(KeyChange::Expire(ExpiryWord::NEVER), None),
            WalEntry::Session { id, point, begins: false },
            WalEntry::Session { id, point: CommitPoint::default(), begins: true },
            WalEntry::Batch { table, id, point: batched, begins: true, changes: CHANGES },
        ]
    }

    #[test]
    fn entries_come_back() {
        for entry in entries() {
            let bytes = entry.to_bytes();
            assert_eq!(WalEntry::decode(&bytes), Some(entry));
        }
        assert_eq!(WalEntry::decode(&[0; 100]), Some(WalEntry::Void), "of any length");
    }

    /// The head of an entry is refused, apart from a shorter value or offset.
    #[test]
    fn what_is_cut_off_is_another_entry_or_none() {
        for entry in entries() {
            let bytes = entry.to_bytes();
            for length in 0..bytes.len() {
                assert_ne!(WalEntry::decode(&bytes[..length]), Some(entry.clone()), "{length}");
            }
        }
    }
}
