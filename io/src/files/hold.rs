//! Keeps a directory locked while an operation changes its files.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

/// A hold that each operation on a file keeps until it has ended. A value stored here, such as a
/// lock, is released with the last hold.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    left: Mutex<Vec<Box<dyn Debug + Send + Sync>>>,
}

impl Hold {
    /// Releases `what` when no operation has this hold any more.
    pub(crate) fn leave(&self, what: impl Debug + Send + Sync + 'static) {
        // One call changes the list.
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(what));
    }
}
