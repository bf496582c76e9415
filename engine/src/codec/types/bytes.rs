//! Byte strings and text, stored unchanged and read in place.

use std::borrow::Cow;
use std::sync::Arc;

use ::bytes::Bytes;

use crate::codec::{CodecError, Key, Value};

macro_rules! byte_string {
    ($($implementor:ty => $owned:ty, $copy:path;)+) => {$(
        impl Value for $implementor {
            type Item = [u8];
            type Owned = $owned;
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
            fn decode(bytes: &[u8]) -> Result<$owned, CodecError> {
                Ok($copy(bytes))
            }
        }

        impl Key for $implementor {}
    )+};
}

byte_string! {
    [u8] => Vec<u8>, Vec::from;
    Vec<u8> => Vec<u8>, Vec::from;
    Box<[u8]> => Box<[u8]>, Box::from;
    Arc<[u8]> => Arc<[u8]>, Arc::from;
    Bytes => Bytes, Bytes::copy_from_slice;
}

macro_rules! text {
    ($($implementor:ty => $owned:ty),+) => {$(
        impl Value for $implementor {
            type Item = str;
            type Owned = $owned;
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
            fn decode(bytes: &[u8]) -> Result<$owned, CodecError> {
                Self::view(bytes).map(<$owned>::from)
            }
        }

        impl Key for $implementor {}
    )+};
}

text! {
    str => String,
    String => String,
    Box<str> => Box<str>,
    Arc<str> => Arc<str>
}
