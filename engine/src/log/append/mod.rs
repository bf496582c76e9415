//! Appending: the future of an append, the sink, and the wakes for readers of new entries.

pub(crate) mod future;
pub(crate) mod notifier;
pub(crate) mod sink;
