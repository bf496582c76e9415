//! Records: the bytes in the log.
//!
//! A [`RecordRef`] reads a record in a page of memory, word by word and atomically, since other
//! tasks may change it. A [`StoredRecord`] owns the bytes of a record that was read from a device.
//! Both handle bytes only. [`Layout`] describes the positions of the fields.
//!
//! # Invariants
//! 1. A record is complete (extents, key, value, header last) before it is linked into a chain.
//! 2. Its extent never changes; its previous address never changes once it is linked.
//! 3. Value bytes change only in the mutable region: a value of one word by CAS or store, any other
//!    under its [`ValueState`]. The expiry of a value of bytes changes under it too; any other
//!    expiry never changes once the record is linked.

mod expiry;
mod info;
mod layout;
mod layouts;
mod stored;
mod table_number;
mod value_state;

pub(crate) use expiry::ExpiryWord;
pub(crate) use info::{RecordInfo, RecordKind};
pub(crate) use layout::{Extents, HasLayout, Layout, Shape, WORD, words};
pub(crate) use layouts::Layouts;
pub(crate) use stored::StoredRecord;
pub(crate) use table_number::TableNumber;
pub(crate) use value_state::{Contended, ValueState};

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// A record in memory. `words` begins at its header and ends at the end of its page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRef<'g> {
    words: &'g [AtomicU64],
}

/// The contents of a new record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRecord<'b> {
    pub(crate) key: &'b [u8],
    pub(crate) value: &'b [u8],
    pub(crate) content: RecordKind,
    /// The expiry, for tables that have it.
    pub(crate) expiry: ExpiryWord,
}

impl NewRecord<'_> {
    /// Returns the bytes that the record takes in a table with this layout.
    #[inline(always)]
    pub(crate) fn bytes(&self, layout: Layout) -> usize {
        layout.record_bytes(layout.extents(self.key.len(), self.value.len()))
    }
}

/// The copy of a value, with the state and the expiry that belong to it.
pub(crate) struct ShortValue<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) state: ValueState,
    pub(crate) expiry: ExpiryWord,
}

impl<'g> RecordRef<'g> {
    #[inline(always)]
    pub(crate) fn new(words: &'g [AtomicU64]) -> Self {
        Self { words }
    }

    #[inline(always)]
    pub(crate) fn info(self) -> RecordInfo {
        RecordInfo::load(&self.words[0])
    }

