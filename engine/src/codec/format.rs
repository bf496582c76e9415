//! The formats of `Serde<T>`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;

/// Needs the feature `serde`. A format of [`Serde<T, F>`](super::Serde), for any serde type.
///
/// Implement it for a format that kvick does not have, such as JSON.
pub trait SerdeFormat: 'static {
    /// The name of the format. A store keeps it and refuses to open with another.
    const NAME: &'static str;

    /// Returns `item` in this format.
    ///
    /// # Errors
    ///
    /// Fails if the item has no form in this format.
    fn to_bytes<T: Serialize>(item: &T) -> Result<Vec<u8>, CodecError>;

    /// Reads an item from all of `bytes`.
    ///
    /// # Errors
    ///
    /// Fails if they are not one item, or if bytes are left over. Must not panic.
    fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// Needs the feature `serde`. The format of [postcard](https://docs.rs/postcard): binary and
/// compact, without names of fields.
///
/// A changed type reads older bytes only if the change is compatible by postcard's rules: no field
/// comes or goes, and variants come last.
#[derive(Debug)]
pub enum Postcard {}

impl SerdeFormat for Postcard {
    const NAME: &'static str = "postcard";

    fn to_bytes<T: Serialize>(item: &T) -> Result<Vec<u8>, CodecError> {
        postcard::to_stdvec(item).map_err(|error| CodecError::malformed(Self::NAME, error))
    }

    fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let (item, rest) = postcard::take_from_bytes(bytes)
            .map_err(|error| CodecError::malformed(Self::NAME, error))?;
        nothing_left(Self::NAME, rest)?;
        Ok(item)
    }
}

/// Needs the feature `messagepack`. The format of [MessagePack](https://msgpack.org), with the
/// names of fields and variants.
///
/// A type may gain fields with `#[serde(default)]`, lose fields, and change their order: it still
/// reads older bytes, and the older type reads those of the newer one. Skipped, flattened and
/// untagged fields read back. The names make values longer. Values have at most 128 levels.
///
/// # Example
///
/// ```
/// use kvick::{codec, Value};
/// use kvick::codec::{MessagePack, Serde};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Profile { name: String }
///
/// mod newer {
/// #   use serde::{Deserialize, Serialize};
///     #[derive(Serialize, Deserialize)]
///     pub struct Profile { #[serde(default)] pub logins: u32, pub name: String }
/// }
///
/// let bytes = <Serde<Profile, MessagePack>>::encode(&Profile { name: "Ada".into() })?;
/// let newer = <Serde<newer::Profile, MessagePack>>::decode(&bytes)?;
/// assert_eq!((newer.name.as_str(), newer.logins), ("Ada", 0));
/// # Ok::<(), codec::Error>(())
/// ```
#[cfg(feature = "messagepack")]
#[derive(Debug)]
pub enum MessagePack {}

/// Deeper values are refused. The 1024 levels that the crate accepts by default overflow the stack
/// of a thread in a build without optimisation.
#[cfg(feature = "messagepack")]
const MAX_DEPTH: usize = 128;

#[cfg(feature = "messagepack")]
impl SerdeFormat for MessagePack {
    const NAME: &'static str = "messagepack";

    fn to_bytes<T: Serialize>(item: &T) -> Result<Vec<u8>, CodecError> {
        rmp_serde::to_vec_named(item).map_err(|error| CodecError::malformed(Self::NAME, error))
    }

    fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let mut rest = bytes;
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(MAX_DEPTH);
        let item = T::deserialize(&mut deserializer)
            .map_err(|error| CodecError::malformed(Self::NAME, error))?;
        nothing_left(Self::NAME, rest)?;
        Ok(item)
    }
}

fn nothing_left(name: &str, rest: &[u8]) -> Result<(), CodecError> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(CodecError::malformed(name, format_args!("{} bytes left over", rest.len())))
}
