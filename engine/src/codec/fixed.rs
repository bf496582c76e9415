//! Numbers and other types whose values all have one length in bytes.

use std::borrow::Cow;

use super::{CodecError, Key, Value};

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

key! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 bool char }

impl Value for bool {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Self;
    type Bytes<'a> = [u8; 1];
    const WIDTH: Option<usize> = Some(1);

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("bool")
    }

    #[inline]
    fn encode(item: &Self) -> Result<[u8; 1], CodecError> {
        Ok([u8::from(*item)])
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<Self, CodecError> {
        match exactly("bool", bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(CodecError::malformed("bool", format_args!("{other} is not 0 or 1"))),
        }
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::view(bytes)
    }
}

impl Value for char {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Self;
    type Bytes<'a> = [u8; 4];
    const WIDTH: Option<usize> = Some(4);

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("char")
    }

    #[inline]
    fn encode(item: &Self) -> Result<[u8; 4], CodecError> {
        Ok(u32::from(*item).to_le_bytes())
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<Self, CodecError> {
        let scalar = u32::from_le_bytes(*exactly("char", bytes)?);
        Self::from_u32(scalar).ok_or_else(|| {
            CodecError::malformed("char", format_args!("{scalar:#x} is no Unicode scalar value"))
        })
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::view(bytes)
    }
}

impl Value for () {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Self;
    type Bytes<'a> = [u8; 0];
    const WIDTH: Option<usize> = Some(0);

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("()")
    }

    #[inline]
    fn encode((): &Self) -> Result<[u8; 0], CodecError> {
        Ok([])
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<Self, CodecError> {
        exactly::<0>("()", bytes).map(|_| ())
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::view(bytes)
    }
}

impl Key for () {}

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
fn exactly<'a, const N: usize>(
    type_name: &'static str,
    bytes: &'a [u8],
) -> Result<&'a [u8; N], CodecError> {
    bytes.try_into().map_err(|_| CodecError::wrong_length(type_name, N, bytes.len()))
}