    #[inline(always)]
    pub(crate) fn info_word(self) -> &'g AtomicU64 {
        &self.words[0]
    }

    #[inline(always)]
    pub(crate) fn extents(self, layout: Layout) -> Extents {
        if layout.has_extents() {
            // Relaxed: written before the record was linked, which the reader has acquired.
            unpack(self.words[layout.extents_index()].load(Ordering::Relaxed))
        } else {
            layout.extents(0, 0)
        }
    }

    /// Returns whether this record belongs to `key`.
    #[inline(always)]
    pub(crate) fn key_equals(self, layout: Layout, key: &[u8]) -> bool {
        let length = match layout.key_width {
            Some(width) => width,
            None => {
                let length = self.extents(layout).key;
                if length != key.len() {
                    return false;
                }
                length
            }
        };
        debug_assert_eq!(length, key.len(), "keys of a fixed width");
        let stored = &self.words[layout.key_index()..][..words(length)];
        // Relaxed: keys never change once a record is linked.
        if length > 0 && length <= WORD {
            // The usual keys, for which the loop below is much code.
            return stored[0].load(Ordering::Relaxed) == padded_word(&key[..length]);
        }
        let (whole, _rest) = key.as_chunks();
        let are_equal = stored
            .iter()
            .zip(whole)
            .all(|(word, chunk)| word.load(Ordering::Relaxed) == u64::from_le_bytes(*chunk));
        let rest = stored.get(whole.len());
        are_equal && rest.is_none_or(|word| word.load(Ordering::Relaxed) == last_word(key))
    }

    /// Returns the expiry of the record. It never expires in a layout without expiry.
    ///
    /// The expiry of a mutable value of bytes may have changed since its value was read: see
    /// [`copy_with_expiry`](Self::copy_with_expiry).
    #[inline(always)]
    pub(crate) fn expiry(self, layout: Layout) -> ExpiryWord {
        if !layout.has_expiry {
            return ExpiryWord::NEVER;
        }
        // Relaxed: one word, written before the record was linked, or under the lock of its value.
        ExpiryWord::from_word(self.words[layout.expiry_index()].load(Ordering::Relaxed))
    }

    /// Returns the word of the value, in a layout whose values are words.
    #[inline(always)]
    pub(crate) fn value_word(self, layout: Layout) -> &'g AtomicU64 {
        debug_assert!(layout.value_is_word());
        let key = match layout.key_width {
            Some(width) => width,
            None => self.extents(layout).key,
        };
        &self.words[layout.value_index(key)]
    }

    /// Returns the state word of the value, in a layout whose values are not words.
    #[inline]
    pub(crate) fn state_word(self, layout: Layout) -> &'g AtomicU64 {
        debug_assert!(!layout.value_is_word());
        &self.words[layout.state_index()]
    }

    /// Appends the value to `out` unless a writer changes it meanwhile. Returns the state of the
    /// copied value.
    pub(crate) fn copy_value(
        self,
        layout: Layout,
        out: &mut Vec<u8>,
    ) -> Result<ValueState, Contended> {
        let word = self.state_word(layout);
        let state = ValueState::observe(word)?;
        let (start, length) = (out.len(), state.length());
        append_words(self.value_words(layout, length), out);
        out.truncate(start + length);
        if state.is_unchanged(word) {
            Ok(state)
        } else {
            out.truncate(start);
            Err(Contended)
        }
    }

    /// Copies the value into `buffer`. Returns `None` if a writer changes it or its expiry
    /// meanwhile, or if its words are longer than the buffer.
    #[inline(always)]
    pub(crate) fn copy_short<'b>(
        self,
        layout: Layout,
        buffer: &'b mut [u8],
    ) -> Option<ShortValue<'b>> {
        let word = self.state_word(layout);
        let state = ValueState::observe(word).ok()?;
        let value = self.value_words(layout, state.length());
        load_words(value, buffer.get_mut(..value.len() * WORD)?);
        let expiry = self.expiry(layout);
        if !state.is_unchanged(word) {
            return None;
        }
        Some(ShortValue { bytes: buffer.get(..state.length())?, state, expiry })
    }

    /// As [`copy_value`](Self::copy_value), and returns the expiry that belongs to this value.
    #[inline(always)]
    pub(crate) fn copy_with_expiry(
        self,
        layout: Layout,
        out: &mut Vec<u8>,
    ) -> Result<(ValueState, ExpiryWord), Contended> {
        let start = out.len();
        let state = self.copy_value(layout, out)?;
        let expiry = self.expiry(layout);
        if layout.has_expiry && !state.is_unchanged(self.state_word(layout)) {
            out.truncate(start);
            return Err(Contended);
        }
        Ok((state, expiry))
    }

    /// Appends all bytes of the record to `out`, as they are stored, unless a writer changes its
    /// value meanwhile.
    pub(crate) fn copy_whole(self, layout: Layout, out: &mut Vec<u8>) -> Result<(), Contended> {
        let state = match layout.value_is_word() {
            true => None,
            false => Some(ValueState::observe(self.state_word(layout))?),
        };
        let start = out.len();
        let length = layout.record_bytes(self.extents(layout));
        // The caller has acquired the header.
        append_words(&self.words[..words(length)], out);
        if state.is_some_and(|state| !state.is_unchanged(self.state_word(layout))) {
            out.truncate(start);
            return Err(Contended);
        }
        Ok(())
    }

    /// Returns the words and length of the value; final only in an immutable record.
    pub(crate) fn final_value(self, layout: Layout) -> (&'g [AtomicU64], usize) {
        let state = ValueState::from_raw(self.state_word(layout).load(Ordering::Acquire));
        (self.value_words(layout, state.length()), state.length())
    }

    /// Overwrites the value of a record that the caller has locked.
    pub(crate) fn write_value(self, layout: Layout, value: &[u8]) {
        debug_assert!(value.len() <= self.extents(layout).capacity, "the value fits");
        write_words(self.value_words(layout, value.len()), value);
    }

    /// Sets the expiry of a record whose value the caller has locked, in a layout with expiry.
    #[inline(always)]
    pub(crate) fn write_expiry(self, layout: Layout, expiry: ExpiryWord) {
        debug_assert!(!layout.value_is_word(), "the expiry of a word never changes");
        if layout.has_expiry {
            // Relaxed: ordered by the unlock, as the value is.
            self.words[layout.expiry_index()].store(expiry.word(), Ordering::Relaxed);
        }
    }

    /// Writes a whole new record, header last. No other task can see it yet.
    #[inline(always)]
    pub(crate) fn initialise(self, layout: Layout, header: RecordInfo, record: NewRecord<'_>) {
        let extents = layout.extents(record.key.len(), record.value.len());
        if layout.has_extents() {
            self.words[layout.extents_index()].store(pack(extents), Ordering::Relaxed);
        }
        if !layout.value_is_word() {
            let state = ValueState::new(record.value.len());
            self.words[layout.state_index()].store(state.raw(), Ordering::Relaxed);
        }
        if layout.has_expiry {
            let expiry = record.expiry.word();
            self.words[layout.expiry_index()].store(expiry, Ordering::Relaxed);
        }
        write_words(&self.words[layout.key_index()..][..words(extents.key)], record.key);
        let value = layout.value_index(extents.key);
        write_words(&self.words[value..][..words(record.value.len())], record.value);
        // Relaxed, like the stores above: the CAS that links the record releases them all.
        self.words[0].store(header.raw(), Ordering::Relaxed);
    }

    #[inline(always)]
    fn value_words(self, layout: Layout, length: usize) -> &'g [AtomicU64] {
        let extents = self.extents(layout);
        // A torn length cannot occur (one word); a foreign length would be caught here.
        let length = length.min(extents.capacity);
        &self.words[layout.value_index(extents.key)..][..words(length)]
    }
}

