//! A record that was read from a device: bytes that are checked and final.

use super::{ExpiryWord, Extents, Layout, RecordInfo, ValueState, WORD, unpack, word_in};
use crate::base::address::Address;
use kvick_io::AlignedBuf;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// The bytes of one record, which begin at `start` of a buffer.
#[derive(Debug)]
pub(crate) struct StoredRecord {
    address: Address,
    bytes: StoredBytes,
    start: usize,
}

/// A buffer with the bytes of a record, aligned to words.
#[derive(Debug)]
enum StoredBytes {
    /// As the device has filled it.
    Read(AlignedBuf),
    /// A copy that others share.
    Shared(Arc<[u64]>),
}

impl StoredRecord {
    /// Creates the record at `address`. `bytes[start..]` holds at least its header.
    pub(crate) fn new(address: Address, bytes: AlignedBuf, start: usize) -> Self {
        assert_eq!(start % WORD, 0, "records are aligned");
        assert!(start + WORD <= bytes.len(), "a header is there");
        Self { address, bytes: StoredBytes::Read(bytes), start }
    }

    /// Creates the record at `address`. `words[start..]` holds the whole record.
    pub(crate) fn shared(address: Address, words: Arc<[u64]>, start: usize) -> Self {
        assert!(start < words.len(), "a header is there");
        Self { address, bytes: StoredBytes::Shared(words), start: start * WORD }
    }

    pub(crate) fn address(&self) -> Address {
        self.address
    }

    pub(crate) fn info(&self) -> RecordInfo {
        RecordInfo::from_raw(self.word(0))
    }

    /// Returns the bytes of the whole record whose header begins `bytes`, or `None` if none begins
    /// there.
    pub(crate) fn header(bytes: &[u8], layout: Layout) -> Option<usize> {
        let is_present =
            bytes.len() >= layout.header_bytes() && RecordInfo::first_of(bytes).is_present();
        is_present.then(|| layout.record_bytes(extents_in(bytes, layout)))
    }

    pub(crate) fn key(&self, layout: Layout) -> &[u8] {
        Self::key_in(self.record(), layout)
    }

    /// Returns the key of the record that `bytes` holds as a whole.
    pub(crate) fn key_in(bytes: &[u8], layout: Layout) -> &[u8] {
        &bytes[layout.key_index() * WORD..][..extents_in(bytes, layout).key]
    }

    /// Returns whether the record that begins `bytes` has this key. Returns `None` if `bytes` ends
    /// before that is known.
    pub(crate) fn has_key(bytes: &[u8], layout: Layout, key: &[u8]) -> Option<bool> {
        let (_header, rest) = bytes.split_at_checked(layout.header_bytes())?;
        if extents_in(bytes, layout).key != key.len() {
            return Some(false);
        }
        rest.get(..key.len()).map(|found| found == key)
    }

    /// Returns whether the value of the record that `bytes` holds as a whole is within the record.
    pub(crate) fn holds_its_value(bytes: &[u8], layout: Layout) -> bool {
        layout.value_is_word() || {
            let state = ValueState::from_raw(word_in(bytes, layout.state_index()));
            state.length() <= extents_in(bytes, layout).capacity
        }
    }

    /// Returns the expiry of the record. It never expires in a layout without expiry.
    pub(crate) fn expiry(&self, layout: Layout) -> ExpiryWord {
        Self::expiry_in(self.record(), layout)
    }

    /// As [`expiry`](Self::expiry), of the record that `bytes` holds as a whole.
    pub(crate) fn expiry_in(bytes: &[u8], layout: Layout) -> ExpiryWord {
        if layout.has_expiry {
            ExpiryWord::from_word(word_in(bytes, layout.expiry_index()))
        } else {
            ExpiryWord::NEVER
        }
    }

    /// Returns whether the word of the expiry is as it is written, if the layout has it.
    pub(crate) fn has_sound_expiry(bytes: &[u8], layout: Layout) -> bool {
        !layout.has_expiry
            || word_in(bytes, layout.expiry_index()) == Self::expiry_in(bytes, layout).word()
    }

    pub(crate) fn value(&self, layout: Layout) -> &[u8] {
        Self::value_in(self.record(), layout)
    }

    /// Returns the value of the record that `bytes` holds as a whole.
    pub(crate) fn value_in(bytes: &[u8], layout: Layout) -> &[u8] {
        let extents = extents_in(bytes, layout);
        let length = match layout.value_width {
            Some(width) if layout.value_is_word() => width,
            _ => ValueState::from_raw(word_in(bytes, layout.state_index())).length(),
        };
        assert!(length <= extents.capacity, "checksummed bytes hold a sound length");
        &bytes[layout.value_index(extents.key) * WORD..][..length]
    }

    fn word(&self, index: usize) -> u64 {
        word_in(self.record(), index)
    }

    /// Returns the number of words of the whole record.
    pub(crate) fn words(&self, layout: Layout) -> usize {
        Self::header(self.record(), layout).expect("it is a whole record") / WORD
    }

    /// Returns the bytes from the header of the record on.
    pub(crate) fn record(&self) -> &[u8] {
        let bytes = match &self.bytes {
            StoredBytes::Read(bytes) => bytes,
            StoredBytes::Shared(words) => words.as_bytes(),
        };
        &bytes[self.start..]
    }
}

fn extents_in(record: &[u8], layout: Layout) -> Extents {
    if layout.has_extents() {
        unpack(word_in(record, layout.extents_index()))
    } else {
        layout.extents(0, 0)
    }
}
