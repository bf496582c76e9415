//! Any serde type, in postcard's format.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CodecError, Value, round_trip};

/// Stores a `T` in the postcard format, for types that derive serde's traits.
///
/// Compact and simple; every read decodes the whole value. Not for keys: a `T` may contain a map
/// whose order varies. The format has no field names, so a changed `T` does not read what an older
/// one wrote unless the change is compatible by postcard's rules.
///
/// Some derived types write in this format what cannot be read again: those with `untagged`,
/// `flatten` or `skip_serializing_if`. So values are decoded again when they are encoded, and an
/// operation that would store one that does not come back fails: all of them in builds with debug
/// assertions, else the first 1024 of a type in each thread, and then one in 64.
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
