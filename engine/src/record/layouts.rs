//! The layouts of the tables of one store, for readers that do not know the types of a record.
//!
//! A reader of whole pages meets records of all tables. It looks up the layout of a record by the
//! table number in its header. A table may be created while the store runs, so the layouts are
//! atomic words. A layout is set before any task finds the table, and never changes.

use super::{Layout, RecordInfo, TableNumber};
use kvick_io::sync::atomic::{AtomicU32, Ordering};
use std::fmt;

/// The layouts of the tables of one store, by table number.
pub(crate) struct Layouts([AtomicU32; TableNumber::COUNT]);

/// There is a table.
const KNOWN: u32 = 1 << 31;
/// The bits of a width. The width of variable keys or values is 0, any other is one higher.
const WIDTH_BITS: u32 = 11;
const WIDTH: u32 = (1 << WIDTH_BITS) - 1;
/// Each record has a word for its expiry.
const HAS_EXPIRY: u32 = 1 << (2 * WIDTH_BITS);
/// The table was dropped. It may still have records.
const DROPPED: u32 = HAS_EXPIRY << 1;

impl Layouts {
    /// Returns the layouts of a store without a table.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_number| AtomicU32::new(0)))
    }

    /// Sets the layout of a table, unless it has this layout. A dropped table stays dropped.
    pub(crate) fn set(&self, number: TableNumber, layout: Layout) {
        let (place, word) = (&self.0[number.index()], pack(layout));
        // Release: pairs with the Acquire of `get`.
        let set = place.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed);
        let now = set.map_or_else(|before| before & !DROPPED, |_| word);
        assert_eq!(now, word, "the layout of table {number} never changes");
        debug_assert_eq!(self.get(number), Some(layout), "the layout that is set is found");
    }

    /// Records that a table was dropped.
    pub(crate) fn transition_to_dropped(&self, number: TableNumber) {
        // Relaxed: compaction may see it later.
        let before = self.0[number.index()].fetch_or(DROPPED, Ordering::Relaxed);
        assert!(before & KNOWN != 0, "there is a table {number}");
    }

    /// Returns whether a table was dropped.
    pub(crate) fn is_dropped(&self, number: TableNumber) -> bool {
        self.0[number.index()].load(Ordering::Relaxed) & DROPPED != 0
    }

    /// Returns the layout of a table, if there is such a table.
    pub(crate) fn get(&self, number: TableNumber) -> Option<Layout> {
        // Acquire: pairs with the Release of `set`.
        let word = self.0[number.index()].load(Ordering::Acquire);
        (word & KNOWN != 0).then(|| Layout {
            key_width: width(word >> WIDTH_BITS & WIDTH),
            value_width: width(word & WIDTH),
            has_expiry: word & HAS_EXPIRY != 0,
        })
    }

    /// Returns the layout of a record, if its table exists.
    pub(crate) fn of(&self, info: RecordInfo) -> Option<Layout> {
        self.get(info.table())
    }
}

fn pack(layout: Layout) -> u32 {
    let bits = |width: Option<usize>| {
        let bits =
            width.map_or(0, |width| u32::try_from(width).expect("a fixed width is short") + 1);
        assert!(bits <= WIDTH, "a fixed width has {WIDTH_BITS} bits: {width:?}");
        bits
    };
    let expiry = if layout.has_expiry { HAS_EXPIRY } else { 0 };
    KNOWN | expiry | bits(layout.key_width) << WIDTH_BITS | bits(layout.value_width)
}

fn width(bits: u32) -> Option<usize> {
    bits.checked_sub(1).map(|width| width as usize)
}

impl fmt::Debug for Layouts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = (0..=TableNumber::LAST.raw()).filter_map(TableNumber::new);
        let known = numbers.filter_map(|number| Some((number, self.get(number)?)));
        formatter.debug_map().entries(known).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::address::Address;
    use crate::record::RecordKind;

    #[test]
    fn a_layout_comes_back_by_the_number_in_a_header() {
        let layouts = Layouts::new();
        let widths = [None, Some(0), Some(1), Some(8), Some(1023), Some(1024), Some(4096)];
        let mut numbers = (0..).filter_map(TableNumber::new);
        for has_expiry in [false, true] {
            for (key, value) in widths.into_iter().flat_map(|key| widths.map(|value| (key, value)))
            {
                let number = numbers.next().expect("98 tables");
                let layout = Layout::new(key, value).with_expiry(has_expiry);
                let info = RecordInfo::new(number, Address::FIRST, RecordKind::Value, 0);
                assert_eq!(layouts.of(info), None);
                layouts.set(number, layout);
                assert_eq!(layouts.of(info), Some(layout));
            }
        }
        assert_eq!(layouts.get(TableNumber::LAST), None);
    }

    #[test]
    fn a_dropped_table_stays_dropped() {
        let (layouts, layout) = (Layouts::new(), Layout::new(Some(8), None));
        layouts.set(TableNumber::FIRST, layout);
        layouts.transition_to_dropped(TableNumber::FIRST);
        layouts.set(TableNumber::FIRST, layout);
        assert!(layouts.is_dropped(TableNumber::FIRST));
    }

    #[test]
    #[should_panic(expected = "never changes")]
    fn a_layout_never_changes() {
        let layouts = Layouts::new();
        layouts.set(TableNumber::FIRST, Layout::new(Some(8), Some(8)));
        layouts.set(TableNumber::FIRST, Layout::new(Some(8), None));
    }
}
