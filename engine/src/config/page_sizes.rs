//! The records that fit in a page.

/// The smallest existing sector: a cold read of a small record need not fetch more.
pub(super) const UNIT_BYTES: u64 = 512;
/// The bytes of a unit that are not payload.
const TRAILER_BYTES: u64 = 8;
/// In pages up to this size a record takes up to half a page. In larger pages it takes up to a
/// quarter, and `INLINE_MAX` at most.
const SMALL_PAGE: u64 = 64 << 10;
const INLINE_MAX: u64 = 256 << 10;

/// Returns the bytes of records in a page, in units of the smallest size.
pub(super) fn page_capacity(page_bytes: u64) -> u64 {
    page_bytes / UNIT_BYTES * (UNIT_BYTES - TRAILER_BYTES)
}

/// Returns the limit of a record within its page. Two records fit in a page, so that little of its
/// end is lost.
pub(super) fn max_inline(page_bytes: u64) -> u64 {
    let capacity = page_capacity(page_bytes);
    let inline = if page_bytes <= SMALL_PAGE {
        capacity / 2 / 8 * 8
    } else {
        (capacity / 4).min(INLINE_MAX)
    };
    assert!(inline.is_multiple_of(8) && 2 * inline <= capacity, "whole words, two a page");
    inline
}
