//! The tables of a store, as its manifest has them.

use crate::base::error::{Error, Result};
use crate::codec::TypeName;
use crate::record::{Layout, TableNumber};
use serde::{Deserialize, Serialize};

/// The features of a table that this build knows. It refuses a table with any other feature.
const FEATURES: [&str; 1] = [EXPIRY];
/// The feature of a table whose records have a word for their expiry.
const EXPIRY: &str = "expiry";
/// The limit of bytes of a name.
const LONGEST_NAME: usize = 255;

/// One table of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableFormat {
    /// The number in the headers of the table's records.
    pub(crate) number: u8,
    pub(crate) name: String,
    /// The table is gone, but the log may still have records with its number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dropped: bool,
    /// Features of the table that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) features: Vec<String>,
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
}

impl TableFormat {
    /// The name of the table of a store of one table.
    pub(crate) const DEFAULT: &str = "default";

    /// Returns a new table of these types, whose records have an expiry or not.
    pub(crate) fn new(
        number: TableNumber,
        name: &str,
        [key, value]: [&TypeName; 2],
        has_expiry: bool,
    ) -> Self {
        Self {
            number: number.raw(),
            name: name.to_owned(),
            dropped: false,
            features: features(has_expiry),
            key: key.encoding.clone(),
            value: value.encoding.clone(),
            key_width: key.width,
            value_width: value.width,
            key_fingerprint: key.fingerprint.clone(),
            value_fingerprint: value.fingerprint.clone(),
        }
    }

    /// Returns the number of the table. It has been checked.
    pub(crate) fn number(&self) -> TableNumber {
        TableNumber::new(self.number).expect("a decoded manifest has sound numbers")
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.key_width, self.value_width).with_expiry(self.has_expiry())
    }

    /// Returns whether the records of the table have an expiry.
    pub(crate) fn has_expiry(&self) -> bool {
        self.features.iter().any(|name| name == EXPIRY)
    }

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

    /// Returns the table as the subject of a message.
    pub(crate) fn subject(&self) -> String {
        if self.name == Self::DEFAULT { "the store".to_owned() } else { self.shown() }
    }

    /// Returns the table for a message.
    pub(crate) fn shown(&self) -> String {
        format!("table `{}`", self.name)
    }

    pub(super) fn is_sound(&self) -> bool {
        TableNumber::new(self.number).is_some()
            && is_name(&self.name)
            && self.features == features(self.has_expiry())
    }

    /// Checks that this build knows all features of the table. `file` is the manifest.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(super) fn check_features(&self, file: &str) -> Result<()> {
        let unknown = self.features.iter().find(|name| !FEATURES.contains(&name.as_str()));
        unknown.map_or(Ok(()), |unknown| {
            let table = self.shown();
            Err(Error::unsupported(format!(
                "{file}: {table} uses {unknown:?}, which this build does not have; open the store \
                 with a newer version of kvick"
            )))
        })
    }
}

fn features(has_expiry: bool) -> Vec<String> {
    if has_expiry { vec![EXPIRY.to_owned()] } else { Vec::new() }
}

/// Refuses a name that no table can have.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let bytes = name.len();
    if has_name_length(name) {
        return Err(Error::invalid(format!(
            "the name {name:?} of a table has a control character; choose one without"
        )));
    }
    Err(Error::invalid(format!(
        "the name of a table has {bytes} bytes; choose one of 1 to {LONGEST_NAME} bytes"
    )))
}

/// Returns whether a table can have this name. Messages have it, and they are one line.
fn is_name(name: &str) -> bool {
    has_name_length(name) && !name.contains(char::is_control)
}

fn has_name_length(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
}
