//! The future that rare operations return.

use std::future::Future;
use std::pin::Pin;

/// A boxed future that may move between threads. Rare operations return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
