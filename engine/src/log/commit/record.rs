//! The record that a commit writes into the log: its number, and the changes of the log since the
//! previous commit.
//!
//! ```text
//!  number 8 | begin 8 | durable 8 | flags 1
//!  cookie:     length 4, bytes
//!  iterators:  count 4, each: name length 2, name, address 8 (0: forgotten)
//!  holes:      count 4, each: start 8, end 8
//! ```
//!
//! Numbers are little endian. The checksum is that of the frame.

use crate::base::address::{ADDRESS_MAX, Address};
use crate::log::truncate::holes::are_apart;

const COMPLETED: u8 = 1;

/// The record of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitRecord {
    pub(crate) number: u64,
    /// Entries below this address are truncated.
    pub(crate) begin: Address,
    /// Everything below this address was durable when the record was made.
    pub(crate) durable: Address,
    /// Whether the log takes no more entries.
    pub(crate) completed: bool,
    pub(crate) cookie: Vec<u8>,
    /// The named iterators that moved or were forgotten.
    pub(crate) iterators: Vec<(String, Option<Address>)>,
    /// The ranges of entries that were truncated at the end. They contain no later entry.
    pub(crate) holes: Vec<[Address; 2]>,
}

impl CommitRecord {
    /// Returns the bytes of an iterator with a name of `name` bytes.
    pub(crate) const fn iterator_bytes(name: usize) -> usize {
        2 + name + 8
    }

    /// Returns the bytes of a record that has only a cookie.
    pub(crate) const fn least_bytes(cookie: usize) -> usize {
        3 * 8 + 1 + 3 * 4 + cookie
    }

    /// Returns the bytes of the record.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.iterators.iter().map(|(name, _)| Self::iterator_bytes(name.len()));
        Self::least_bytes(self.cookie.len())
            + names.sum::<usize>()
            + self.holes.len() * Self::HOLE_BYTES
    }

    /// The bytes of a hole.
    pub(crate) const HOLE_BYTES: usize = 16;

    pub(crate) fn encode(&self) -> Vec<u8> {
        debug_assert!(are_apart(&self.holes), "holes ascend and do not touch: {self:?}");
        let mut bytes = Vec::with_capacity(self.bytes());
        for number in [self.number, self.begin.raw(), self.durable.raw()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.push(if self.completed { COMPLETED } else { 0 });
        put_count(&mut bytes, self.cookie.len());
        bytes.extend_from_slice(&self.cookie);
        put_count(&mut bytes, self.iterators.len());
        for (name, address) in &self.iterators {
            let length = u16::try_from(name.len()).expect("names are short");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
            let address = address.unwrap_or(Address::NONE);
            bytes.extend_from_slice(&address.raw().to_le_bytes());
        }
        put_count(&mut bytes, self.holes.len());
        for address in self.holes.iter().flatten() {
            bytes.extend_from_slice(&address.raw().to_le_bytes());
        }
        assert_eq!(bytes.len(), self.bytes(), "a record has the bytes that a draft counts");
        bytes
    }

    /// Decodes a record. Returns `None` if the bytes are no commit record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let number = u64::from_le_bytes(take(&mut rest)?);
        let begin = take_address(&mut rest)?;
        let durable = take_address(&mut rest)?;
        let [flags] = take(&mut rest)?;
        let length = take_count(&mut rest)?;
        let (cookie, mut rest) = rest.split_at_checked(length)?;
        let iterators = (0..take_count(&mut rest)?)
            .map(|_| {
                let length = u16::from_le_bytes(take(&mut rest)?);
                let (name, behind) = rest.split_at_checked(length.into())?;
                rest = behind;
                let address = take_address(&mut rest)?;
                let name = std::str::from_utf8(name).ok()?.to_owned();
                Some((name, Some(address).filter(|address| *address != Address::NONE)))
            })
            .collect::<Option<_>>()?;
        let holes = (0..take_count(&mut rest)?)
            .map(|_| Some([take_address(&mut rest)?, take_address(&mut rest)?]))
            .collect::<Option<_>>()?;
        let completed = flags == COMPLETED;
        let is_sound = rest.is_empty() && flags <= COMPLETED;
        let cookie = cookie.to_vec();
        is_sound.then_some(Self { number, begin, durable, completed, cookie, iterators, holes })
    }
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a record is within a page");
    bytes.extend_from_slice(&count.to_le_bytes());
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let count = u32::from_le_bytes(take(rest)?);
    usize::try_from(count).ok()
}

fn take_address(rest: &mut &[u8]) -> Option<Address> {
    let raw = u64::from_le_bytes(take(rest)?);
    (raw <= ADDRESS_MAX).then(|| Address::new(raw))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn record() -> CommitRecord {
        CommitRecord {
            number: 7,
            begin: Address::FIRST,
            durable: Address::new(504),
            completed: false,
            cookie: b"cookie".to_vec(),
            iterators: vec![
                ("worker".to_owned(), Some(Address::new(88))),
                ("gone".to_owned(), None),
            ],
            holes: vec![[Address::new(96), Address::new(200)]],
        }
    }

    #[test]
    fn comes_back_and_says_how_long_it_is() {
        let record = record();
        let bytes = record.encode();
        assert_eq!(CommitRecord::decode(&bytes), Some(record.clone()));
        let names: usize =
            record.iterators.iter().map(|(name, _)| CommitRecord::iterator_bytes(name.len())).sum();
        let least = CommitRecord::least_bytes(record.cookie.len());
        assert_eq!(bytes.len(), least + names + CommitRecord::HOLE_BYTES);
    }

    #[test]
    fn what_is_cut_or_too_long_is_no_record() {
        let bytes = record().encode();
        for length in 0..bytes.len() {
            assert_eq!(CommitRecord::decode(&bytes[..length]), None, "{length}");
        }
        assert_eq!(CommitRecord::decode(&[&bytes[..], &[0]].concat()), None);
    }
}
