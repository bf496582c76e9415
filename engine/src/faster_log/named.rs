//! Iterators with a name: a place in the log that is kept with the log.

use super::LogAddress;
use super::log::FasterLog;
use super::reader::LogEntry;
use super::scan::Scan;
use super::start::{Start, beyond};
use crate::error::{Error, Result};
use futures::Stream;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    /// Where the entry is that it gave last, and where the next one may be.
    given: [LogAddress; 2],
}

impl LogIterator {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Entries below `address` are done with: mostly the [`next`](LogEntry::next) of one. Kept by
    /// the next commit. A lower address than before changes nothing.
    ///
    /// Ready at once for the entry that the iterator gave last; for others it looks whether an
    /// entry begins there, maybe on the device.
    ///
    /// # Errors
    /// `InvalidArgument` for an address behind the end of the log, or where no entry begins;
    /// `Corrupt`, `Io`, `Poisoned`, `Closed`. The place is then as it was.
    ///
    /// # Cancel safety
    /// Dropped before it is ready it has changed nothing.
    pub async fn complete_until(&self, address: LogAddress) -> Result<()> {
        self.check_place(address).await?;
        // The record of a commit says where the place is, not how it moved: it must not go back.
        let place = self.log.core.iterators.advance(&self.name, address.inner());
        self.log.core.commits.change(|intent| {
            let moved = intent.iterators.entry(self.name.clone()).or_insert(Some(place));
            *moved = (*moved).max(Some(place));
        });
        Ok(())
    }

    /// That entries below `address` may be done with.
    async fn check_place(&self, address: LogAddress) -> Result<()> {
        let source = &self.log.core.source;
        source.check_wait()?;
        let at = address.inner();
        let is_given = self.given.contains(&address);
        if is_given || at <= source.begin.load() || source.is_boundary(at) {
            return Ok(());
        }
        let end = source.end();
        match at.cmp(&end) {
            Ordering::Greater => Err(beyond(at, end)),
            Ordering::Equal => Ok(()),
            Ordering::Less => self.log.frame_at(at).await,
        }
    }

    /// Ends with an error of kind `Truncated` when entries were truncated before it came to them;
    /// see [`Scan::fail_on_truncated`].
    pub fn fail_on_truncated(mut self) -> Self {
        self.scan.set_fail_on_truncated();
        self
    }

    /// Bytes of the log that it has jumped over, as they were truncated; see [`Scan::skipped`].
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.scan.skipped()
    }

    /// Whether every entry that is committed now was given by the iterator. Those that it gave may
    /// still have to be [completed](Self::complete_until).
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.scan.is_caught_up()
    }

    /// Bytes of the log from the entry that it gave last to the end of the last one that is
    /// committed; see [`Scan::lag`].
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.scan.lag()
    }

    /// Where entries are not done with. If all of them are, that is where the newest commit ends:
    /// the records that the log keeps of its commits are nobody's to complete.
    #[must_use]
    pub fn completed_until(&self) -> LogAddress {
        let places = self.log.core.iterators.places();
        let place = places.get(&self.name).copied().unwrap_or_else(|| self.log.begin());
        self.log.core.source.done_until(place.inner()).into()
    }
}

impl Stream for LogIterator {
    type Item = Result<LogEntry>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.scan).poll_next(context));
        if let Some(Ok(entry)) = &next {
            this.given = [entry.address, entry.next];
        }
        Poll::Ready(next)
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
        let given = [LogAddress::FIRST; 2];
        Ok(LogIterator { scan, log: self.clone(), name: name.to_owned(), given })
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
