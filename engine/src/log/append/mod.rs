//! Appending: the writer of frames, attempts, their space and reservations, the future of an
//! append, the sink, and the wakes for readers of new entries.

pub(crate) mod appender;
pub(crate) mod frame_writer;
pub(crate) mod future;
pub(crate) mod notifier;
pub(crate) mod reservation;
pub(crate) mod sink;
pub(crate) mod space;
