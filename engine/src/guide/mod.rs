//! The guide: one page for each question that a user of the crate has.
//!
//! | page | question |
//! |---|---|
//! | [`getting_started`] | How do I open a store or a log, with tokio and without? |
//! | [`durability`] | Which data survives which event, and when? |
//! | [`cancel_safety`] | What does a dropped future leave? |
//! | [`sizing`] | How much memory and disk does my data need? |
//! | [`running`] | How do I run it: runtimes, limits, monitoring, shutdown? |
//! | [`errors`] | What does each kind of error ask of me? |
//! | [`formats`] | What is in a directory, and how do I copy it? |
//! | [`from_faster`] | I know FASTER: what has which name here? |
//! | [`patterns`] | How do I do the usual tasks right? |
//!
//! The modules have no items; they are documentation. Their examples are tests.

pub mod cancel_safety;
pub mod durability;
pub mod errors;
pub mod formats;
pub mod from_faster;
pub mod getting_started;
pub mod patterns;
pub mod running;
pub mod sizing;