/// Appends the bytes of `words`.
#[inline]
fn append_words(words: &[AtomicU64], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + words.len() * WORD, 0);
    load_words(words, &mut out[start..]);
}

/// Copies the bytes of `words`, which may change meanwhile.
#[inline(always)]
fn load_words(words: &[AtomicU64], bytes: &mut [u8]) {
    debug_assert_eq!(bytes.len(), words.len() * WORD, "each word has its place");
    // Relaxed: `is_unchanged` checks whether these words belong together.
    let load = |(word, place): (&AtomicU64, &mut [u8; WORD])| {
        *place = word.load(Ordering::Relaxed).to_le_bytes();
    };
    let (fours, rest) = words.as_chunks::<4>();
    let (places, rest_places) = bytes.as_chunks_mut().0.as_chunks_mut::<4>();
    for (four, places) in fours.iter().zip(places) {
        four.iter().zip(places).for_each(load);
    }
    rest.iter().zip(rest_places).for_each(load);
}

#[inline(always)]
fn write_words(target: &[AtomicU64], bytes: &[u8]) {
    debug_assert!(bytes.len() <= target.len() * WORD);
    // Relaxed: ordered by the link of a new record, or by the unlock of an old one.
    let store = |(word, chunk): (&AtomicU64, &[u8; WORD])| {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    };
    let (chunks, last) = bytes.as_chunks();
    let (whole, last_place) = target.split_at(chunks.len());
    let (fours, rest) = whole.as_chunks::<4>();
    let (four_chunks, rest_chunks) = chunks.as_chunks::<4>();
    for (four, chunks) in fours.iter().zip(four_chunks) {
        four.iter().zip(chunks).for_each(store);
    }
    rest.iter().zip(rest_chunks).for_each(store);
    if !last.is_empty() {
        last_place[0].store(last_word(bytes), Ordering::Relaxed);
    }
}

/// Returns the last word of `bytes`, which is not whole, padded with zeros.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % WORD;
    debug_assert!(rest > 0, "the last word is not whole");
    match bytes.last_chunk() {
        // The last eight bytes, without those of the word before.
        Some(last) => u64::from_le_bytes(*last) >> (8 * (WORD - rest)),
        None => padded_word(bytes),
    }
}

