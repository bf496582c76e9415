//! One budget of the device for all files of a store.

mod governor;

pub(crate) use governor::{Beside, SpaceGovernor};
