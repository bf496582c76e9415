//! What keeps a directory locked while something changes its files.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

/// Had by each operation that changes a file, until it has ended. What is left here meanwhile, such
/// as a lock, is released with the last one.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    left: Mutex<Vec<Box<dyn Debug + Send + Sync>>>,
}

impl Hold {
    /// Releases `what` when nothing has this hold any more.
    pub(crate) fn leave(&self, what: impl Debug + Send + Sync + 'static) {
        // One call changes the list.
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(what));
    }
}
