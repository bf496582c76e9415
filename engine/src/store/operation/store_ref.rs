//! The access of an operation to the store, through the seat of its session or a pooled seat.

use crate::base::error::Result;
use crate::base::wait::yield_once;
use crate::config::Acknowledge;
use crate::statistics::Counter;
use crate::store::context::{ExecutionContext, OperationContext};
use crate::store::sessions::state::SessionState;
use crate::store::table::{TableInner, TableRef};
use std::sync::Arc;

/// A table, and the seat of a session if there is one. Two pointers.
#[derive(Debug)]
pub(crate) struct StoreRef<'a> {
    table: &'a TableInner,
    seat: Option<&'a mut ExecutionContext>,
}

impl<'a> StoreRef<'a> {
    /// Returns the access for operations of a session.
    #[inline(always)]
    pub(crate) fn seated(table: &'a TableInner, seat: &'a mut ExecutionContext) -> Self {
        Self { table, seat: Some(seat) }
    }

    /// Returns the access for operations of a handle.
    #[inline(always)]
    pub(crate) fn pooled(table: &'a TableInner) -> Self {
        Self { table, seat: None }
    }

    /// Returns the same access for a shorter time.
    pub(crate) fn reborrow(&mut self) -> StoreRef<'_> {
        StoreRef { table: self.table, seat: self.seat.as_deref_mut() }
    }

    /// Returns the account of the session, if there is a session.
    pub(crate) fn ledger(&self) -> Option<Arc<SessionState>> {
        self.seat.as_ref().and_then(|seat| seat.ledger())
    }

    /// Returns whether writes are ready when they are durable.
    #[inline(always)]
    pub(crate) fn acknowledges_durably(&self) -> bool {
        match &self.seat {
            Some(seat) => seat.is_durable(),
            None => self.core().config.acknowledges_durably(),
        }
    }

    /// Sets when the writes of the session are ready.
    ///
    /// # Errors
    /// `InvalidArgument` if the store cannot make them durable.
    pub(crate) fn set_acknowledge(&mut self, acknowledge: Acknowledge) -> Result<()> {
        let is_durable = acknowledge == Acknowledge::Durable;
        if is_durable {
            self.core().store.wal()?;
        }
        if let Some(seat) = &mut self.seat {
            seat.set_durable(is_durable);
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> TableRef<'a> {
        self.table.with_store()
    }

    /// Runs `body` protected.
    #[inline(always)]
    pub(crate) fn protected<R>(
        &mut self,
        body: impl FnOnce(TableRef<'_>, OperationContext<'_>) -> R,
    ) -> R {
        let core = self.core();
        match &mut self.seat {
            Some(seat) => seat.protected(
                core.table.number,
                #[inline(always)]
                |tools| body(core, tools),
            ),
            None => pooled(core, body),
        }
    }

    /// Runs `body` protected if the access has a seat of its own, whose last operation was on the
    /// same table.
    #[inline(always)]
    pub(crate) fn hit<R>(
        &mut self,
        body: impl FnOnce(TableRef<'_>, &mut OperationContext<'_>) -> Option<R>,
    ) -> Option<R> {
        let core = self.core();
        seat_hit(core, self.seat.as_deref_mut()?, body)
    }

    /// As [`hit`](Self::hit), if the task is in its turn. Counts the key of an answer.
    #[inline(always)]
    pub(crate) fn hit_in_turn<R>(
        &mut self,
        body: impl FnOnce(TableRef<'_>, &mut OperationContext<'_>) -> Option<R>,
    ) -> Option<R> {
        let core = self.core();
        seat_hit_in_turn(core, self.seat.as_deref_mut()?, body)
    }

    /// As [`hit_in_turn`](Self::hit_in_turn), if the access has no seat of its own, in a pooled
    /// one.
    #[inline(always)]
    pub(crate) fn pooled_hit_in_turn<R>(
        &mut self,
        body: impl FnOnce(TableRef<'_>, &mut OperationContext<'_>) -> Option<R>,
    ) -> Option<R> {
        let core = self.core();
        if self.seat.is_some() {
            return None;
        }
        core.pool.with(
            #[inline(always)]
            |seat| seat_hit_in_turn(core, seat, body),
        )
    }

    /// As [`protected`](Self::protected), off the hot path. The body is compiled once, not once for
    /// each kind of seat.
    #[cold]
    #[inline(never)]
    pub(crate) fn protected_once(
        &mut self,
        body: &mut dyn FnMut(TableRef<'_>, OperationContext<'_>),
    ) {
        self.protected(body);
    }

    /// Returns whether the task should let other tasks run, with operations on `keys` more keys.
    #[inline(always)]
    pub(crate) fn should_yield(&mut self, keys: u32) -> bool {
        let every = self.core().config.yield_every;
        match &mut self.seat {
            Some(seat) => seat.should_yield(keys, every),
            None => pooled_should_yield(self.core(), keys, every),
        }
    }

    /// Lets other tasks run, if a group of a batch was the last for a while.
    pub(crate) async fn yield_after(&mut self, group: usize) {
        if self.should_yield(u32::try_from(group).expect("a group is small")) {
            yield_once().await;
        }
    }

    /// Counts an event off the hot path.
    #[cold]
    pub(crate) fn count(&mut self, counter: Counter) {
        let core = self.core();
        let count = |seat: &mut ExecutionContext| seat.count(core.table.number, counter);
        match &mut self.seat {
            Some(seat) => count(seat),
            None => core.pool.with(count),
        }
    }
}

/// Runs `body` protected if the last operation of the seat was on the same table.
#[inline(always)]
fn seat_hit<R>(
    core: TableRef<'_>,
    seat: &mut ExecutionContext,
    body: impl FnOnce(TableRef<'_>, &mut OperationContext<'_>) -> Option<R>,
) -> Option<R> {
    if !seat.is_on(core.table.number) {
        return None;
    }
    seat.protected(
        core.table.number,
        #[inline(always)]
        |mut tools| body(core, &mut tools),
    )
}

/// As [`seat_hit`], if the task is in its turn. Counts the key of an answer.
#[inline(always)]
fn seat_hit_in_turn<R>(
    core: TableRef<'_>,
    seat: &mut ExecutionContext,
    body: impl FnOnce(TableRef<'_>, &mut OperationContext<'_>) -> Option<R>,
) -> Option<R> {
    if !seat.is_in_turn() {
        return None;
    }
    let answer = seat_hit(core, seat, body)?;
    seat.count_key();
    Some(answer)
}

/// Runs `body` in a pooled seat. Out of line, so that operations of a session do not contain the
/// search for a seat.
#[inline(never)]
fn pooled<R>(core: TableRef<'_>, body: impl FnOnce(TableRef<'_>, OperationContext<'_>) -> R) -> R {
    core.pool.with(|seat| seat.protected(core.table.number, |tools| body(core, tools)))
}

#[inline(never)]
fn pooled_should_yield(core: TableRef<'_>, keys: u32, every: u32) -> bool {
    core.pool.with(|seat| seat.should_yield(keys, every))
}
