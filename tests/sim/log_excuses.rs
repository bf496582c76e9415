//! What the users of a log may be told on a disk that has faults.

use std::error::Error as _;

use kvick::{Error, ErrorKind};
use tests::crash::Shared;

/// Whether there are faults, and what was reported.
#[derive(Clone, Default)]
pub(crate) struct Excuses {
    has_faults: bool,
    told: Shared<Told>,
}

#[derive(Default)]
struct Told {
    /// Why the log is poisoned.
    cause: Option<String>,
    full: u32,
    /// What a reader was told that found that the medium has lost what was written.
    lost: Option<String>,
}

impl Excuses {
    pub(crate) fn faulty() -> Self {
        Self { has_faults: true, told: Shared::default() }
    }

    /// Why the log is poisoned, if a task was told that it is.
    pub(crate) fn cause(&self) -> Option<String> {
        self.told.lock().cause.clone()
    }

    /// Checks, once a task has tried to write, that a medium which has lost something is one that
    /// failed to write or to sync.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn settle(&self) {
        let told = self.told.lock();
        assert!(told.lost.is_none() || told.cause.is_some(), "{:?}", told.lost);
    }

    /// How many were told that the disk is full.
    pub(crate) fn full(&self) -> u32 {
        self.told.lock().full
    }

    /// Takes note of an error.
    ///
    /// # Panics
    /// If the disk is no reason for it, or there was another cause before.
    pub(crate) fn check(&self, error: &Error) {
        assert!(self.has_faults, "a sound disk: {error}");
        let text = error.to_string();
        let mut told = self.told.lock();
        match error.kind() {
            ErrorKind::Poisoned => {
                let cause = error.source().expect("poison has a cause").to_string();
                assert!(cause.contains("simulated"), "{cause}");
                let first = told.cause.get_or_insert_with(|| cause.clone());
                assert_eq!(*first, cause, "two causes");
            }
            ErrorKind::StorageFull => told.full += 1,
            ErrorKind::Io => assert!(text.contains("simulated"), "{text}"),
            ErrorKind::Corrupt => told.lost = Some(text),
            _ => panic!("{text}"),
        }
    }
}
