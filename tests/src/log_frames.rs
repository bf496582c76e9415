//! The frames of a log, read from its files without the code of the log.

use std::ops::Range;

use kvick::log;

use crate::log_files::{BuiltLog, PAGE, UNIT, device_offset, place_of};

const HEADER: usize = 8;
const FIRST: usize = 64;
const COMMIT: u32 = 5;
const PADDING: u32 = 6;

/// An entry, or the record of a commit, with all of its frames.
#[derive(Clone, Debug)]
pub struct Framed {
    /// The address of its first frame.
    pub start: log::Address,
    /// The units of the device that contain it.
    pub units: Range<u64>,
    /// The contents of a commit record; `None` for an entry.
    pub commit: Option<FramedCommit>,
}

/// The contents of a commit record.
#[derive(Clone, Debug)]
pub struct FramedCommit {
    /// The number of the commit.
    pub number: u64,
    /// The end of the log that was durable before this commit.
    pub durable: u64,
}

impl BuiltLog {
    /// Returns the entries and commit records of the log, in order.
    #[must_use]
    pub fn framed(&self) -> Vec<Framed> {
        let mut framed: Vec<Framed> = Vec::new();
        let mut is_open = false;
        for page in 0..self.end().div_ceil(PAGE) {
            let payload = self.payload_of(page);
            let mut at = if page == 0 { FIRST } else { 0 };
            while let Some(word) = payload.get(at..at + HEADER) {
                let low = u32::from_le_bytes(word[..4].try_into().expect("4 bytes"));
                let (kind, length) = (low >> 29, low as usize & ((1 << 29) - 1));
                if low == 0 || at + HEADER + length > payload.len() && kind != PADDING {
                    // The frame was not written, or not completely.
                    return framed;
                }
                let start = log::Address::new(page * PAGE + at as u64);
                let behind = at + HEADER + length.next_multiple_of(HEADER);
                let last = log::Address::new(page * PAGE + behind as u64 - 1);
                let end = device_offset(last) + UNIT;
                let bytes = &payload[at + HEADER..behind.min(payload.len())];
                match framed.last_mut().filter(|_| is_open) {
                    Some(entry) => entry.units.end = end,
                    None if kind == PADDING => {}
                    None => framed.push(Framed {
                        start,
                        units: device_offset(start)..end,
                        commit: (kind == COMMIT).then(|| FramedCommit::of(bytes)),
                    }),
                }
                // The kinds 2 and 3 are the first frame of an entry, and one in the middle.
                is_open = [2, 3].contains(&kind);
                at = behind;
            }
        }
        framed
    }

    /// Returns the payload of a page without the trailers of its units, up to the first missing
    /// unit.
    fn payload_of(&self, page: u64) -> Vec<u8> {
        let size = usize::try_from(UNIT).expect("small");
        let units = (page * PAGE..(page + 1) * PAGE).step_by(size);
        let stored = units.map_while(|unit| {
            let (file, within) = place_of(unit);
            self.files.0.get(&file)?.get(within..within + size - HEADER)
        });
        stored.flatten().copied().collect()
    }
}

impl FramedCommit {
    fn of(record: &[u8]) -> Self {
        let word = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("8 bytes"));
        Self { number: word(0), durable: word(16) }
    }
}
