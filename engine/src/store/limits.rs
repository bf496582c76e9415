//! The limits of keys and values of one table, and the types with records that fit its pages.

use crate::base::error::{Error, Result};
use crate::config::{ByteSize, Geometry};
use crate::record::{Layout, WORD};

/// The limits of sizes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) key: usize,
    pub(crate) value: usize,
    /// The largest record with its value inline. A larger record has its value in pieces.
    pub(crate) inline: usize,
    values_limited_by: ValueLimit,
}

/// The setting that limits the values of a table.
#[derive(Clone, Copy, Debug)]
enum ValueLimit {
    MaxValue,
    Pages,
    WalMemory,
}

/// Returns the bytes of a list of this many pieces.
pub(in crate::store) const fn list_bytes(pieces: usize) -> usize {
    (1 + pieces) * WORD
}

impl Limits {
    /// Returns the limits of a table of a store with these sizes. Its types have this layout and
    /// these widths.
    ///
    /// # Errors
    /// `InvalidArgument` if no page holds a record of these types, or `max_value` is too small.
    pub(crate) fn of(
        geometry: &Geometry,
        (layout, [key_width, value_width]): (Layout, [Option<usize>; 2]),
    ) -> Result<Self> {
        let key = key_width.unwrap_or(geometry.max_key);
        let (inline, page) = (geometry.max_inline, ByteSize::new(1 << geometry.page_bits));
        let logged = geometry.max_logged.map(|pair| pair.saturating_sub(key));
        let (value, values_limited_by) = match logged {
            Some(0) => return Err(small_wal_memory(key)),
            Some(logged) if logged < geometry.max_value => (logged, ValueLimit::WalMemory),
            _ => (geometry.max_value, ValueLimit::MaxValue),
        };
        let mut limits = Self { key, value, inline, values_limited_by };
        let least = match layout.value_width {
            Some(width) => layout.record_bytes(layout.extents(key, width)),
            None => limits.overhead(layout).saturating_add(list_bytes(1)),
        };
        // A record that has no pieces may fill its page.
        let most = if layout.value_width.is_some() { geometry.page_capacity } else { inline };
        if least > most {
            let what = format!("the key type takes {key} bytes and a record {least} or more");
            return Err(no_page_holds(&what, page, most));
        }
        if layout.value_width.is_none() {
            let longest = limits.longest_in_pieces(layout);
            if longest < limits.value {
                (limits.value, limits.values_limited_by) = (longest, ValueLimit::Pages);
            }
        }
        match value_width {
            Some(width) if width > limits.value && width > geometry.max_value => {
                Err(Error::invalid(format!(
                    "the value type takes {width} bytes, and max_value = {}; raise max_value",
                    geometry.max_value
                )))
            }
            Some(width) if width > limits.value && limits.is_limited_by_wal() => {
                Err(small_wal_memory(key.saturating_add(width)))
            }
            Some(width) if width > limits.value => {
                let what = format!("the value type takes {width} bytes");
                Err(no_page_holds(&what, page, limits.value))
            }
            _ => Ok(limits),
        }
    }

    fn is_limited_by_wal(&self) -> bool {
        matches!(self.values_limited_by, ValueLimit::WalMemory)
    }

    /// Returns the bytes of a record with the longest key, without its value.
    pub(in crate::store) fn overhead(&self, layout: Layout) -> usize {
        layout.value_index(layout.key_width.unwrap_or(self.key)).saturating_mul(WORD)
    }

    /// Returns the number of value bytes in one piece.
    pub(in crate::store) fn piece_bytes(&self, layout: Layout) -> usize {
        (self.inline - self.overhead(layout)) / WORD * WORD
    }

    /// Returns the length of the longest value that a list of pieces can describe.
    fn longest_in_pieces(&self, layout: Layout) -> usize {
        let piece = self.piece_bytes(layout);
        (piece / WORD - 1).saturating_mul(piece)
    }
}

/// Refuses a write-ahead log whose memory has no room for keys, or keys and values, of these bytes.
#[cold]
fn small_wal_memory(bytes: usize) -> Error {
    Error::invalid(format!(
        "wal_memory: an entry of {bytes} bytes, with the longest key of this store and its value, \
         does not fit in three eighths of it; set a larger one"
    ))
}

/// Refuses a type whose records are too large for the pages of the store.
#[cold]
fn no_page_holds(what: &str, page: ByteSize, most: usize) -> Error {
    Error::invalid(format!(
        "{what}, and pages of {page} hold at most {most}; a larger page_size holds more"
    ))
}

/// The begin of the advice if the pages are too small.
const LARGER_PAGES: &str = "a larger `page_size`, fixed at creation, takes longer";

/// Refuses a key that is longer than the store takes.
#[cold]
pub(in crate::store) fn key_too_long(length: usize, limits: &Limits) -> Error {
    let key = format!("key of {length} bytes: this store takes at most {}", limits.key);
    Error::invalid(format!("{key}; {LARGER_PAGES} keys"))
}

/// Refuses a value that is longer than the store takes.
#[cold]
pub(in crate::store) fn value_too_long(length: usize, limits: &Limits) -> Error {
    let value = format!("value of {length} bytes: this store takes at most {}", limits.value);
    let larger = match limits.values_limited_by {
        ValueLimit::Pages => LARGER_PAGES,
        ValueLimit::MaxValue => "a larger `max_value` takes longer",
        ValueLimit::WalMemory => "a larger `wal_memory` takes longer",
    };
    Error::invalid(format!("{value}; {larger} values"))
}
