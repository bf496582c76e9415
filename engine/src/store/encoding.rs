//! Keys and values to bytes and back, with errors that say what failed, and of which type.

use crate::codec::{CodecError, Key, Value};
use crate::error::{Error, Result};
use std::any::type_name;

#[inline(always)]
pub(super) fn encode_key<K: Key + ?Sized>(key: &K::Item) -> Result<K::Bytes<'_>> {
    K::encode(key).map_err(failed::<K>("encoding the key"))
}

/// The bytes of a key, as a copy.
pub(super) fn owned_key<K: Key + ?Sized>(key: &K::Item) -> Result<Vec<u8>> {
    Ok(encode_key::<K>(key)?.as_ref().to_vec())
}

#[inline(always)]
pub(super) fn encode_value<V: Value + ?Sized>(value: &V::Item) -> Result<V::Bytes<'_>> {
    V::encode(value).map_err(failed::<V>("encoding the value"))
}

#[inline(always)]
pub(super) fn decode_value<V: Value + ?Sized>(bytes: &[u8]) -> Result<V::Owned> {
    V::decode(bytes).map_err(failed::<V>("decoding the value"))
}

/// As [`decode_value`], onto the heap.
pub(super) fn decode_boxed<V: Value + ?Sized>(bytes: &[u8]) -> Result<Box<V::Owned>> {
    V::decode_boxed(bytes).map_err(failed::<V>("decoding the value"))
}

/// Whether values are so large that they are to pass over the stack as seldom as possible. Others
/// cost less to move than to allocate.
pub(crate) const fn is_large<V: Value + ?Sized>() -> bool {
    size_of::<V::Owned>() > LARGE
}

/// In a build without optimisation a value is moved some dozens of times on its way out.
const LARGE: usize = 4096;

#[inline(always)]
pub(super) fn view_value<V: Value + ?Sized>(bytes: &[u8]) -> Result<V::View<'_>> {
    V::view(bytes).map_err(failed::<V>("decoding the value"))
}

/// Names the type as it is called in the program: two encodings of one format differ in it.
fn failed<T: ?Sized>(doing: &'static str) -> impl FnOnce(CodecError) -> Error {
    #[cold]
    fn told(doing: &str, name: &str, error: CodecError) -> Error {
        Error::codec(format!("{doing} as {name}"), error)
    }
    move |error| told(doing, type_name::<T>(), error)
}
