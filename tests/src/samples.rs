//! Keys and values of several types, drawn from a seed.

use std::borrow::Borrow;
use std::fmt::Debug;

use kvick::io::sim::Random;
use kvick::{Key, Value};

/// A key type with a key for each number. Equal numbers yield equal keys, and other numbers others.
pub trait SampleKey: Key<Item: Sync, Owned: Ord + Clone + Debug + Sync> {
    /// Returns the key of this number.
    fn numbered(number: u64) -> Self::Owned;
}

/// A value type with random values, and with the updates that `rmw` applies to them.
pub trait SampleValue: Value<Item: Sync, Owned: Eq + Clone + Debug + Sync> {
    /// Returns a random value, of at most `longest` bytes if its length varies.
    fn sample(random: &mut Random, longest: usize) -> Self::Owned;

    /// Returns the value after an update with this tag. As a rule, two orders of the same updates
    /// end in different values.
    fn updated(current: Option<Self::Owned>, tag: u64) -> Self::Owned;

    /// Returns an owned value from the view of a reader.
    fn seen(view: Self::View<'_>) -> Self::Owned;

    /// Returns the value with its count raised by one. Tasks do this to a value that they share.
    fn counted(current: Option<Self::Owned>) -> Self::Owned;

    /// Returns the count of a value.
    fn count(value: &Self::Owned) -> u64;

    /// Returns the bytes of the value in a record.
    fn stored(value: &Self::Owned) -> Vec<u8>;
}

impl SampleKey for u64 {
    fn numbered(number: u64) -> Self {
        number
    }
}

impl SampleKey for str {
    fn numbered(number: u64) -> String {
        let prefixes = usize::try_from(number % 5).expect("small");
        format!("{}{number}", "prefix/".repeat(prefixes * prefixes))
    }
}

impl SampleKey for [u8] {
    fn numbered(number: u64) -> Vec<u8> {
        str::numbered(number).into_bytes()
    }
}

impl SampleValue for u64 {
    fn sample(random: &mut Random, _longest: usize) -> Self {
        random.next_u64()
    }

    fn updated(current: Option<Self>, tag: u64) -> Self {
        current.unwrap_or(7).wrapping_mul(31).wrapping_add(tag)
    }

    fn seen(view: Self) -> Self {
        view
    }

    fn counted(current: Option<Self>) -> Self {
        current.unwrap_or(0) + 1
    }

    fn count(value: &Self) -> u64 {
        *value
    }

    fn stored(value: &Self) -> Vec<u8> {
        value.to_le_bytes().to_vec()
    }
}

impl SampleValue for [u8] {
    fn sample(random: &mut Random, longest: usize) -> Vec<u8> {
        let length = match random.below(10) {
            0 => random.index(longest + 1),
            1 => random.index(longest.min(3000) + 1),
            _ => random.index(longest.min(100) + 1),
        };
        pattern(random.next_u64(), length)
    }

    fn updated(current: Option<Vec<u8>>, tag: u64) -> Vec<u8> {
        let mut value = current.unwrap_or_default();
        let some = usize::try_from(tag >> 8 & 31).expect("small");
        match tag % 8 {
            _ if value.len() > GROWN => value.truncate(3),
            0 => value.extend(pattern(tag, 500 + some)),
            1 => value.truncate(value.len() / 2),
            2..5 => value.reverse(),
            _ => value.extend(pattern(tag, 1 + some)),
        }
        value.push(tag.to_le_bytes()[0]);
        value
    }

    fn seen(view: &[u8]) -> Vec<u8> {
        view.to_vec()
    }

    fn counted(current: Option<Vec<u8>>) -> Vec<u8> {
        let mut value = current.unwrap_or_default();
        value.push(b'+');
        value
    }

    fn count(value: &Vec<u8>) -> u64 {
        assert!(value.iter().all(|&byte| byte == b'+'), "torn: {value:?}");
        value.len() as u64
    }

    fn stored(value: &Vec<u8>) -> Vec<u8> {
        value.clone()
    }
}

/// The size in bytes up to which updates grow a value.
const GROWN: usize = 6000;

/// Returns bytes that depend on the seed. No two stretches of them are alike.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(random.next_u64().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Returns the argument of an operation for an owned key or value.
pub fn item<T: Value + ?Sized>(owned: &T::Owned) -> &T::Item {
    owned.borrow()
}
