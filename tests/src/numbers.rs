//! Small numbers as values of several encodings, for [`histories`](crate::history).

use std::borrow::Cow;

use kvick::{Value, codec};

/// A value type that stands for numbers.
pub trait Number: Value<Item = Self, Owned = Self> + Copy + Send + Sync {
    /// Returns the value of a number.
    fn of(number: u64) -> Self;

    /// Returns the number of a value.
    fn get(self) -> u64;
}

impl Number for u64 {
    fn of(number: u64) -> Self {
        number
    }

    fn get(self) -> u64 {
        self
    }
}

/// A number whose length depends on it. So the next value often fits in no record of the last one,
/// and some values are in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growing(u64);

/// The bytes after the number, by its remainder.
const PADDING: [usize; 5] = [0, 30, 150, 600, 3000];

impl Number for Growing {
    fn of(number: u64) -> Self {
        Self(number)
    }

    fn get(self) -> u64 {
        self.0
    }
}

impl Growing {
    fn padding(self) -> usize {
        let kinds = PADDING.len() as u64;
        PADDING[usize::try_from(self.0 % kinds).expect("small")]
    }
}

impl Value for Growing {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Self;
    type Bytes<'a> = Vec<u8>;

    const WIDTH: Option<usize> = None;

    fn type_name() -> Cow<'static, str> {
        "tests.growing".into()
    }

    fn encode(item: &Self) -> Result<Vec<u8>, codec::Error> {
        let mut bytes = vec![item.0.to_le_bytes()[0]; 8 + item.padding()];
        bytes[..8].copy_from_slice(&item.0.to_le_bytes());
        Ok(bytes)
    }

    fn view(bytes: &[u8]) -> Result<Self, codec::Error> {
        let wrong = || codec::Error::wrong_length(&Self::type_name(), 8, bytes.len());
        let (number, padding) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let number = Self(u64::from_le_bytes(*number));
        // A torn value has bytes of another number, or too few of them.
        let is_whole = padding.iter().all(|byte| *byte == number.0.to_le_bytes()[0]);
        if !is_whole || padding.len() != number.padding() {
            return Err(wrong());
        }
        Ok(number)
    }

    fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
        Self::view(bytes)
    }
}
