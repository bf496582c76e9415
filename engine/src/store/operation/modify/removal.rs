//! Removal by a modification: `take`, `delete_if` and others remove the very value that they saw.
//!
//! | newest record of the key | the removal |
//! |---|---|
//! | mutable, a value of bytes | locks the observed value, and sets the tombstone |
//! | mutable, a value of one word | freezes the record, waits, and appends a tombstone |
//! | immutable or on the device | appends a tombstone, if the entry is as it was |
//!
//! # Why a word is frozen first
//! A word changes without a lock. A writer that found the record before its tombstone was set could
//! change the word after the remover read it, and its update would be lost. So the remover first
//! marks the record as *frozen*. Operations that see the mark change nothing in place; they treat
//! the record as immutable. After a drain no operation is left that may have missed the mark, so
//! the word is final. Then the next attempt computes the change again and appends the tombstone.
//!
//! # A removal that is dropped
//! A frozen record is a valid record with its value, and delays no task. So a removal that is
//! dropped between freezing and removing leaves nothing half done. The next operation that depends
//! on the value waits for a drain of its own, and copies the record to the tail. Blind writes and
//! deletes append at once.

use super::RmwAttempt;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::hybrid_log::Region;
use crate::store::moment::Moment;
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::operation::changes::Change;
use crate::store::record::find::InMemory;

impl RmwAttempt<'_, '_> {
    /// Changes a record that takes no change in place: it is deleted or frozen.
    pub(in crate::store) fn change_final<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        found: InMemory<'_>,
        change: &mut C,
        moment: &Moment<'_>,
    ) -> Result<Option<Attempt<bool>>> {
        if found.record.info().is_tombstone() {
            return self.copy::<K, V, C>(None, change);
        }
        let is_final =
            found.region == Region::ReadOnly || self.tools.pending.drained == Some(found.address);
        if !is_final {
            return Ok(Some(Attempt::Blocked(Blocked::Frozen(found.address))));
        }
        self.change_bytes::<K, V, C>(found, change, moment)
    }
}
