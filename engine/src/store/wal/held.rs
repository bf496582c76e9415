//! Keys whose changes wait for a batch. The write-ahead log has the entry of the batch already.

use super::stripes::Stripes;
use super::write_ahead_log::WriteAheadLog;
use crate::base::hash::KeyHash;
use crate::store::inner::StoreInner;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The keys of an open batch. No other change of them is made until this is dropped.
#[derive(Debug)]
pub(in crate::store) struct HeldKeys {
    store: Arc<StoreInner>,
    /// The stripes of the keys, each once.
    stripes: Vec<usize>,
}

impl HeldKeys {
    /// Holds all keys of a batch, or none. The store has a write-ahead log.
    ///
    /// # Errors
    /// A key that another batch holds.
    pub(in crate::store) fn try_hold(
        store: &Arc<StoreInner>,
        keys: impl Iterator<Item = KeyHash>,
    ) -> Result<Self, KeyHash> {
        let mut held = Self { store: Arc::clone(store), stripes: Vec::new() };
        let stripe_of = |hash: KeyHash| (Stripes::stripe_of(hash), hash);
        let stripes: BTreeMap<usize, KeyHash> = keys.map(stripe_of).collect();
        for (stripe, hash) in stripes {
            if !held.wal().stripes().try_hold(stripe) {
                return Err(hash);
            }
            held.stripes.push(stripe);
        }
        Ok(held)
    }

    fn wal(&self) -> &WriteAheadLog {
        self.store.wal.as_ref().expect("keys are held in a store with a write-ahead log")
    }
}

impl Drop for HeldKeys {
    fn drop(&mut self) {
        self.wal().stripes().release(&self.stripes);
    }
}
