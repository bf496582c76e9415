//! Deltas: the changes of records that an earlier checkpoint has.
//!
//! ```text
//!   address (8) | bytes (8) | the whole record | address | ...
//! ```

use crate::base::address::Address;
use crate::hybrid_log::PagePayload;
use crate::record::WORD;
use std::collections::BTreeMap;

/// The number of bytes in front of each record.
const HEADER: usize = 16;

/// Appends a record to a delta.
pub(in crate::checkpoint) fn append(delta: &mut Vec<u8>, address: Address, record: &[u8]) {
    debug_assert!(
        !record.is_empty() && record.len().is_multiple_of(WORD),
        "a record is whole words: {} bytes at {address:?}",
        record.len()
    );
    delta.extend_from_slice(&address.raw().to_le_bytes());
    delta.extend_from_slice(&(record.len() as u64).to_le_bytes());
    delta.extend_from_slice(record);
    debug_assert_eq!(
        entry(&delta[delta.len() - record.len() - HEADER..]),
        Some((address.raw(), record)),
        "recovery reads the change that is written"
    );
}

/// The newest states of changed records, by address.
#[derive(Debug, Default)]
pub(crate) struct Patches {
    records: BTreeMap<u64, Vec<u8>>,
    /// The beginning of an entry that continues in the next block.
    pending: Vec<u8>,
}

impl Patches {
    /// Adds the next contents of a delta. Later records replace earlier ones.
    pub(crate) fn take_in(&mut self, contents: &[u8]) {
        self.pending.extend_from_slice(contents);
        let mut done = 0;
        while let Some((address, record)) = entry(&self.pending[done..]) {
            done += HEADER + record.len();
            self.records.insert(address, record.to_vec());
        }
        self.pending.drain(..done);
    }

    /// Returns whether the delta ends with a complete entry.
    pub(crate) fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// Copies the changed records into `page`. Pages come in order. A record that begins before the
    /// first page has only its end there. `Err` is the address of a record that extends beyond its
    /// page or file.
    pub(crate) fn apply(&mut self, page: &mut PagePayload) -> Result<(), Address> {
        let (start, end) = (page.start.raw(), page.start.raw() + page.bytes.len() as u64);
        let later = self.records.split_off(&end);
        for (address, record) in std::mem::replace(&mut self.records, later) {
            let skipped = usize::try_from(start.saturating_sub(address)).unwrap_or(usize::MAX);
            let Some(bytes) = record.get(skipped..) else {
                continue;
            };
            let at = usize::try_from(address.max(start) - start).expect("within a page");
            // Records never cross a page, and the files end between records.
            let target = page.bytes.get_mut(at..at + bytes.len());
            target.ok_or(Address::new(address))?.copy_from_slice(bytes);
        }
        Ok(())
    }
}

/// Returns the entry at the front of `bytes`, if it is complete.
fn entry(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let word = |at: usize| {
        let word = bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(word.try_into().expect("8 bytes")))
    };
    let (address, length) = (word(0)?, usize::try_from(word(8)?).ok()?);
    Some((address, bytes.get(HEADER..)?.get(..length)?))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_newest_change_wins_and_pages_are_cut_at_the_front() {
        let (mut older, mut newer) = (Vec::new(), Vec::new());
        append(&mut older, Address::new(96), &[1; 16]);
        append(&mut older, Address::new(200), &[2; 16]);
        append(&mut newer, Address::new(200), &[3; 16]);
        append(&mut newer, Address::new(64), &[4; 8]);
        let mut patches = Patches::default();
        for delta in [older, newer] {
            // The bounds of blocks do not matter.
            delta.chunks(5).for_each(|contents| patches.take_in(contents));
            assert!(patches.is_complete());
        }
        let mut page = PagePayload { start: Address::new(104), bytes: vec![0; 120] };
        patches.apply(&mut page).expect("it fits");
        assert_eq!(page.bytes[..8], [1; 8]);
        assert_eq!(page.bytes[8..96], [0; 88]);
        assert_eq!(page.bytes[96..112], [3; 16]);
        let mut next = PagePayload { start: Address::new(224), bytes: vec![0; 20] };
        patches.apply(&mut next).expect("nothing is left");
        assert_eq!(next.bytes, [0; 20], "the first page has had it");
    }
}
