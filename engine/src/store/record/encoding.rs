//! Encodes and decodes keys and values. Errors name the failed step and the type.

use crate::base::error::{Error, Result};
use crate::codec::{CodecError, Key, Value};
use std::any::type_name;

#[inline(always)]
pub(crate) fn encode_key<K: Key + ?Sized>(key: &K::Item) -> Result<K::Bytes<'_>> {
    K::encode(key).map_err(failed::<K>("encoding the key"))
}

/// Returns a copy of the bytes of a key.
pub(in crate::store) fn owned_key<K: Key + ?Sized>(key: &K::Item) -> Result<Vec<u8>> {
    Ok(encode_key::<K>(key)?.as_ref().to_vec())
}

pub(crate) fn decode_key<K: Key + ?Sized>(bytes: &[u8]) -> Result<K::Owned> {
    K::decode(bytes).map_err(failed::<K>("decoding the key"))
}

pub(crate) fn view_key<K: Key + ?Sized>(bytes: &[u8]) -> Result<K::View<'_>> {
    K::view(bytes).map_err(failed::<K>("decoding the key"))
}

#[inline(always)]
pub(crate) fn encode_value<V: Value + ?Sized>(value: &V::Item) -> Result<V::Bytes<'_>> {
    V::encode(value).map_err(failed::<V>("encoding the value"))
}

#[inline(always)]
pub(crate) fn decode_value<V: Value + ?Sized>(bytes: &[u8]) -> Result<V::Owned> {
    V::decode(bytes).map_err(failed::<V>("decoding the value"))
}

/// As [`decode_value`], but onto the heap.
pub(in crate::store) fn decode_boxed<V: Value + ?Sized>(bytes: &[u8]) -> Result<Box<V::Owned>> {
    V::decode_boxed(bytes).map_err(failed::<V>("decoding the value"))
}

/// Returns whether values are so large that they should pass over the stack as rarely as possible.
/// Smaller values cost less to move than to allocate.
pub(crate) const fn is_large<V: Value + ?Sized>() -> bool {
    size_of::<V::Owned>() > LARGE
}

/// The number of bytes above which a value is large. A build without optimisation moves a value
/// some dozens of times until it is returned.
const LARGE: usize = 4096;

#[inline(always)]
pub(crate) fn view_value<V: Value + ?Sized>(bytes: &[u8]) -> Result<V::View<'_>> {
    V::view(bytes).map_err(failed::<V>("decoding the value"))
}

/// Adds the name of the type in the program, which tells two encodings of one format apart.
fn failed<T: ?Sized>(doing: &'static str) -> impl FnOnce(CodecError) -> Error {
    #[cold]
    fn told(doing: &str, name: &str, error: CodecError) -> Error {
        Error::codec(format!("{doing} as {name}"), error)
    }
    move |error| told(doing, type_name::<T>(), error)
}
