//! Numbers and other types whose values all have one length in bytes.

use std::borrow::Cow;
use std::num::NonZero;

use crate::codec::{CodecError, Key, Value};

macro_rules! number {
    ($($number:ident)+) => {$(
        impl Value for $number {
            type Item = Self;
            type Owned = Self;
            type View<'a> = Self;
            type Bytes<'a> = [u8; size_of::<Self>()];
            const WIDTH: Option<usize> = Some(size_of::<Self>());

            fn type_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($number))
            }

            #[inline]
            fn encode(item: &Self) -> Result<Self::Bytes<'_>, CodecError> {
                Ok(item.to_le_bytes())
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<Self, CodecError> {
                Ok(Self::from_le_bytes(*exactly(stringify!($number), bytes)?))
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                Self::view(bytes)
            }
        }
    )+};
}

number! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 }

macro_rules! key {
    ($($key:ident)+) => {$( impl Key for $key {} )+};
}

/// Implements [`Value`] for a type with an encoding of one length, from the conversions to and from
/// an array.
macro_rules! fixed {
    ($type:ty, $width:expr, $name:literal, $encode:path, $decode:path) => {
        impl $crate::codec::Value for $type {
            type Item = Self;
            type Owned = Self;
            type View<'a> = Self;
            type Bytes<'a> = [u8; $width];
            const WIDTH: Option<usize> = Some($width);

            fn type_name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed($name)
            }

            #[inline]
            fn encode(item: &Self) -> Result<[u8; $width], $crate::codec::CodecError> {
                $encode(*item)
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<Self, $crate::codec::CodecError> {
                $decode(*$crate::codec::types::fixed::exactly($name, bytes)?)
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, $crate::codec::CodecError> {
                Self::view(bytes)
            }
        }
    };
}

pub(super) use fixed;

fixed! { bool, 1, "bool", from_bool, to_bool }
fixed! { char, 4, "char", from_char, to_char }
fixed! { (), 0, "()", from_unit, to_unit }

key! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 bool char }

impl Key for () {}

#[inline]
fn from_bool(item: bool) -> Result<[u8; 1], CodecError> {
    Ok([u8::from(item)])
}

#[inline]
fn to_bool(bytes: [u8; 1]) -> Result<bool, CodecError> {
    match bytes {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(CodecError::malformed("bool", format_args!("{other} is not 0 or 1"))),
    }
}

#[inline]
fn from_char(item: char) -> Result<[u8; 4], CodecError> {
    Ok(u32::from(item).to_le_bytes())
}

#[inline]
fn to_char(bytes: [u8; 4]) -> Result<char, CodecError> {
    let scalar = u32::from_le_bytes(bytes);
    char::from_u32(scalar).ok_or_else(|| {
        CodecError::malformed("char", format_args!("{scalar:#x} is no Unicode scalar value"))
    })
}

#[inline]
fn from_unit((): ()) -> Result<[u8; 0], CodecError> {
    Ok([])
}

#[inline]
fn to_unit([]: [u8; 0]) -> Result<(), CodecError> {
    Ok(())
}

macro_rules! nonzero {
    ($($integer:ident)+) => {$(
        impl Value for NonZero<$integer> {
            type Item = Self;
            type Owned = Self;
            type View<'a> = Self;
            type Bytes<'a> = [u8; size_of::<Self>()];
            const WIDTH: Option<usize> = Some(size_of::<Self>());

            fn type_name() -> Cow<'static, str> {
                Cow::Borrowed(concat!("nonzero ", stringify!($integer)))
            }

            #[inline]
            fn encode(item: &Self) -> Result<Self::Bytes<'_>, CodecError> {
                Ok(item.get().to_le_bytes())
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<Self, CodecError> {
                Self::new($integer::view(bytes)?)
                    .ok_or_else(|| CodecError::malformed(&Self::type_name(), "0"))
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                Self::view(bytes)
            }
        }

        impl Key for NonZero<$integer> {}
    )+};
}

nonzero! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }

impl<const N: usize> Value for [u8; N] {
    type Item = Self;
    type Owned = Self;
    type View<'a> = &'a Self;
    type Bytes<'a> = &'a Self;
    const WIDTH: Option<usize> = Some(N);

    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("[u8; {N}]"))
    }

    #[inline]
    fn encode(item: &Self) -> Result<&Self, CodecError> {
        Ok(item)
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<&Self, CodecError> {
        exactly("[u8; N]", bytes)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::view(bytes).copied()
    }

    fn decode_boxed(bytes: &[u8]) -> Result<Box<Self>, CodecError> {
        let boxed = Box::<[u8]>::from(bytes);
        boxed.try_into().map_err(|_| CodecError::wrong_length("[u8; N]", N, bytes.len()))
    }
}

impl<const N: usize> Key for [u8; N] {}

#[inline]
pub(super) fn exactly<'a, const N: usize>(
    type_name: &'static str,
    bytes: &'a [u8],
) -> Result<&'a [u8; N], CodecError> {
    bytes.try_into().map_err(|_| CodecError::wrong_length(type_name, N, bytes.len()))
}
