//! The executors that run tasks of kvick: its own executor, and executors of other crates.

pub(crate) mod background;
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) mod glommio;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
