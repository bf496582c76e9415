//! Converts between types and the bytes of keys and values in the log.
//!
//! A type that implements [`Value`] defines how its values become bytes, and how bytes become an
//! owned value or a borrowed view. A [`Key`] also promises that equal keys have equal bytes, since
//! the store compares and hashes only bytes.
//!
//! Decoding trusts nothing: it returns a [`codec::Error`](CodecError) for bytes that no value
//! encodes to, and never panics.

mod composite;
#[doc(hidden)]
pub mod derived;
mod encoded;
mod error;
mod expiring;
#[cfg(feature = "serde")]
mod format;
mod packed;
#[cfg(feature = "rkyv")]
mod rkyv;
#[cfg(feature = "serde")]
mod serde;
mod type_name;
mod types;
mod zero_copy;

#[cfg(test)]
mod tests;

use std::borrow::{Borrow, Cow};

#[cfg(feature = "derive")]
pub use kvick_derive::{Key, Value};

pub use self::encoded::Encoded;
pub use self::error::CodecError as Error;
pub(crate) use self::error::CodecError;
pub use self::expiring::{Expires, Expiring};
#[cfg(feature = "messagepack")]
pub use self::format::MessagePack;
#[cfg(feature = "serde")]
pub use self::format::{Postcard, SerdeFormat};
pub use self::packed::{Members, Packed};
#[cfg(feature = "rkyv")]
pub use self::rkyv::{Rkyv, RkyvView};
#[cfg(feature = "serde")]
pub use self::serde::Serde;
pub(crate) use self::type_name::TypeName;
pub use self::zero_copy::ZeroCopy;

