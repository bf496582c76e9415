//! The place that a copy is made of.

use crate::base::error::Result;
use crate::store::StoreInner;
use std::sync::Arc;

/// The place that is read: a running store, or files that no store has open.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    core: Option<Arc<StoreInner>>,
    place: String,
}

impl Origin {
    /// Returns the directory of a running store.
    pub(super) fn store(core: &Arc<StoreInner>) -> Self {
        Self { core: Some(Arc::clone(core)), place: core.log.file().place().to_owned() }
    }

    /// Returns a directory of files alone.
    pub(super) fn files(place: String) -> Self {
        Self { core: None, place }
    }

    /// Returns the place, for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Fails if the store was closed.
    ///
    /// # Errors
    /// `Closed`, and why it can no longer be read.
    pub(super) fn check_read(&self) -> Result<()> {
        self.core.as_ref().map_or(Ok(()), |core| core.check_read())
    }
}
