//! Sessions: their identities, their accounts, and their commit points.

mod activity;
pub(crate) mod identity;
pub(in crate::store) mod numbers;
pub(crate) mod points;
pub(crate) mod serial_counter;
pub(crate) mod serials;
pub(crate) mod state;
pub(crate) mod table;
