//! The code that the macros of `kvick-derive` call. It is no part of the interface.

use std::borrow::Borrow;

use super::packed::{Packed, sum, take_member};
use super::{CodecError, Key, Value};

/// A derived type.
pub trait Derived: Value {
    /// The name that a store keeps.
    const NAME: &'static str;
    /// 0 if the type has no version.
    const VERSION: u8;
}

/// Writes the fields of a derived type.
#[derive(Debug)]
pub struct Writer(Packed);

/// Reads the fields of a derived type.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl Writer {
    /// Creates a writer without bytes.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self(Packed::EMPTY)
    }

    /// Writes a version or the number of a variant.
    #[inline]
    pub fn tag(&mut self, tag: u8) {
        self.0.push(&[tag]);
    }

    /// Writes a field that is not the last.
    ///
    /// # Errors
    ///
    /// Fails if the field has no encoding.
    #[inline]
    pub fn member<M: Value>(&mut self, item: &M::Owned) -> Result<(), CodecError> {
        self.0.push_member::<M>(item.borrow())
    }

    /// Writes the last field.
    ///
    /// # Errors
    ///
    /// Fails if the field has no encoding.
    #[inline]
    pub fn last<M: Value>(&mut self, item: &M::Owned) -> Result<(), CodecError> {
        self.0.push(M::encode(item.borrow())?.as_ref());
        Ok(())
    }

    /// Returns the written bytes.
    #[inline]
    #[must_use]
    pub fn finish(self) -> Packed {
        self.0
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Reader<'a> {
    /// Creates a reader of a whole value.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads a version or the number of a variant.
    ///
    /// # Errors
    ///
    /// Fails if no byte is left.
    #[inline]
    pub fn tag(&mut self, name: &str) -> Result<u8, CodecError> {
        let (tag, rest) = self
            .0
            .split_first()
            .ok_or_else(|| CodecError::malformed(name, "ends before its version or variant"))?;
        self.0 = rest;
        Ok(*tag)
    }

    /// Reads a field that is not the last.
    ///
    /// # Errors
    ///
    /// Fails if its bytes are too few, or encode no item.
    #[inline]
    pub fn member<M: Value>(&mut self) -> Result<M::Owned, CodecError> {
        M::decode(take_member::<M>(&mut self.0)?)
    }

    /// Reads the last field.
    ///
    /// # Errors
    ///
    /// Fails if its bytes encode no item.
    #[inline]
    pub fn last<M: Value>(&mut self) -> Result<M::Owned, CodecError> {
        M::decode(self.0)
    }

    /// Checks that no bytes are left.
    ///
    /// # Errors
    ///
    /// Fails if some are left.
    #[inline]
    pub fn end(&self, name: &str) -> Result<(), CodecError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(CodecError::malformed(name, format_args!("{} bytes left over", self.0.len())))
    }
}

/// Returns the sum of widths, if all have one.
#[must_use]
pub const fn width(members: &[Option<usize>]) -> Option<usize> {
    sum(members)
}

/// Compiles only for a key.
pub const fn is_key<K: Key + ?Sized>() {}

/// Creates the error of a version that no `from` names.
#[cold]
#[must_use]
pub fn unknown_version(name: &str, version: u8) -> CodecError {
    let reason = format_args!("a value of version {version}, which this type does not read");
    CodecError::malformed(name, reason)
}

/// Creates the error of a variant that the enum does not have.
#[cold]
#[must_use]
pub fn unknown_variant(name: &str, number: u8) -> CodecError {
    CodecError::malformed(name, format_args!("there is no variant {number}"))
}

/// Checks that `Old` is version `version` of `New`.
///
/// # Panics
///
/// Panics if it has another name or version: the program does not compile.
pub const fn assert_older<New: Derived, Old: Derived>(version: u8) {
    assert!(is_same(New::NAME, Old::NAME), "the older type needs the same `name`");
    assert!(Old::VERSION == version, "the older type needs the `version` in `from(version)`");
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut position = 0;
    while position < one.len() && position < other.len() && one[position] == other[position] {
        position += 1;
    }
    position == one.len() && position == other.len()
}
