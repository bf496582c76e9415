//! Live records that a scan has found: copies, without a guard.

use super::candidate::Candidate;
use super::pages::Stretch;
use crate::base::address::Address;
use crate::record::{Layout, StoredRecord};

/// Live records. Each is taken once.
#[derive(Debug)]
pub(crate) struct Batch(Content);

#[derive(Debug)]
enum Content {
    /// Records of one stretch, the next one last.
    Records { start: Address, bytes: Vec<u8>, layout: Layout, live: Vec<Address> },
    /// One record whose value was in pieces.
    Long { key: Vec<u8>, value: Vec<u8>, is_taken: bool },
}

/// A key and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveRecord<'b> {
    pub(crate) key: &'b [u8],
    /// The value. Of a value in pieces it is the list of pieces, for a scan that wants no values.
    pub(crate) value: &'b [u8],
}

impl Batch {
    pub(super) fn new(stretch: Stretch, layout: Layout, live: Vec<Address>) -> Self {
        let Stretch { start, bytes, .. } = stretch;
        Self(Content::Records { start, bytes, layout, live })
    }

    pub(super) fn long(candidate: &Candidate<'_>, value: Vec<u8>) -> Self {
        Self(Content::Long { key: candidate.key().to_vec(), value, is_taken: false })
    }

    /// Returns the number of records that were not taken.
    pub(crate) fn left(&self) -> usize {
        match &self.0 {
            Content::Records { live, .. } => live.len(),
            Content::Long { is_taken, .. } => usize::from(!is_taken),
        }
    }

    /// Takes the next record.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<LiveRecord<'_>> {
        match &mut self.0 {
            Content::Records { start, bytes, layout, live } => {
                let within = live.pop()?.raw() - start.raw();
                let record = &bytes[usize::try_from(within).expect("within a page")..];
                let key = StoredRecord::key_in(record, *layout);
                Some(LiveRecord { key, value: StoredRecord::value_in(record, *layout) })
            }
            Content::Long { is_taken: true, .. } => None,
            Content::Long { key, value, is_taken } => {
                *is_taken = true;
                Some(LiveRecord { key, value })
            }
        }
    }
}
