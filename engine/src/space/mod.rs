//! One budget of the device for all files of a store.

mod governor;
mod history;

pub(crate) use governor::{Beside, SpaceGovernor};
pub(crate) use history::RoundHistory;
