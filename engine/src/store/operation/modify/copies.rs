//! New values at the tail, from no value or from a value that takes no change in place.

use super::long_values::{long_put, scattered, too_long};
use super::{Replaced, RmwAttempt};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::record::{ExpiryWord, NewRecord, RecordKind};
use crate::store::context::OperationContext;
use crate::store::moment::Moment;
use crate::store::operation::attempt::{Attempt, Blocked, EntrySnapshot, Types, layout};
use crate::store::operation::changes::Change;
use crate::store::operation::upsert::{check_value, is_too_long};
use crate::store::record::append::{append_record, lacking_room};
use crate::store::wal::{KeyChange, logged_step};

impl RmwAttempt<'_, '_> {
    /// Changes a value on the device, if a wait has read it.
    #[cold]
    pub(super) fn change_stored<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        from: Address,
        change: &mut C,
        moment: &Moment<'_>,
    ) -> Result<Option<Attempt<bool>>> {
        self.table.check()?;
        let pending = self.tools.pending;
        let stored = match pending.chain_from(from, self.table.log.pages()) {
            None => return Ok(Some(Attempt::Blocked(Blocked::OnDevice(from)))),
            Some(None) => return self.copy::<K, V, C>(None, change),
            Some(Some(stored)) if stored.info().is_tombstone() => {
                return self.copy::<K, V, C>(None, change);
            }
            Some(Some(stored)) => stored,
        };
        let layout = layout::<K, V>();
        let (value, expiry) = (stored.value(layout), stored.expiry(layout));
        if moment.has_passed(expiry) {
            return self.copy::<K, V, C>(None, change);
        }
        if !stored.info().is_in_pieces(layout) {
            return self.copy::<K, V, C>(Some(Replaced { value, expiry }), change);
        }
        match pending.gathered_at(stored.address()) {
            Some(gathered) => {
                let replaced = gathered.value().map(|value| Replaced { value, expiry });
                self.copy::<K, V, C>(replaced, change)
            }
            None => {
                let pieces = Blocked::OverflowValue(Box::new((stored.address(), value.to_vec())));
                Ok(Some(Attempt::Blocked(pieces)))
            }
        }
    }

    /// Writes a new record, from no value or from a value that can no longer change in place.
    #[inline(always)]
    pub(super) fn copy<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        current: Option<Replaced<'_>>,
        change: &mut C,
    ) -> Result<Option<Attempt<bool>>> {
        // The value cannot change, or does not exist.
        self.copy_of::<K, V, C>(current, current.map(|_| 0), change)
    }

    pub(super) fn copy_of<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        current: Option<Replaced<'_>>,
        state: Option<u64>,
        change: &mut C,
    ) -> Result<Option<Attempt<bool>>> {
        let layout = layout::<K, V>();
        let Self { key: logged_key, entry, .. } = *self;
        let (core, key, tools) = (self.core(), logged_key.bytes, &*self.tools);
        let logger = tools.logger();
        let OperationContext { guard, counters, .. } = *tools;
        let version = EntrySnapshot { newest: entry.address(), state };
        let kept = current.map_or(ExpiryWord::NEVER, |replaced| replaced.expiry);
        let next = change.expiry(kept);
        let current = current.map(|replaced| replaced.value);
        let append = |record: NewRecord<'_>| {
            append_record::<Types<K, V>>(core, entry, record, guard, counters).attempt()
        };
        if let Some((record, computed)) = scattered(core.log.pages(), tools, version, (key, next)) {
            change.recall(current, computed)?;
            let put = long_put(core, computed, next);
            let put = (put, || lacking_room(core, layout, &record));
            return logged_step(core, logger, logged_key, put, || append(record)).map(Some);
        }
        let step = change.apply_expiring(current, kept, |new, expiry| {
            let Some(new) = new else {
                let (content, expiry) = (RecordKind::Tombstone, ExpiryWord::NEVER);
                let record = NewRecord { key, value: &[], content, expiry };
                let remove = || append(record);
                let removal = (KeyChange::Remove, || lacking_room(core, layout, &record));
                return logged_step(core, logger, logged_key, removal, remove);
            };
            check_value::<V>(core, new)?;
            if is_too_long(core, layout, key, new) {
                return Ok(too_long::<V, C>(core, version, new));
            }
            let record = NewRecord { key, value: new, content: RecordKind::Value, expiry };
            let put = (KeyChange::Put(new, expiry), || lacking_room(core, layout, &record));
            logged_step(core, logger, logged_key, put, || append(record))
        })?;
        Ok(Some(step.unwrap_or(Attempt::Done(false))))
    }
}
