//! The vocabulary of the engine: addresses, errors, hashes, waits.

pub(crate) mod address;
pub(crate) mod context_pool;
pub(crate) mod error;
pub(crate) mod hash;
pub(crate) mod health;
pub(crate) mod human;
pub(crate) mod kinds;
pub(crate) mod memory;
pub(crate) mod serialized;
pub(crate) mod wait;
pub(crate) mod wall_clock;
pub(crate) mod weak_spot;
