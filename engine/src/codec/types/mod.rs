//! The types that are keys and values by themselves.

mod bytes;
#[cfg(feature = "chrono")]
mod chrono;
mod clock;
mod fixed;
mod net;
mod numbers;
#[cfg(feature = "time")]
mod time;
#[cfg(feature = "uuid")]
mod uuid;

#[cfg(test)]
mod tests;