/// A type whose values can be stored.
///
/// The functions run within the polls of operations: they must not block, and must not wait for a
/// store ([why](crate::FasterKv#code-within-operations)).
///
/// The implementor may be the stored type itself (`u64`, `String`) or an unsized form of it
/// (`str`). It may also be a marker that chooses an encoding for it ([`ZeroCopy<T>`]).
///
/// | type | bytes | [width](Value::WIDTH) | view |
/// |---|---|---|---|
/// | `u8` .. `u128`, `i8` .. `i128` | little endian | size | itself |
/// | `f32`, `f64` (no keys) | little endian | size | itself |
/// | [`NonZero`](std::num::NonZero) of an integer | the integer | size | itself |
/// | `bool`, `char`, `()` | 0 or 1, scalar value, nothing | 1, 4, 0 | itself |
/// | `[u8; N]` | unchanged | `N` | `&[u8; N]` |
/// | `[u8]`, `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `Bytes` | unchanged | none | `&[u8]` |
/// | `str`, `String`, `Box<str>`, `Arc<str>` | UTF-8 | none | `&str` |
/// | `[T; N]` of other numbers (keys: integers) | one after the other | sum | `Cow<[T; N]>` |
/// | `[T]`, `Vec<T>` of other numbers (keys: integers) | one after the other | none | `Cow<[T]>` |
/// | `Duration` | seconds (`u64`), nanoseconds (`u32`) | 12 | itself |
/// | `SystemTime` | seconds from 1970 (`i64`), nanoseconds (`u32`) | 12 | itself |
/// | `Ipv4Addr`, `Ipv6Addr` | octets | 4, 16 | itself |
/// | `IpAddr` | 4 or 6, then octets, filled with zeros | 17 | itself |
/// | `SocketAddr` | `IpAddr`, port (`u16`), flow and scope (`u32`) | 27 | itself |
/// | `uuid::Uuid` (feature `uuid`) | in the order of digits | 16 | itself |
/// | `chrono::{DateTime<Utc>, NaiveDateTime}` (feature `chrono`) | as `SystemTime` | 12 | itself |
/// | `time::OffsetDateTime` (feature `time`) | as `SystemTime`; the offset is lost | 12 | itself |
/// | `chrono::NaiveDate`, `time::Date` (same features) | number of days (`i32`) | 4 | itself |
/// | `Option<T>` | 0 or 1, then `T`, or as many zeros | of `T`, plus 1 | `Option` of a view |
/// | tuples of 2 to 12 | one after the other | sum, if all have one | tuple of views |
/// | `#[derive(Value)]` (feature `derive`) | as a tuple of the fields | as a tuple | itself |
/// | [`Encoded<T>`] | those of `T` | of `T` | view of `T` |
/// | [`Expiring<T>`] | those of `T` | of `T` | view of `T` |
/// | [`ZeroCopy<T>`] | the memory of `T` | size of `T` | `Cow<T>` |
/// | `Rkyv<T>` (feature `rkyv`, no keys) | an rkyv archive | none | `RkyvView<T>` |
/// | `Serde<T, F>` (feature `serde`, no keys) | format `F`, or postcard | none | `T` |
///
/// Integers are little endian everywhere. A `Cow` borrows, unless the bytes are not aligned for
/// `T`. In a tuple, the length (4 bytes) comes before each member without a width, except the last.
/// The item of `(String, u64)` is that tuple itself; [`Encoded`] takes `(&str, u64)` for it.
/// `usize` is missing because its width depends on the machine that wrote it.
///
/// # Large values
///
/// Operations pass [`Owned`](Value::Owned) by value, so a large array such as `[u8; 131_072]`
/// passes over the stack. Values of more than 4 KiB are decoded onto the heap
/// ([`decode_boxed`](Value::decode_boxed)) and moved from there at the end. In a build without
/// optimisation, up to 20 copies of a `[u8; N]` are on the stack at once, and up to 45 in
/// `rmw_many` and `rmw_each`. These include the copies of a short closure and of
/// [`block_on`](crate::runtime::block_on). Other encodings add the copies
/// of their `decode`. `upsert`, `insert_if_absent`, `compare_and_swap` and `read_with` have no copy
/// on the stack. Prefer `[u8]` and `Vec<u8>`, or [`read_with`], for values of more than a few KiB:
/// only a pointer of them is on the stack.
///
/// [`read_with`]: crate::FasterKv::read_with
///
/// # Example
///
/// A custom type, in two bytes (`#[derive(Key, Value)]` writes the same):
///
/// ```
/// use std::borrow::Cow;
/// use kvick::{codec, Key, Value};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq)]
/// struct Cell { row: u8, column: u8 }
///
/// impl Value for Cell {
///     type Item = Self;
///     type Owned = Self;
///     type View<'a> = Self;
///     type Bytes<'a> = [u8; 2];
///     const WIDTH: Option<usize> = Some(2);
///
///     fn type_name() -> Cow<'static, str> {
///         "sheet.cell".into()
///     }
///     fn encode(item: &Self) -> Result<[u8; 2], codec::Error> {
///         Ok([item.row, item.column])
///     }
///     fn view(bytes: &[u8]) -> Result<Self, codec::Error> {
///         let [row, column] = *bytes else {
///             return Err(codec::Error::wrong_length(&Self::type_name(), 2, bytes.len()));
///         };
///         Ok(Self { row, column })
///     }
///     fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
///         Self::view(bytes)
///     }
/// }
///
/// impl Key for Cell {} // two cells are equal exactly if their bytes are
/// # let cell = Cell { row: 1, column: 2 };
/// # assert_eq!(Cell::decode(&Cell::encode(&cell)?)?, cell);
/// # assert!(Cell::decode(&[1]).is_err());
/// # Ok::<(), codec::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a store cannot hold `{Self}`: the type has no encoding",
    label = "is not a `kvick::Value`",
    note = "values are numbers, text, bytes, times, addresses, and arrays, `Option` and tuples of \
            them",
    note = "for a type of your own use `#[derive(kvick::Value)]`, or name `ZeroCopy<{Self}>`, \
            `Rkyv<{Self}>` or `Serde<{Self}>` as the type of the store, or implement \
            `kvick::Value`",
    note = "for a field of a derived type, write `#[kvick(with = kvick::codec::Serde<{Self}>)]` \
            before the field"
)]
pub trait Value: 'static {
    /// The type that operations take by reference.
    type Item: ?Sized;
    /// The type that operations return.
    type Owned: Borrow<Self::Item> + Send + 'static;
    /// The type that a reader sees in place, without a copy where the type allows it.
    type View<'a>;
    /// An encoded item: borrowed from it, or computed.
    type Bytes<'a>: AsRef<[u8]> + Send;

    /// The length of every encoded value in bytes, if all values have the same length.
    ///
    /// A value of at most 8 bytes with a width is read and updated as a single word.
    const WIDTH: Option<usize>;

    /// Whether the records of a table of these values have a time of expiry: see [`Expiring`] and
    /// [`Expires`].
    const HAS_EXPIRY: bool = false;

    /// Returns the name of this encoding.
    ///
    /// The store keeps the name and refuses to open under another. The name must not change while
    /// stores exist that hold this type.
    fn type_name() -> Cow<'static, str>;

    /// Returns a text that distinguishes this type from other types of the same encoding.
    ///
    /// For [`ZeroCopy<T>`], `Rkyv<T>` and `Serde<T>` it is the path of `T`, with its crate and
    /// modules. The store keeps the text, too, and refuses to open under another. Otherwise bytes
    /// of one type could be read as another type without an error.
    ///
    /// [`Builder::accept_type_change`](crate::Builder::accept_type_change) admits a renamed or
    /// moved type, or a type whose new form reads the old bytes.
    ///
    /// The default is the name of the encoding, which is enough if that describes the type fully.
    fn fingerprint() -> Cow<'static, str> {
        Self::type_name()
    }

    /// Removes the [fingerprint](Self::fingerprint) of this type from the start of `stored`, and
    /// returns the rest.
    ///
    /// The text may also be the fingerprint of another type whose bytes this type reads, such as an
    /// older version of itself. Then a store of that type opens with this type, and keeps the new
    /// fingerprint. The result is `None` for any other text.
    fn accept_fingerprint(stored: &str) -> Option<&str> {
        stored.strip_prefix(&*Self::fingerprint())
    }

    /// Returns the bytes of `item`; exactly [`Value::WIDTH`] of them if there is one.
    ///
    /// # Errors
    ///
    /// Fails if this item has no encoding. Its operation then fails and changes nothing.
    fn encode(item: &Self::Item) -> Result<Self::Bytes<'_>, CodecError>;

    /// Returns a view of encoded bytes in place.
    ///
    /// They usually start at a multiple of 8 in memory, but not always.
    ///
    /// # Errors
    ///
    /// Fails if no item encodes to these bytes. Must not panic.
    fn view(bytes: &[u8]) -> Result<Self::View<'_>, CodecError>;

    /// Decodes encoded bytes.
    ///
    /// # Errors
    ///
    /// Fails if no item encodes to these bytes. Must not panic.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, CodecError>;

    /// Decodes like [`decode`](Self::decode), but onto the heap; used for [large
    /// values](#large-values).
    ///
    /// By default the value passes over the stack on its way there.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode). Must not panic.
    fn decode_boxed(bytes: &[u8]) -> Result<Box<Self::Owned>, CodecError> {
        match Self::decode(bytes) {
            Ok(value) => Ok(Box::new(value)),
            Err(error) => Err(error),
        }
    }
}

/// A [`Value`] with canonical bytes: two keys are equal exactly if their bytes are equal.
///
/// This excludes floating point numbers (`0.0 == -0.0`), maps without an order and formats with
/// more than one encoding of the same value:
///
/// ```compile_fail,E0277
/// let store: kvick::FasterKv<f64, u64>;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a store",
    label = "is not a `kvick::Key`",
    note = "equal keys have equal bytes: floats, `usize`, `Serde<T>` and `Rkyv<T>` are no keys",
    note = "for a type of your own use `#[derive(kvick::Key, kvick::Value)]`, or name \
            `ZeroCopy<{Self}>` or a tuple of its fields as the type of the key, or implement \
            `kvick::Value` and `kvick::Key`"
)]
pub trait Key: Value {}
