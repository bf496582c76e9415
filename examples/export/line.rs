//! One line of a file: a record, or the end with the number of records.
//!
//! ```text
//! {"key":"a key","value":"a text"}
//! {"key":"another key","hex":"00ff"}       a value that is no text
//! {"records":2}                            the last line
//! ```

use serde::{Deserialize, Serialize};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A key and its value.
    Record(String, Vec<u8>),
    /// The last line, with the number of records before it.
    End(u64),
}

/// The fields of a line as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
}

impl Line {
    /// Returns the line as JSON, without the end of a line.
    pub(crate) fn write(self) -> serde_json::Result<String> {
        let fields = match self {
            Self::Record(key, value) => {
                let (value, hex) = match String::from_utf8(value) {
                    Ok(text) => (Some(text), None),
                    Err(error) => (None, Some(to_hex(error.as_bytes()))),
                };
                Fields { key: Some(key), value, hex, records: None }
            }
            Self::End(records) => Fields { records: Some(records), ..Fields::default() },
        };
        serde_json::to_string(&fields)
    }

    /// Reads a line. The error is the reason for which it is refused.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let fields: Fields = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match fields {
            Fields { key: Some(key), value: Some(text), hex: None, records: None } => {
                Ok(Self::Record(key, text.into_bytes()))
            }
            Fields { key: Some(key), value: None, hex: Some(hex), records: None } => {
                let value = from_hex(&hex).ok_or("`hex` has two digits for each byte")?;
                Ok(Self::Record(key, value))
            }
            Fields { key: None, value: None, hex: None, records: Some(records) } => {
                Ok(Self::End(records))
            }
            _ => Err("a line has a `key` with a `value` or `hex`, or else `records`".to_owned()),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}
