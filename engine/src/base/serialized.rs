//! The serialized form of types that have none of their own.

#[cfg(feature = "serde")]
pub(crate) use reports::{Failure, failure, seconds};

use serde::{Deserialize, Deserializer, Serializer, de};

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes a text of hexadecimal digits.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    digits.collect()
}

/// Serializes bytes as hexadecimal digits.
pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex_of(bytes))
}

/// Deserializes bytes from hexadecimal digits.
pub(crate) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    bytes_of(&text).ok_or_else(|| de::Error::custom("a text that is not hexadecimal"))
}

/// The data of reports, for people's tools.
#[cfg(feature = "serde")]
mod reports {
    use crate::base::error::kind::ErrorKind;
    use serde::{Serialize, Serializer};
    use std::time::Duration;

    /// An error as data.
    #[derive(Debug, Serialize)]
    pub(crate) struct Failure {
        kind: ErrorKind,
        message: String,
    }

    impl Failure {
        pub(crate) fn new(kind: ErrorKind, message: String) -> Self {
            Self { kind, message }
        }
    }

    /// Serializes a failure like an error.
    pub(crate) fn failure<S: Serializer>(
        failure: &Option<(ErrorKind, String)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let failure = failure.clone().map(|(kind, message)| Failure::new(kind, message));
        failure.serialize(serializer)
    }

    /// Serializes a duration as a number of seconds.
    pub(crate) fn seconds<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }
}
