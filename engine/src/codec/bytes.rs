//! Byte strings and text, stored unchanged and read in place.

use std::borrow::Cow;

use super::{CodecError, Key, Value};

macro_rules! byte_string {
    ($($implementor:ty),+) => {$(
        impl Value for $implementor {
            type Item = [u8];
            type Owned = Vec<u8>;
            type View<'a> = &'a [u8];
            type Bytes<'a> = &'a [u8];
            const WIDTH: Option<usize> = None;

            fn type_name() -> Cow<'static, str> {
                Cow::Borrowed("[u8]")
            }

            #[inline]
            fn encode(item: &[u8]) -> Result<&[u8], CodecError> {
                Ok(item)
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<&[u8], CodecError> {
                Ok(bytes)
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
                Ok(bytes.to_vec())
            }
        }

        impl Key for $implementor {}
    )+};
}

byte_string! { [u8], Vec<u8> }

macro_rules! text {
    ($($implementor:ty),+) => {$(
        impl Value for $implementor {
            type Item = str;
            type Owned = String;
            type View<'a> = &'a str;
            type Bytes<'a> = &'a [u8];
            const WIDTH: Option<usize> = None;

            fn type_name() -> Cow<'static, str> {
                Cow::Borrowed("str")
            }

            #[inline]
            fn encode(item: &str) -> Result<&[u8], CodecError> {
                Ok(item.as_bytes())
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<&str, CodecError> {
                std::str::from_utf8(bytes).map_err(|error| CodecError::malformed("str", error))
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<String, CodecError> {
                Self::view(bytes).map(str::to_owned)
            }
        }

        impl Key for $implementor {}
    )+};
}

text! { str, String }
