//! Any serde type, in a format of choice.

mod round_trip;

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::format::{Postcard, SerdeFormat};
use super::{CodecError, Value};

/// Needs the feature `serde`. Stores a `T` in a format of serde, for types that derive serde's
/// traits.
///
/// The format is [`Postcard`] if none is named. `MessagePack` (feature `messagepack`) is for types
/// that gain and lose fields, and [`SerdeFormat`] takes any other format.
///
/// It is simple; every read decodes the whole value. It is not for keys: a `T` may contain a map
/// whose order varies.
///
/// Without names of fields, some derived types write bytes that they cannot read: types with
/// `untagged`, `flatten` or `skip_serializing_if`. So encoded values are decoded again as a check,
/// and an operation fails if its value does not come back. Builds with debug assertions check all
/// values. Other builds check the first 1024 values of a type in each thread, and then one in 64.
///
/// # Example
///
/// ```
/// use kvick::Value;
/// use kvick::codec::Serde;
///
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Profile { name: String, logins: u32 }
///
/// type Stored = Serde<Profile>; // as in FasterKv<u64, Serde<Profile>>
///
/// let profile = Profile { name: "Ada".into(), logins: 3 };
/// let bytes = Stored::encode(&profile)?;
/// assert_eq!(bytes.len(), 5);
/// assert_eq!(Stored::decode(&bytes)?, profile);
/// # Ok::<(), kvick::codec::Error>(())
/// ```
#[derive(Debug)]
pub struct Serde<T, F = Postcard>(PhantomData<fn() -> (T, F)>);

impl<T, F> Value for Serde<T, F>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    F: SerdeFormat,
{
    type Item = T;
    type Owned = T;
    type View<'a> = T;
    type Bytes<'a> = Vec<u8>;
    const WIDTH: Option<usize> = None;

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(F::NAME)
    }

    fn fingerprint() -> Cow<'static, str> {
        Cow::Owned(format!("{} {}", F::NAME, std::any::type_name::<T>()))
    }

    #[inline]
    fn encode(item: &T) -> Result<Vec<u8>, CodecError> {
        let bytes = F::to_bytes(item)?;
        if round_trip::is_due::<Self>() {
            round_trip::check(&bytes, F::from_bytes::<T>(&bytes), F::to_bytes)?;
        }
        Ok(bytes)
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<T, CodecError> {
        F::from_bytes(bytes)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        F::from_bytes(bytes)
    }
}
