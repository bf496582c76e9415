//! Sessions: their identities, their accounts, and their commit points.

pub(crate) mod identity;
pub(crate) mod points;
pub(crate) mod serial_counter;
pub(crate) mod serials;
pub(crate) mod state;
pub(crate) mod table;
