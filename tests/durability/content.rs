//! Values that encode a word: the word itself, or bytes that follow from it.

use kvick::Value;
use kvick::io::sim::Random;

/// A type of value that encodes a word.
pub(crate) trait Content: Value<Item: Sync, Owned: Sync> {
    fn of(word: u64) -> Self::Owned;

    /// Returns the word of a value; `None` if no word has this value.
    fn word(value: &Self::Owned) -> Option<u64>;
}

impl Content for u64 {
    fn of(word: u64) -> Self {
        word
    }

    fn word(value: &Self) -> Option<u64> {
        Some(*value)
    }
}

impl Content for [u8] {
    /// Returns some 100 bytes. One value in 64 is longer, some of them longer than a record may be.
    fn of(word: u64) -> Vec<u8> {
        let mut random = Random::new(word);
        let bound = if random.below(64) == 0 { 6000 } else { 200 };
        let length = WORD + random.index(bound);
        let mut bytes = word.to_le_bytes().to_vec();
        while bytes.len() < length {
            bytes.extend(random.next_u64().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn word(value: &Vec<u8>) -> Option<u64> {
        let word = value.first_chunk::<WORD>().map(|bytes| u64::from_le_bytes(*bytes))?;
        (Self::of(word) == *value).then_some(word)
    }
}

const WORD: usize = size_of::<u64>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_of_one_word_only() {
        for word in (0..300).map(|number| Random::new(number).next_u64()) {
            let mut bytes = <[u8]>::of(word);
            assert_eq!(<[u8]>::word(&bytes), Some(word));
            bytes.push(0);
            assert_eq!(<[u8]>::word(&bytes), None);
        }
    }
}
