//! Runs the background tasks of kvick on an async runtime: one interface, and four executors.
//!
//! It is not a general-purpose runtime: no I/O, no thread pool, no local tasks.
//!
//! ```text
//!                       Handle: spawn, sleep, now
//!                                  |
//!          trait Runtime (yours: Handle::custom)
//!        __________________________|___________________________
//!       |                 |                 |                  |
//!   background          tokio            glommio          simulation
//!   one thread     either flavour    tasks on the ring   one thread, a seed,
//!   of its own      (feature)         (feature, Linux)    virtual time
//! ```
//!
//! Three of them are the same executor (a queue, timers, a list of live tasks) under three drivers;
//! see `executor.rs`. The public interface is:
//!
//! - [`Handle`], with its [`Task`], [`TaskFailed`] and [`Sleep`], and the trait [`Runtime`];
//! - [`block_on`], for callers that are not async;
//! - [`Simulation`], for tests.
//!
//! ```
//! use std::time::Duration;
//! use kvick_runtime::{Handle, block_on};
//!
//! let handle = Handle::background()?;
//! let ticker = {
//!     let handle = handle.clone();
//!     handle.clone().spawn("ticker", async move {
//!         handle.sleep(Duration::from_millis(1)).await;
//!         "tick"
//!     })
//! };
//! assert_eq!(block_on(ticker), Ok("tick"));
//! # std::io::Result::Ok(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod adapters;
mod block_on;
mod clock;
mod executor;
mod handle;
mod park;
mod runtime;
mod simulation;
mod task;
mod timers;

pub use block_on::block_on;
pub use handle::{Handle, Sleep};
pub use kvick_io::BoxFuture;
pub use runtime::Runtime;
pub use simulation::{Simulation, SimulationOptions};
pub use task::{Task, TaskFailed};
