//! Structs whose memory is their encoding.

use std::borrow::Cow;
use std::marker::PhantomData;

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::{CodecError, Key, Value};

/// Stores a `T` as its own memory, for structs that derive the zerocopy traits.
///
/// Reading in place returns a `Cow<T>`. It is borrowed if the bytes are aligned for `T`, else a
/// copy; bytes in the log are aligned for alignments of up to 8. Numbers inside `T` have the byte
/// order of the machine. Use the numbers of `zerocopy::byteorder` if the files move between
/// machines of different order.
///
/// A key of this form needs an `Eq` that compares every field, like the derived `Eq`.
///
/// # Example
///
/// ```
/// use kvick::Value;
/// use kvick::codec::ZeroCopy;
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Debug)]
/// #[repr(C)]
/// struct Account { balance: i64, opened_day: u32, flags: u32 }
///
/// type Stored = ZeroCopy<Account>; // as in FasterKv<u64, ZeroCopy<Account>>
///
/// let account = Account { balance: -5, opened_day: 20_000, flags: 1 };
/// let bytes = Stored::encode(&account)?;
/// assert_eq!(Stored::WIDTH, Some(16));
/// assert_eq!(Stored::view(bytes)?.balance, -5);
/// # assert_eq!(Stored::decode(bytes)?, account);
/// # Ok::<(), kvick::codec::Error>(())
/// ```
#[derive(Debug)]
pub struct ZeroCopy<T>(PhantomData<fn() -> T>);

impl<T> Value for ZeroCopy<T>
where
    T: TryFromBytes + IntoBytes + KnownLayout + Immutable + Clone + Send + 'static,
{
    type Item = T;
    type Owned = T;
    type View<'a> = Cow<'a, T>;
    type Bytes<'a> = &'a [u8];
    const WIDTH: Option<usize> = Some(size_of::<T>());

    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("zerocopy {} bytes", size_of::<T>()))
    }

    fn fingerprint() -> Cow<'static, str> {
        Cow::Owned(format!("zerocopy {}", std::any::type_name::<T>()))
    }

    #[inline]
    fn encode(item: &T) -> Result<&[u8], CodecError> {
        Ok(item.as_bytes())
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<Cow<'_, T>, CodecError> {
        match T::try_ref_from_bytes(bytes) {
            Ok(item) => Ok(Cow::Borrowed(item)),
            // Unaligned, too short or malformed: the copy shows the reason.
            Err(_) => Self::decode(bytes).map(Cow::Owned),
        }
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        T::try_read_from_bytes(bytes).map_err(|_| malformed::<T>(bytes.len()))
    }
}

impl<T: Eq> Key for ZeroCopy<T> where Self: Value {}

#[cold]
fn malformed<T: KnownLayout>(got: usize) -> CodecError
where
    ZeroCopy<T>: Value,
{
    let type_name = ZeroCopy::<T>::type_name();
    if got == size_of::<T>() {
        CodecError::malformed(&type_name, "a field holds a value its type does not have")
    } else {
        CodecError::wrong_length(&type_name, size_of::<T>(), got)
    }
}
