//! Arrays, slices and vectors of numbers, read in place where the machine allows it.

use std::borrow::Cow;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::codec::{CodecError, Key, Value};

/// A number of more than one byte, or with a sign. `u8` is absent: byte strings are types of their
/// own.
#[diagnostic::on_unimplemented(
    message = "a store cannot hold a list of `{Self}`: only arrays, slices and vectors of numbers",
    label = "is not a number",
    note = "name `Serde<Vec<{Self}>>` or `Rkyv<Vec<{Self}>>` as the type of the store",
    note = "for a field of a derived type, write \
            `#[kvick(with = kvick::codec::Serde<Vec<{Self}>>)]` before the field"
)]
pub trait Number: FromBytes + IntoBytes + Immutable + Copy + Send + Sync + 'static {
    /// The name of the type, as Rust has it.
    const NAME: &'static str;

    /// Returns the number with its bytes in little-endian order, or the number of such bytes.
    #[must_use]
    fn little_endian(self) -> Self;
}

/// A [`Number`] that is equal to another exactly if its bytes are.
#[diagnostic::on_unimplemented(
    message = "a key cannot hold a list of `{Self}`: only arrays, slices and vectors of integers",
    label = "is not an integer",
    note = "use a tuple, or `ZeroCopy<[T; N]>`, as the type of the key"
)]
pub trait Integer: Number {}

macro_rules! integers {
    ($($integer:ident)+) => {$(
        impl Number for $integer {
            const NAME: &'static str = stringify!($integer);

            #[inline]
            fn little_endian(self) -> Self {
                self.to_le()
            }
        }

        impl Integer for $integer {}
    )+};
}

integers! { u16 u32 u64 u128 i8 i16 i32 i64 i128 }

macro_rules! floats {
    ($($float:ident)+) => {$(
        impl Number for $float {
            const NAME: &'static str = stringify!($float);

            #[inline]
            fn little_endian(self) -> Self {
                Self::from_bits(self.to_bits().to_le())
            }
        }
    )+};
}

floats! { f32 f64 }

macro_rules! list {
    ($($implementor:ty),+) => {$(
        impl<T: Number> Value for $implementor {
            type Item = [T];
            type Owned = Vec<T>;
            type View<'a> = Cow<'a, [T]>;
            type Bytes<'a> = Cow<'a, [u8]>;
            const WIDTH: Option<usize> = None;

            fn type_name() -> Cow<'static, str> {
                Cow::Owned(format!("[{}]", T::NAME))
            }

            #[inline]
            fn encode(item: &[T]) -> Result<Cow<'_, [u8]>, CodecError> {
                Ok(to_bytes(item))
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<Cow<'_, [T]>, CodecError> {
                if IS_IN_PLACE && let Ok(items) = <[T]>::ref_from_bytes(bytes) {
                    return Ok(Cow::Borrowed(items));
                }
                to_vec(bytes).map(Cow::Owned)
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Vec<T>, CodecError> {
                to_vec(bytes)
            }
        }

        impl<T: Integer> Key for $implementor {}
    )+};
}

list! { [T], Vec<T> }

impl<T: Number, const N: usize> Value for [T; N] {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Cow<'a, Self>;
    type Bytes<'a> = Cow<'a, [u8]>;
    const WIDTH: Option<usize> = Some(size_of::<Self>());

    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("[{}; {N}]", T::NAME))
    }

    #[inline]
    fn encode(item: &Self) -> Result<Cow<'_, [u8]>, CodecError> {
        Ok(to_bytes(item))
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<Cow<'_, Self>, CodecError> {
        if IS_IN_PLACE && let Ok(items) = Self::ref_from_bytes(bytes) {
            return Ok(Cow::Borrowed(items));
        }
        Self::decode(bytes).map(Cow::Owned)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match Self::read_from_bytes(bytes) {
            Ok(items) if IS_IN_PLACE => Ok(items),
            Ok(items) => Ok(items.map(T::little_endian)),
            Err(_) => Err(wrong_length::<Self>(bytes.len())),
        }
    }

    fn decode_boxed(bytes: &[u8]) -> Result<Box<Self>, CodecError> {
        let boxed = to_vec::<T>(bytes)?.into_boxed_slice();
        boxed.try_into().map_err(|_| wrong_length::<Self>(bytes.len()))
    }
}

impl<T: Integer, const N: usize> Key for [T; N] {}

/// Whether the memory of a number is its encoding.
const IS_IN_PLACE: bool = cfg!(target_endian = "little");

#[inline]
fn to_bytes<T: Number>(items: &[T]) -> Cow<'_, [u8]> {
    if IS_IN_PLACE {
        return Cow::Borrowed(items.as_bytes());
    }
    let swapped: Vec<T> = items.iter().map(|item| item.little_endian()).collect();
    Cow::Owned(swapped.as_bytes().to_vec())
}

fn to_vec<T: Number>(bytes: &[u8]) -> Result<Vec<T>, CodecError> {
    let item_bytes = size_of::<T>();
    if !bytes.len().is_multiple_of(item_bytes) {
        let reason = format_args!("{} bytes, each item has {item_bytes}", bytes.len());
        return Err(CodecError::malformed(&<[T]>::type_name(), reason));
    }
    let mut items = vec![T::new_zeroed(); bytes.len() / item_bytes];
    items.as_mut_bytes().copy_from_slice(bytes);
    if !IS_IN_PLACE {
        items.iter_mut().for_each(|item| *item = item.little_endian());
    }
    Ok(items)
}

#[cold]
fn wrong_length<V: Value>(got: usize) -> CodecError {
    CodecError::wrong_length(&V::type_name(), V::WIDTH.unwrap_or(0), got)
}
