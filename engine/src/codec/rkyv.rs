//! Archived values, read in place.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error as RkyvError;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use super::{CodecError, Value};

/// Needs the feature `rkyv`. Stores a `T` as an rkyv archive, for types that derive rkyv's traits.
///
/// Reading in place returns the archived value directly from the page, checked once. Bytes that are
/// not aligned for it are copied first, and checked again at each use of the view. This can happen
/// only to archives with 16-byte alignment (`u128` inside).
///
/// # Example
///
/// ```
/// use kvick::Value;
/// use kvick::codec::Rkyv;
///
/// #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, PartialEq, Debug)]
/// struct Profile { name: String, logins: u32 }
///
/// type Stored = Rkyv<Profile>; // as in FasterKv<u64, Rkyv<Profile>>
///
/// let profile = Profile { name: "Ada".into(), logins: 3 };
/// let bytes = Stored::encode(&profile)?;
/// let view = Stored::view(&bytes)?;
/// assert_eq!(view.name, "Ada"); // no String was made
/// # assert_eq!(Stored::decode(&bytes)?, profile);
/// # Ok::<(), kvick::codec::Error>(())
/// ```
#[derive(Debug)]
pub struct Rkyv<T>(PhantomData<fn() -> T>);

/// An archived `T` in stored bytes.
pub struct RkyvView<'a, T: Archive>(Archived<'a, T>);

enum Archived<'a, T: Archive> {
    InPlace(&'a T::Archived),
    Copied(AlignedVec),
}

const NAME: &str = "rkyv 0.8";

/// The traits that an archived type needs to be read from untrusted bytes.
pub trait Checked: for<'a> CheckBytes<HighValidator<'a, RkyvError>> + rkyv::Portable {}

impl<A> Checked for A where A: for<'a> CheckBytes<HighValidator<'a, RkyvError>> + rkyv::Portable {}

impl<T> Value for Rkyv<T>
where
    T: Archive<Archived: Checked + Deserialize<T, HighDeserializer<RkyvError>>> + Send + 'static,
    T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, RkyvError>>,
{
    type Item = T;
    type Owned = T;
    type View<'a> = RkyvView<'a, T>;
    type Bytes<'a> = AlignedVec;
    const WIDTH: Option<usize> = None;

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(NAME)
    }

    fn fingerprint() -> Cow<'static, str> {
        Cow::Owned(format!("{NAME} {}", std::any::type_name::<T>()))
    }

    #[inline]
    fn encode(item: &T) -> Result<AlignedVec, CodecError> {
        rkyv::to_bytes(item).map_err(|error: RkyvError| CodecError::malformed(NAME, error))
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<RkyvView<'_, T>, CodecError> {
        if bytes.as_ptr().addr().is_multiple_of(align_of::<T::Archived>()) {
            return check::<T>(bytes).map(|archived| RkyvView(Archived::InPlace(archived)));
        }
        let mut copy = AlignedVec::with_capacity(bytes.len());
        copy.extend_from_slice(bytes);
        check::<T>(&copy)?;
        Ok(RkyvView(Archived::Copied(copy)))
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        let view = Self::view(bytes)?;
        rkyv::deserialize(&*view).map_err(|error: RkyvError| CodecError::malformed(NAME, error))
    }
}

impl<T: Archive<Archived: Checked>> Deref for RkyvView<'_, T> {
    type Target = T::Archived;

    #[inline]
    fn deref(&self) -> &T::Archived {
        match &self.0 {
            Archived::InPlace(archived) => archived,
            Archived::Copied(bytes) => {
                check::<T>(bytes).expect("the same bytes passed when the view was made")
            }
        }
    }
}

impl<T: Archive<Archived: Checked + fmt::Debug>> fmt::Debug for RkyvView<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

fn check<T: Archive<Archived: Checked>>(bytes: &[u8]) -> Result<&T::Archived, CodecError> {
    rkyv::access(bytes).map_err(|error: RkyvError| CodecError::malformed(NAME, error))
}
