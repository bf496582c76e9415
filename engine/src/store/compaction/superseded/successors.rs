//! The successors of the records of one page, in a few bytes each.

use crate::base::address::Address;
use crate::record::{Layout, Layouts, TableNumber, WORD};

/// A key of a table.
pub(super) type TableKey<'k> = (TableNumber, Layout, &'k [u8]);

/// The successors of the records of one page. Each *block* of the page has its own list, which is
/// short enough to be searched from its begin.
///
/// ```text
/// | place of the record | to its successor | table | length, if it varies | key |
/// |                   4 |                4 |     1 |                    4 |
/// ```
///
/// The place is counted in words from the start of the page, and so is the successor from there.
#[derive(Debug)]
pub(super) struct PageSuccessors {
    blocks: Box<[Vec<u8>]>,
    /// The bytes of all lists.
    bytes: usize,
}

/// The bytes of a block of a page.
const BLOCK_BITS: u32 = 13;
/// A list grows by this part, and by this number of bytes at least.
const GROWTH: [usize; 2] = [4, 48];
/// The bytes of an allocation, beside those that it is for.
const ALLOCATION_BYTES: usize = 16;

impl PageSuccessors {
    pub(super) fn new(page_bits: u32) -> Self {
        let blocks = 1 << page_bits.saturating_sub(BLOCK_BITS);
        let blocks: Box<[_]> = std::iter::repeat_with(Vec::new).take(blocks).collect();
        let bytes = size_of_val(&*blocks) + size_of::<Self>() + ALLOCATION_BYTES;
        Self { blocks, bytes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the successor of the record at `older`. Returns the bytes of memory that this took.
    pub(super) fn push(
        &mut self,
        page_bits: u32,
        [older, successor]: [Address; 2],
        (table, layout, key): TableKey<'_>,
    ) -> usize {
        let place = place_of(page_bits, older);
        let Ok(to) = u32::try_from((successor.raw() - older.raw()) / WORD as u64) else {
            // So far above that the log has become long for want of rounds.
            return 0;
        };
        let length = match layout.key_width {
            Some(_) => None,
            None => Some(u32::try_from(key.len()).expect("a key is within a page")),
        };
        let list = &mut self.blocks[block_of(place)];
        let bytes = 2 * WORD + 1 + key.len();
        let before = list.capacity();
        if before - list.len() < bytes {
            let [part, least] = GROWTH;
            list.reserve_exact(bytes.max(list.len() / part).max(least));
        }
        list.extend_from_slice(&place.to_le_bytes());
        list.extend_from_slice(&to.to_le_bytes());
        list.push(table.raw());
        list.extend(length.into_iter().flat_map(u32::to_le_bytes));
        list.extend_from_slice(key);
        let taken = list.capacity() - before + if before == 0 { ALLOCATION_BYTES } else { 0 };
        self.bytes += taken;
        taken
    }

    /// Returns the successor of the record at `older`, and its key.
    pub(super) fn successor(
        &self,
        page_bits: u32,
        layouts: &Layouts,
        older: Address,
    ) -> Option<(Address, TableKey<'_>)> {
        let place = place_of(page_bits, older);
        let mut list = &self.blocks[block_of(place)][..];
        while let Some((head, rest)) = list.split_first_chunk::<9>() {
            let [p0, p1, p2, p3, t0, t1, t2, t3, number] = *head;
            let table = TableNumber::new(number).expect("it was a number before");
            let layout = layouts.get(table).expect("its table has a layout");
            let (length, rest) = match layout.key_width {
                Some(width) => (width, rest),
                None => {
                    let (length, rest) = rest.split_first_chunk().expect("it has a key");
                    (u32::from_le_bytes(*length) as usize, rest)
                }
            };
            let (key, rest) = rest.split_at(length);
            if u32::from_le_bytes([p0, p1, p2, p3]) == place {
                let to = u64::from(u32::from_le_bytes([t0, t1, t2, t3])) * WORD as u64;
                return Some((Address::new(older.raw() + to), (table, layout, key)));
            }
            list = rest;
        }
        None
    }
}

/// Returns the place of a record in its page, in words.
fn place_of(page_bits: u32, address: Address) -> u32 {
    let words = address.offset(page_bits) / WORD as u64;
    u32::try_from(words).expect("a page has few words")
}

fn block_of(place: u32) -> usize {
    (place as usize * WORD) >> BLOCK_BITS
}
