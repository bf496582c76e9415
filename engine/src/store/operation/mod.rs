//! The operations of a store: their attempts, and the futures that make them.

pub(crate) mod attempt;
pub(crate) mod batch;
pub(crate) mod changes;
pub(crate) mod delete;
pub(crate) mod future;
pub(crate) mod modify;
pub(crate) mod pending;
pub(crate) mod read;
pub(crate) mod set_expiry;
pub(crate) mod store_ref;
pub(crate) mod upsert;
