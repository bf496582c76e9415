//! The serialized form of types that have none of their own.

use super::error::kind::ErrorKind;
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
