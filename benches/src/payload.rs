//! Values that can be verified: each value shows whether it belongs to its key.
//!
//! ```text
//! | version u32 | mark(key) u32 | word 1 | word 2 | .. |        word i = word(key, version, i)
//! ```
//!
//! The first word counts the writes. The other words depend on key *and* version, so that a value
//! from two writes is noticed, and also a value of another key. The last word may be shorter. An
//! 8-byte value is only the first word, and the store keeps it as a `u64`.

use std::borrow::Borrow;
use std::fmt::Debug;

use kvick::Value;

/// A type of values that the benchmark can write and verify.
pub trait Payload: Value<Item: Sync> {
    /// The buffer for writes. The benchmark reuses it, and lends it to the store.
    type Buffer: Borrow<Self::Item> + Debug + Send + Sync + 'static;

    /// Creates a buffer for values of `length` bytes.
    fn buffer(length: usize) -> Self::Buffer;

    /// Makes `buffer` the value of `key` at `version`.
    fn stamp(buffer: &mut Self::Buffer, key: u64, version: u32);

    /// Returns whether a value of a batch belongs to `key` and has `length` bytes.
    fn verify_owned(owned: &Self::Owned, key: u64, length: usize) -> bool;

    /// Returns whether a value in place belongs to `key` and has `length` bytes.
    fn verify_view(view: &Self::View<'_>, key: u64, length: usize) -> bool;

    /// Returns the value that follows `previous`. An absent record starts at version one.
    fn next(previous: Option<Self::Owned>, key: u64, length: usize) -> Self::Owned;
}

impl Payload for u64 {
    type Buffer = Self;

    fn buffer(length: usize) -> Self {
        assert_eq!(length, 8, "a word is eight bytes");
        0
    }

    #[inline]
    fn stamp(buffer: &mut Self, key: u64, version: u32) {
        *buffer = first_word(key, version);
    }

    #[inline]
    fn verify_owned(owned: &Self, key: u64, _length: usize) -> bool {
        owned >> 32 == mark(key)
    }

    #[inline]
    fn verify_view(view: &Self::View<'_>, key: u64, length: usize) -> bool {
        Self::verify_owned(view, key, length)
    }

    #[inline]
    fn next(previous: Option<Self>, key: u64, _length: usize) -> Self {
        first_word(key, previous.map_or(0, version_of).wrapping_add(1))
    }
}

impl Payload for [u8] {
    type Buffer = Vec<u8>;

    fn buffer(length: usize) -> Vec<u8> {
        assert!(length >= 8, "a value begins with its version and mark");
        vec![0; length]
    }

    fn stamp(buffer: &mut Vec<u8>, key: u64, version: u32) {
        fill_bytes(buffer, key, version);
    }

    fn verify_owned(owned: &Vec<u8>, key: u64, length: usize) -> bool {
        verify_bytes(owned, key, length)
    }

    fn verify_view(view: &Self::View<'_>, key: u64, length: usize) -> bool {
        verify_bytes(view, key, length)
    }

    fn next(previous: Option<Vec<u8>>, key: u64, length: usize) -> Vec<u8> {
        let version = previous.as_deref().map_or(0, |bytes| version_of(leading_word(bytes)));
        let mut value = previous.unwrap_or_default();
        value.resize(length, 0);
        fill_bytes(&mut value, key, version.wrapping_add(1));
        value
    }
}

#[inline]
fn mark(key: u64) -> u64 {
    key.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32
}

#[inline]
fn first_word(key: u64, version: u32) -> u64 {
    (mark(key) << 32) | u64::from(version)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the version is the low half")]
fn version_of(word: u64) -> u32 {
    word as u32
}

fn leading_word(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}

fn words(first: u64) -> impl Iterator<Item = [u8; 8]> {
    (0..u64::MAX).map(move |position| {
        let mixed = first.wrapping_add(position).wrapping_mul(0xA24B_AED4_963E_E407);
        let word = if position == 0 { first } else { mixed ^ (mixed >> 29) };
        word.to_le_bytes()
    })
}

fn fill_bytes(bytes: &mut [u8], key: u64, version: u32) {
    for (chunk, word) in bytes.chunks_mut(8).zip(words(first_word(key, version))) {
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

fn verify_bytes(bytes: &[u8], key: u64, length: usize) -> bool {
    let first = leading_word(bytes);
    bytes.len() == length
        && first >> 32 == mark(key)
        && bytes.chunks(8).zip(words(first)).all(|(chunk, word)| *chunk == word[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_verifies_under_its_own_key_and_length_only() {
        let mut value = <[u8]>::buffer(100);
        <[u8]>::stamp(&mut value, 42, 9);
        assert!(verify_bytes(&value, 42, 100));
        assert!(!verify_bytes(&value, 43, 100));
        assert!(!verify_bytes(&value[..99], 42, 100));
        value[60] ^= 1;
        assert!(!verify_bytes(&value, 42, 100));
    }

    #[test]
    fn a_value_of_two_versions_is_torn() {
        let (mut old, mut new) = (<[u8]>::buffer(64), <[u8]>::buffer(64));
        <[u8]>::stamp(&mut old, 42, 1);
        <[u8]>::stamp(&mut new, 42, 2);
        old[..32].copy_from_slice(&new[..32]);
        assert!(!verify_bytes(&old, 42, 64));
    }

    #[test]
    fn the_next_value_counts_one_write() {
        let second = u64::next(Some(u64::next(None, 42, 8)), 42, 8);
        assert_eq!(second, first_word(42, 2));
        let bytes = <[u8]>::next(Some(<[u8]>::next(None, 42, 33)), 42, 33);
        assert_eq!(leading_word(&bytes), first_word(42, 2));
        assert!(verify_bytes(&bytes, 42, 33));
    }
}
