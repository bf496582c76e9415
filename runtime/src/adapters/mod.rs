//! The executors that tasks of kvick run on: one of its own, and those of other crates.

pub(crate) mod background;
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) mod glommio;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
