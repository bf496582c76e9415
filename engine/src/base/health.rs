//! The problems of a store or a log at one moment, for monitoring.

use crate::base::error::{Error, ErrorKind};
use std::fmt;

/// The problems of a store or a log at one moment. The text has a line for each problem.
///
/// With the feature `serde` it can be serialized. An error has a `kind` and a `message` there.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Health {
    /// The remaining abilities of the store or log.
    pub condition: Condition,
    /// The cause, unless the store or log is sound.
    pub cause: Option<Error>,
    /// The reason why the last checkpoint of a store failed, if none has succeeded since.
    ///
    /// Later changes are in no checkpoint. It is always `None` for a log.
    pub checkpoint: Option<Error>,
}

/// The remaining abilities of a store or a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Condition {
    /// All operations work.
    Sound,
    /// The medium is full. Operations that need room are refused until there is space again.
    Full,
    /// The system is short of descriptors, tasks or memory. The effect is that of a full medium.
    Unavailable,
    /// The file system was read-only at the opening. Reads work.
    ReadOnly,
    /// An earlier write or sync failed. Reads work; the store or log must be opened again.
    Poisoned,
    /// No operation works.
    Closed,
}

impl Health {
    pub(crate) fn new(cause: Option<Error>, checkpoint: Option<Error>) -> Self {
        let condition = match cause.as_ref().map(Error::kind) {
            None => Condition::Sound,
            Some(ErrorKind::StorageFull) => Condition::Full,
            Some(ErrorKind::Closed) => Condition::Closed,
            Some(ErrorKind::ReadOnly) => Condition::ReadOnly,
            Some(ErrorKind::Poisoned) => Condition::Poisoned,
            Some(_) => Condition::Unavailable,
        };
        Self { condition, cause, checkpoint }
    }

    /// Returns whether there is no problem.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.condition == Condition::Sound && self.checkpoint.is_none()
    }
}

impl Condition {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::ReadOnly => "read-only",
            Self::Poisoned => "poisoned",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Display for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.condition)?;
        if let Some(cause) = &self.cause {
            write!(formatter, ": {cause}")?;
        }
        match &self.checkpoint {
            Some(error) => write!(formatter, "\nthe last checkpoint failed: {error}"),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn full() -> Error {
        Error::io("writing log.000003 at 4096", std::io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_text_has_a_line_for_each_problem() {
        assert_eq!(Health::new(None, None).to_string(), "sound");
        let expected = "\
full: writing log.000003 at 4096: no storage space; free space, then retry
the last checkpoint failed: a checkpoint is being taken; retry";
        let checkpoint = Error::busy("a checkpoint is being taken");
        assert_eq!(Health::new(Some(full()), Some(checkpoint)).to_string(), expected);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn conditions_have_one_name_as_text_and_as_data() {
        use Condition as C;
        for condition in [C::Sound, C::Full, C::Unavailable, C::ReadOnly, C::Poisoned, C::Closed] {
            let data = serde_json::to_string(&condition).expect("a name");
            assert_eq!(data, format!("\"{condition}\""));
        }
        let data = serde_json::to_string(&Health::new(Some(full()), None)).expect("data");
        let expected = concat!(
            r#"{"condition":"full","cause":{"kind":"storage-full","message":"#,
            r#""writing log.000003 at 4096: no storage space; free space, then retry"},"#,
            r#""checkpoint":null}"#
        );
        assert_eq!(data, expected);
    }
}
