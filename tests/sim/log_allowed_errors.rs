//! The errors that the users of a log may get on a disk with faults.

use std::error::Error as _;

use kvick::{Error, ErrorKind};
use tests::crash::Shared;

/// Whether the disk has faults, and the errors so far.
#[derive(Clone, Default)]
pub(crate) struct AllowedErrors {
    has_faults: bool,
    noted: Shared<Noted>,
}

#[derive(Default)]
struct Noted {
    /// The cause of the poison.
    cause: Option<String>,
    full: u32,
    /// The error of a reader that found lost bytes.
    lost: Option<String>,
}

impl AllowedErrors {
    pub(crate) fn faulty() -> Self {
        Self { has_faults: true, noted: Shared::default() }
    }

    /// Returns the cause of the poison, if a task got that error.
    pub(crate) fn cause(&self) -> Option<String> {
        self.noted.lock().cause.clone()
    }

    /// Checks that a medium lost bytes only after a failed write or sync. A task must have tried to
    /// write by then.
    ///
    /// # Panics
    /// Panics if a medium lost bytes without a failure.
    pub(crate) fn check_losses(&self) {
        let noted = self.noted.lock();
        assert!(noted.lost.is_none() || noted.cause.is_some(), "{:?}", noted.lost);
    }

    /// Returns the number of errors for a full disk.
    pub(crate) fn full(&self) -> u32 {
        self.noted.lock().full
    }

    /// Checks an error and notes it.
    ///
    /// # Panics
    /// Panics if the disk is no reason for the error, or if the poison had another cause before.
    pub(crate) fn check(&self, error: &Error) {
        assert!(self.has_faults, "a sound disk: {error}");
        let text = error.to_string();
        let mut noted = self.noted.lock();
        match error.kind() {
            ErrorKind::Poisoned => {
                let cause = error.source().expect("poison has a cause").to_string();
                assert!(cause.contains("simulated"), "{cause}");
                let first = noted.cause.get_or_insert_with(|| cause.clone());
                assert_eq!(*first, cause, "two causes");
            }
            ErrorKind::StorageFull => noted.full += 1,
            ErrorKind::Io => assert!(text.contains("simulated"), "{text}"),
            ErrorKind::Corrupt => noted.lost = Some(text),
            _ => panic!("{text}"),
        }
    }
}
