//! Any serde type, in the format of postcard.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CodecError, Value, round_trip};

/// Stores a `T` in the postcard format, for types that derive serde's traits.
///
/// It is compact and simple; every read decodes the whole value. It is not for keys: a `T` may
/// contain a map whose order varies. The format has no field names. So a changed `T` reads the
/// bytes of an older `T` only if the change is compatible by postcard's rules.
///
/// In this format some derived types write bytes that they cannot read: types with `untagged`,
/// `flatten` or `skip_serializing_if`. So encoded values are decoded again as a check, and an
/// operation fails if its value does not come back. Builds with debug assertions check all values.
/// Other builds check the first 1024 values of a type in each thread, and then one in 64.
///
/// # Example
///
/// ```
/// use kvick::{Serde, Value};
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
/// # Ok::<(), kvick::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Serde<T>(PhantomData<fn() -> T>);

const NAME: &str = "postcard";

impl<T: Serialize + DeserializeOwned + Send + 'static> Value for Serde<T> {
    type Item = T;
    type Owned = T;
    type View<'a> = T;
    type Bytes<'a> = Vec<u8>;
    const WIDTH: Option<usize> = None;

    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(NAME)
    }

    fn fingerprint() -> Cow<'static, str> {
        Cow::Owned(format!("{NAME} {}", std::any::type_name::<T>()))
    }

    #[inline]
    fn encode(item: &T) -> Result<Vec<u8>, CodecError> {
        let bytes = to_bytes(item)?;
        if round_trip::is_due::<T>() {
            round_trip::check(&bytes, Self::decode(&bytes), to_bytes)?;
        }
        Ok(bytes)
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<T, CodecError> {
        let (item, rest) =
            postcard::take_from_bytes(bytes).map_err(|error| CodecError::malformed(NAME, error))?;
        if rest.is_empty() {
            Ok(item)
        } else {
            let reason = format_args!("{} bytes left over", rest.len());
            Err(CodecError::malformed(NAME, reason))
        }
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        Self::view(bytes)
    }
}

fn to_bytes<T: Serialize>(item: &T) -> Result<Vec<u8>, CodecError> {
    postcard::to_stdvec(item).map_err(|error| CodecError::malformed(NAME, error))
}
