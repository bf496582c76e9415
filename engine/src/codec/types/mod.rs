//! The types that are keys and values by themselves.

mod bytes;
mod clock;
mod fixed;
mod net;
mod numbers;

#[cfg(test)]
mod tests;