/// Returns the word of at most 8 bytes, padded with zeros.
#[inline(always)]
fn padded_word(chunk: &[u8]) -> u64 {
    match chunk.try_into() {
        Ok(whole) => u64::from_le_bytes(whole),
        Err(_) => {
            let mut padded = [0; WORD];
            padded[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(padded)
        }
    }
}

/// Returns a word of some bytes of the log.
fn word_in(record: &[u8], index: usize) -> u64 {
    let bytes = &record[index * WORD..][..WORD];
    u64::from_le_bytes(bytes.try_into().expect("a word has 8 bytes"))
}

fn pack(extents: Extents) -> u64 {
    debug_assert!(extents.key < 1 << 32 && extents.capacity < 1 << 32);
    extents.key as u64 | (extents.capacity as u64) << 32
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are 32 bits")]
fn unpack(word: u64) -> Extents {
    Extents { key: (word & u64::from(u32::MAX)) as usize, capacity: (word >> 32) as usize }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::address::Address;

    fn page() -> Vec<AtomicU64> {
        (0..64).map(|_| AtomicU64::new(0)).collect()
    }

    fn header(previous: Address) -> RecordInfo {
        RecordInfo::new(TableNumber::FIRST, previous, RecordKind::Value, 0)
    }

    fn record<'b>(key: &'b [u8], value: &'b [u8]) -> NewRecord<'b> {
        NewRecord { key, value, content: RecordKind::Value, expiry: ExpiryWord::NEVER }
    }

    #[test]
    fn a_variable_record_reads_back() {
        let layout = Layout::new(None, None);
        let page = page();
        let found = RecordRef::new(&page);
        found.initialise(layout, header(Address::FIRST), record(b"a longer key", b"value"));
        assert!(found.key_equals(layout, b"a longer key"));
        assert!(!found.key_equals(layout, b"a longer kez"));
        assert!(!found.key_equals(layout, b"a longer ke"));
        let mut value = Vec::new();
        found.copy_value(layout, &mut value).expect("no task writes");
        assert_eq!(value, b"value");
        assert_eq!(found.info().previous(), Address::FIRST);
    }

    #[test]
    fn a_value_shrinks_and_grows_within_its_extent() {
        let layout = Layout::new(Some(4), None);
        let page = page();
        let found = RecordRef::new(&page);
        found.initialise(layout, header(Address::NONE), record(b"key!", b"0123456789"));
        let extents = found.extents(layout);
        assert_eq!(extents.capacity, 16);
        for value in [&b"x"[..], b"0123456789abcdef", b""] {
            let state = ValueState::observe(found.state_word(layout)).expect("free");
            state.transition_to_locked(found.state_word(layout)).expect("free");
            found.write_value(layout, value);
            state.unlock(found.state_word(layout), value.len());
            let mut copy = Vec::new();
            found.copy_value(layout, &mut copy).expect("free");
            assert_eq!(copy, value);
            assert_eq!(found.extents(layout), extents);
        }
    }

    #[test]
    fn an_expiry_is_read_beside_the_key_and_the_value() {
        for widths in [[Some(8), Some(8)], [Some(8), None], [None, None]] {
            let plain = Layout::new(widths[0], widths[1]);
            let page = page();
            let found = RecordRef::new(&page);
            let expiry = ExpiryWord::from_word(u64::from(u32::MAX));
            let record = NewRecord { expiry, ..record(b"eight by", b"tes long") };
            found.initialise(plain.with_expiry(true), header(Address::NONE), record);
            assert!(found.key_equals(plain.with_expiry(true), b"eight by"));
            assert_eq!(found.expiry(plain.with_expiry(true)).second(), Some(u32::MAX));
            assert_eq!(found.expiry(plain), ExpiryWord::NEVER, "it has no such word");
            let mut bytes: Vec<u8> =
                page.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
            assert!(StoredRecord::has_sound_expiry(&bytes, plain.with_expiry(true)));
            assert_eq!(StoredRecord::expiry_in(&bytes, plain.with_expiry(true)), expiry);
            bytes[plain.key_index() * WORD + 4] = 1;
            assert!(!StoredRecord::has_sound_expiry(&bytes, plain.with_expiry(true)));
            assert!(StoredRecord::has_sound_expiry(&bytes, plain), "it has no such word");
        }
    }

    #[test]
    fn fixed_words_have_no_state() {
        let layout = Layout::new(Some(8), Some(8));
        let page = page();
        let found = RecordRef::new(&page);
        let (key, value) = (7_u64.to_le_bytes(), 9_u64.to_le_bytes());
        found.initialise(layout, header(Address::NONE), record(&key, &value));
        assert!(found.key_equals(layout, &key));
        assert_eq!(found.value_word(layout).load(Ordering::Relaxed), 9);
    }
}
