//! What every device and directory promises, run against every backend.

mod cancellation;
mod files;
mod harness;
mod transfers;
mod truncation;
