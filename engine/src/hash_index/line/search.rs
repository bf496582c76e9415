//! The search for a tag in a line.
//!
//! The place of a tag cannot be predicted, so there is no branch per word. On x86-64 one block of
//! assembler compares all tags of the line at once. That takes fewer instructions and far fewer
//! registers than a comparison per word, so the processor overlaps the misses of more consecutive
//! operations. Elsewhere, and for checkers, each word is compared by itself.
#![cfg_attr(
    all(target_arch = "x86_64", not(any(loom, shuttle, miri))),
    expect(unsafe_code, reason = "no type reads a line of atomic words as vectors")
)]

use crate::hash_index::entry::{HashBucketEntry, Tag};
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The words of a line. A model has few, so that a checker finishes.
pub(in crate::hash_index) const LINE_WORDS: usize = if cfg!(loom) { 2 } else { 8 };

/// Returns the complete entry of `tag`, if one of the words holds it.
#[inline(always)]
#[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
pub(super) fn find(words: &[AtomicU64; LINE_WORDS], tag: Tag) -> Option<HashBucketEntry> {
    // The word may have changed after it was compared. If it has lost the tag, there is none: the
    // search of the whole bucket, which follows, decides.
    // Acquire: pairs with the Release of the CAS that linked the record.
    let word = words[place_of(words, tag)?].load(Ordering::Acquire);
    tag.is_of(word).then_some(HashBucketEntry::from_raw(word))
}

/// As above, with a comparison per word.
#[inline(always)]
#[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
pub(super) fn find(words: &[AtomicU64; LINE_WORDS], tag: Tag) -> Option<HashBucketEntry> {
    find_by_word(words, tag)
}

/// Returns the complete entry of `tag`, if one of the words holds it.
///
/// XOR with the pattern leaves the bare address of the matching entry, the smallest number in the
/// line. Other tags, free and held slots, and a link leave a number above all addresses.
#[inline(always)]
#[cfg(any(test, not(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))))]
fn find_by_word(words: &[AtomicU64; LINE_WORDS], tag: Tag) -> Option<HashBucketEntry> {
    let smallest = words.iter().fold(u64::MAX, |smallest, word| {
        // Acquire: pairs with the Release of the CAS that linked the record.
        smallest.min(word.load(Ordering::Acquire) ^ tag.pattern())
    });
    let word = smallest ^ tag.pattern();
    tag.is_of(word).then_some(HashBucketEntry::from_raw(word))
}

/// Returns the place of a word that had the tag of a complete entry at some moment of this call.
#[inline(always)]
#[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
fn place_of(words: &[AtomicU64; LINE_WORDS], tag: Tag) -> Option<usize> {
    use std::num::NonZeroU16;
    const { assert!(LINE_WORDS == 8, "two vectors of four halves") };
    let places: u32;
    // SAFETY: the block reads the 64 bytes of `words`, which are valid for reads, and writes only
    // the registers that it names. SSE2 is part of x86-64. Other threads write the words by atomic
    // instructions; the processor reads each aligned half of a word as a whole.
    unsafe {
        std::arch::asm!(
            "movd {tag}, {pattern:e}",
            "pshufd {tag}, {tag}, 0",
            // The upper halves of four words each.
            "movups {low}, [{line}]",
            "movups {next}, [{line} + 16]",
            "shufps {low}, {next}, 0xdd",
            "movups {high}, [{line} + 32]",
            "movups {next}, [{line} + 48]",
            "shufps {high}, {next}, 0xdd",
            // Without the bits of the address.
            "psrld {low}, {shift}",
            "psrld {high}, {shift}",
            "pcmpeqd {low}, {tag}",
            "pcmpeqd {high}, {tag}",
            // Two bits for each word.
            "packssdw {low}, {high}",
            "pmovmskb {places:e}, {low}",
            line = in(reg) words.as_ptr(),
            pattern = in(reg) tag.upper_bits(),
            shift = const Tag::SHIFT_IN_UPPER_HALF,
            tag = out(xmm_reg) _,
            low = out(xmm_reg) _,
            next = out(xmm_reg) _,
            high = out(xmm_reg) _,
            places = lateout(reg) places,
            options(readonly, nostack, preserves_flags)
        );
    }
    #[expect(clippy::cast_possible_truncation, reason = "two bits for each of eight words")]
    let first = NonZeroU16::new(places as u16)?.trailing_zeros();
    Some(first as usize / 2)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::address::Address;
    use crate::hash_index::line::Link;
    use kvick_io::sim::Random;

    /// Returns a tag of a few, which differ in few bits.
    fn any_tag(random: &mut Random) -> Tag {
        Tag::of([0, 1, 1 << 16, 0x1_ffff, 0xfffe][random.index(5)], 0)
    }

    /// Returns a word in any state.
    fn any_word(random: &mut Random) -> HashBucketEntry {
        let tag = any_tag(random);
        let units = [1, 2, 1 << 44, (1 << 45) - 1][random.index(4)];
        let entry = HashBucketEntry::new(tag, Address::from_units(units));
        match random.below(9) {
            0 => HashBucketEntry::FREE,
            1 => HashBucketEntry::CLOSED,
            2 => HashBucketEntry::tentative(tag),
            3 => HashBucketEntry::new(tag, Address::UNSET),
            4 => entry.frozen(),
            5 => HashBucketEntry::from_raw(Link::new(random.below(1 << 22), units >> 5).0),
            6 => HashBucketEntry::new(tag, Address::UNSET).held(),
            _ => entry,
        }
    }

    /// Two searches of one line. A bucket has one complete entry of a tag at most.
    #[test]
    fn both_searches_find_the_same_entry() {
        let mut random = Random::new(5);
        let [mut found, mut missed] = [0, 0];
        for _ in 0..100_000 {
            let tag = any_tag(&mut random);
            let mut has_match = false;
            let line: [AtomicU64; LINE_WORDS] = std::array::from_fn(|_place| {
                let mut word = any_word(&mut random);
                if tag.is_of(word.raw()) && std::mem::replace(&mut has_match, true) {
                    word = HashBucketEntry::FREE;
                }
                AtomicU64::new(word.raw())
            });
            assert_eq!(find(&line, tag), find_by_word(&line, tag), "{tag:?} in {line:x?}");
            assert_eq!(find(&line, tag).is_some(), has_match, "{tag:?} in {line:x?}");
            *(if has_match { &mut found } else { &mut missed }) += 1;
        }
        assert!(found > 10_000 && missed > 10_000, "{found} found, {missed} missed");
    }
}
