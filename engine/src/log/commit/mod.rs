//! Commits: the requests, the record in the log, the driver that makes commits durable, and the
//! manifest that follows them.

pub(crate) mod committed;
pub(crate) mod committer;
pub(crate) mod driver;
pub(crate) mod last_entry;
pub(crate) mod manifest;
pub(crate) mod manifest_driver;
pub(crate) mod pending;
pub(crate) mod record;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod state;
