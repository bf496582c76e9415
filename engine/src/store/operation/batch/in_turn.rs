//! Modifications of a session that take effect later than the operations after them.

use crate::base::error::Result;
use crate::store::context::OperationContext;
use crate::store::operation::attempt::operation::Operation;
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::operation::pending::long_value_turn::LongValuePlace;
use crate::store::sessions::state::SessionState;
use crate::store::table::TableRef;
use std::sync::Arc;

/// The number of an operation that later operations of the session overtake. Another operation may
/// take the number if this value is dropped before the operation takes effect.
pub(super) struct DeferredSerial {
    ledger: Arc<SessionState>,
    serial: Option<u64>,
}

impl DeferredSerial {
    pub(super) fn put_off(core: TableRef<'_>, ledger: &Arc<SessionState>) -> Self {
        let serial = core.sessions.put_off(core.phase.version(), ledger);
        Self { ledger: Arc::clone(ledger), serial: Some(serial) }
    }

    /// Returns the session and the number.
    fn get(&self) -> Option<(&Arc<SessionState>, u64)> {
        self.serial.map(|serial| (&self.ledger, serial))
    }

    /// Records that the operation has taken effect, under the guard that is still held.
    fn catch_up(&mut self, core: TableRef<'_>) {
        let serial = self.serial.take().expect("an operation takes effect once");
        core.sessions.catch_up(core.phase.version(), &self.ledger, serial);
    }
}

impl Drop for DeferredSerial {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            self.ledger.give_up(serial);
        }
    }
}

/// A modification that counts for its session when it takes effect, whatever its seat.
pub(super) struct InTurn<M> {
    pub(super) modify: M,
    pub(super) turn: Option<DeferredSerial>,
    pub(super) long: LongValuePlace,
}

impl<M: Operation> Operation for InTurn<M> {
    type Output = M::Output;

    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<M::Output>> {
        let deferred = self.turn.as_ref().and_then(DeferredSerial::get);
        let step = self.modify.attempt(core, OperationContext { deferred, ..tools })?;
        if let (Attempt::Done(_), Some(turn)) = (&step, &mut self.turn) {
            turn.catch_up(core);
        }
        if let Attempt::Blocked(Blocked::OverflowValue(_) | Blocked::NeedsOverflow(_)) = step
            && !self.long.take()
        {
            return Ok(Attempt::Blocked(Blocked::LongValueTurn(Box::new(self.long.clone()))));
        }
        Ok(step)
    }

    fn key(&self) -> Result<Vec<u8>> {
        self.modify.key()
    }
}

impl<M> Drop for InTurn<M> {
    fn drop(&mut self) {
        self.long.end();
    }
}
