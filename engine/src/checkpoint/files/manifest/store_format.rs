//! The types and sizes of a store, as its manifest has them.

use crate::base::error::{Error, Result};
use crate::codec::TypeName;
use crate::manifest::text::Hex;
use serde::{Deserialize, Serialize};

/// No store was made with larger pages.
const LARGEST_PAGE: u64 = 32 << 20;

/// The types and sizes with which a store was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreFormat {
    pub(crate) key: String,
    pub(crate) value: String,
    /// The number of bytes of every key, if all keys have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_width: Option<usize>,
    /// The number of bytes of every value, if all values have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_width: Option<usize>,
    /// Tells the type of keys from other types of the same encoding, if the encoding does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_fingerprint: Option<String>,
    /// Tells the type of values from other types of the same encoding, if the encoding does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_fingerprint: Option<String>,
    pub(crate) hash: String,
    pub(crate) seed: Hex,
    /// The hash of `kvick` under the seed. A build that computes another hash cannot find a key.
    pub(crate) hash_of_kvick: Hex,
    pub(crate) salt: Hex,
    pub(crate) page_bytes: u64,
    pub(crate) unit_bytes: u64,
    /// The number of bytes that the medium writes at once. It may damage all of them.
    pub(crate) block_bytes: u64,
    pub(crate) segment_bytes: u64,
    /// Chains of records belong to buckets, so opening must not change the number of buckets.
    pub(crate) index_buckets: u64,
}

impl StoreFormat {
    pub(crate) fn key_type(&self) -> TypeName {
        TypeName {
            encoding: self.key.clone(),
            width: self.key_width,
            fingerprint: self.key_fingerprint.clone(),
        }
    }

    pub(crate) fn value_type(&self) -> TypeName {
        TypeName {
            encoding: self.value.clone(),
            width: self.value_width,
            fingerprint: self.value_fingerprint.clone(),
        }
    }

    /// Replaces the names of the types; their widths stay.
    pub(crate) fn set_types(&mut self, key: &TypeName, value: &TypeName) {
        self.key.clone_from(&key.encoding);
        self.key_fingerprint.clone_from(&key.fingerprint);
        self.value.clone_from(&value.encoding);
        self.value_fingerprint.clone_from(&value.fingerprint);
    }

    /// Checks that this build can compute with the sizes of pages and units.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(crate) fn check_sizes(&self) -> Result<()> {
        let is_sound = self.page_bytes.is_power_of_two()
            && self.page_bytes <= LARGEST_PAGE
            && self.unit_bytes.is_power_of_two()
            && (512..=self.page_bytes).contains(&self.unit_bytes)
            && self.block_bytes.is_power_of_two();
        if is_sound {
            return Ok(());
        }
        let Self { page_bytes, unit_bytes, .. } = self;
        Err(Error::unsupported(format!("pages of {page_bytes} bytes in units of {unit_bytes}")))
    }
}
