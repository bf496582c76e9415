//! Manifests: readable text with a checksum.
//!
//! A manifest is TOML and ends with the CRC32C of everything before. The checksum is verified
//! before any other content is trusted.
//!
//! ```text
//!   kvick = "store"
//!   format = 2
//!   ...
//!   # crc32c 0x89abcdef
//! ```

use crate::base::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first words of the last line.
const CHECKSUM: &str = "# crc32c ";

/// The kind and format of a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edition {
    pub(crate) kind: &'static str,
    /// The format that this build writes, and the only format that it reads.
    pub(crate) format: u32,
    /// The features that this build knows. It refuses a manifest with any other feature.
    pub(crate) features: &'static [&'static str],
}

/// A number of 64 bits, for which TOML has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Hex(pub(crate) u64);

/// The fields that a manifest has in every format.
#[derive(Deserialize)]
struct Head {
    kvick: String,
    format: u32,
    #[serde(default)]
    features: Vec<String>,
}

/// Returns the text of a manifest, with its checksum.
pub(crate) fn encode(manifest: &impl Serialize) -> Vec<u8> {
    let mut text = toml::to_string(manifest).expect("a manifest is plain data");
    let checksum = crc32c::crc32c(text.as_bytes());
    text.push_str(&format!("{CHECKSUM}{checksum:#010x}\n"));
    text.into_bytes()
}

/// Decodes the bytes of `file`, which is named in messages.
///
/// # Errors
/// `Corrupt` if the bytes are not the written bytes; `Unsupported` for a manifest of another kind
/// or another format.
pub(crate) fn decode<T: DeserializeOwned>(file: &str, bytes: &[u8], edition: Edition) -> Result<T> {
    let text = checked(file, bytes)?;
    let head: Head = toml::from_str(text).map_err(|error| foreign(file, &error))?;
    if head.kvick != edition.kind {
        let (found, wanted) = (head.kvick, edition.kind);
        let message = format!("{file} is of a {found}, not of a {wanted}; open it as a {found}");
        return Err(Error::unsupported(message));
    }
    let unknown = head.features.iter().find(|name| !edition.features.contains(&name.as_str()));
    if head.format != edition.format || unknown.is_some() {
        let with = unknown.map_or_else(String::new, |name| format!(" with {name:?}"));
        let (found, wanted) = (head.format, edition.format);
        let advice = if found < wanted {
            "it has no migration: create the store anew"
        } else {
            "open it with a newer version of kvick"
        };
        return Err(Error::unsupported(format!(
            "{file}: format {found}{with}; this build reads format {wanted}; {advice}"
        )));
    }
    toml::from_str(text).map_err(|error| foreign(file, &error))
}

/// Returns whether a number is left out of a manifest, which reads as 0 then.
pub(crate) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// Returns the error of a manifest that contradicts itself under a correct checksum.
#[cold]
pub(crate) fn contradiction(file: &str) -> Error {
    Error::damaged("the manifest contradicts itself", file, 0)
}

/// Returns the text before the checksum, if the checksum is correct.
fn checked<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str> {
    let damaged = |expected: u64, got: u64| {
        let at = bytes.len() as u64;
        Error::corrupt("the checksum of the manifest", file, at, expected, got)
    };
    let is_none = || Error::damaged("this is no manifest", file, 0);
    let text = std::str::from_utf8(bytes).map_err(|_| is_none())?;
    let start = text.rfind(CHECKSUM).ok_or_else(is_none)?;
    let (body, last) = text.split_at(start);
    let computed = crc32c::crc32c(body.as_bytes());
    if last != format!("{CHECKSUM}{computed:#010x}\n") {
        let stored = last[CHECKSUM.len()..].trim_end().trim_start_matches("0x");
        let stored = u64::from_str_radix(stored, 16).unwrap_or(0);
        return Err(damaged(u64::from(computed), stored));
    }
    Ok(body)
}

/// The next step for a damaged or missing manifest whose copy is sound.
pub(crate) const USE_COPY: &str =
    "open with `allow_fallback` to use manifest.copy, which is sound, or restore this file";

/// The next step for a damaged or missing manifest whose copy is damaged, too.
pub(crate) const RESTORE_ONE: &str =
    "neither manifest nor manifest.copy can be read: restore one of the two from a backup";

#[cold]
fn foreign(file: &str, error: &toml::de::Error) -> Error {
    Error::unsupported(format!("{file}: not a manifest that this build reads: {}", error.message()))
}

impl From<Hex> for String {
    fn from(Hex(number): Hex) -> Self {
        format!("{number:#018x}")
    }
}

impl TryFrom<String> for Hex {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).map(Self)
    }
}
