//! Iterators with a name: a place in the log that is kept with the log.

use super::LogAddress;
use super::log::FasterLog;
use super::reader::LogEntry;
use super::scan::Scan;
use super::start::Start;
use crate::error::{Error, Result};
use futures::Stream;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The longest name, in bytes.
const LONGEST_NAME: usize = 128;

/// Entries as they are committed, from where the iterator of this name was completed: a
/// [`Stream`], made by [`FasterLog::iterator`].
///
/// Say [`complete_until`](Self::complete_until) for what is done with; the next commit keeps it.
/// After a crash the iterator begins at the place that the newest commit has of it: every entry is
/// seen at least once, and those again that were completed after that commit.
///
/// # Cancel safety
/// An entry that was not returned is not lost.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct LogIterator {
    scan: Scan,
    log: FasterLog,
    name: String,
}

impl LogIterator {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Entries below `address` are done with: mostly the [`next`](LogEntry::next) of one. Kept by
    /// the next commit. A lower address than before changes nothing.
    pub fn complete_until(&self, address: LogAddress) {
        // The record of a commit says where the place is, not how it moved: it must not go back.
        let place = self.log.core.iterators.advance(&self.name, address.inner());
        self.log.core.commits.change(|intent| {
            let moved = intent.iterators.entry(self.name.clone()).or_insert(Some(place));
            *moved = (*moved).max(Some(place));
        });
    }

    /// Where entries are not done with.
    #[must_use]
    pub fn completed_until(&self) -> LogAddress {
        let places = self.log.core.iterators.places();
        places.get(&self.name).copied().unwrap_or_else(|| self.log.begin())
    }
}

impl Stream for LogIterator {
    type Item = Result<LogEntry>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        Pin::new(&mut self.get_mut().scan).poll_next(context)
    }
}

impl Drop for LogIterator {
    fn drop(&mut self) {
        self.log.core.iterators.release(&self.name);
    }
}

impl FasterLog {
    /// The iterator of this name. If there was none, it begins with the first entry there is. One
    /// at a time for each name.
    ///
    /// # Errors
    /// `Busy` if one of that name is in use; `InvalidArgument` for a name that is empty or longer
    /// than 128 bytes.
    pub fn iterator(&self, name: &str) -> Result<LogIterator> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            let bytes = name.len();
            return Err(Error::invalid(format!(
                "an iterator's name of {bytes} bytes: 1 to {LONGEST_NAME}"
            )));
        }
        let Some(place) = self.core.iterators.take(name) else {
            return Err(Error::busy("an iterator of that name is in use"));
        };
        let start = place.map_or(Start::First, |place| Start::Kept(place.inner()));
        let scan = self.follow_from(start);
        Ok(LogIterator { scan, log: self.clone(), name: name.to_owned() })
    }

    /// Iterators that have a place, and where they were completed.
    #[must_use]
    pub fn iterators(&self) -> BTreeMap<String, LogAddress> {
        self.core.iterators.places()
    }

    /// Gives up the place of an iterator, with the next commit; whether it had one.
    pub fn forget_iterator(&self, name: &str) -> bool {
        let had = self.core.iterators.forget(name);
        if had {
            self.core.commits.change(|intent| _ = intent.iterators.insert(name.to_owned(), None));
        }
        had
    }
}
