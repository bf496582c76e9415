//! The place of a session: its own seat, or the seat of another session that it borrows.

use crate::lifecycle::StoreLifecycle;
use crate::store::TableInner;
use crate::store::context::ExecutionContext;
use crate::store::operation::store_ref::StoreRef;
use crate::store::sessions::state::SessionState;
use std::fmt;
use std::sync::Arc;

/// The seat of a session and the table of its operations. Only this crate implements it.
pub trait Place: Contents {}

impl<P: Contents> Place for P {}

/// The contents of a place. The name is not public, so no other crate implements it.
pub trait Contents {
    /// Returns the access of the next operation.
    fn access(&mut self) -> Access<'_>;
    /// Returns the same place for operations of another table.
    fn on<'s>(&'s mut self, table: Table<'s>) -> Borrowed<'s>;
    /// Returns the table and the account of the session.
    fn account(&self) -> Account<'_>;
}

/// The access of an operation.
#[derive(Debug)]
pub struct Access<'a>(pub(crate) StoreRef<'a>);

/// A table.
#[derive(Debug)]
pub struct Table<'a>(pub(crate) &'a TableInner);

/// A table, and the account of a session.
#[derive(Debug)]
pub struct Account<'a>(pub(crate) &'a TableInner, pub(crate) &'a Arc<SessionState>);

/// The place of a [`Session`](crate::Session) of its own.
pub struct Owned {
    table: Arc<TableInner>,
    seat: ExecutionContext,
    ledger: Arc<SessionState>,
    _lifecycle: Arc<StoreLifecycle>,
}

/// The place of a [`TableSession`](super::TableSession), which works in the seat of another
/// session.
pub struct Borrowed<'s> {
    table: &'s TableInner,
    seat: &'s mut ExecutionContext,
    ledger: &'s Arc<SessionState>,
}

impl Owned {
    pub(crate) fn new(
        table: Arc<TableInner>,
        (seat, ledger): (ExecutionContext, Arc<SessionState>),
        lifecycle: Arc<StoreLifecycle>,
    ) -> Self {
        Self { table, seat, ledger, _lifecycle: lifecycle }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.table.sessions.close(&self.ledger);
    }
}

impl Contents for Owned {
    #[inline(always)]
    fn access(&mut self) -> Access<'_> {
        Access(StoreRef::seated(&self.table, &mut self.seat))
    }

    fn on<'s>(&'s mut self, Table(table): Table<'s>) -> Borrowed<'s> {
        Borrowed { table, seat: &mut self.seat, ledger: &self.ledger }
    }

    fn account(&self) -> Account<'_> {
        Account(&self.table, &self.ledger)
    }
}

impl Contents for Borrowed<'_> {
    #[inline(always)]
    fn access(&mut self) -> Access<'_> {
        Access(StoreRef::seated(self.table, self.seat))
    }

    fn on<'s>(&'s mut self, Table(table): Table<'s>) -> Borrowed<'s> {
        Borrowed { table, seat: self.seat, ledger: self.ledger }
    }

    fn account(&self) -> Account<'_> {
        Account(self.table, self.ledger)
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Owned").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl fmt::Debug for Borrowed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Borrowed").field("seat", &self.seat).finish_non_exhaustive()
    }
}
