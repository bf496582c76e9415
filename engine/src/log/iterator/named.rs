//! Iterators with a name. The log keeps their places.

use super::positions::LONGEST_NAME;
use crate::base::error::{Error, Result};
use crate::log::Address;
use crate::log::handle::FasterLog;
use crate::log::read::entry::Entry;
use crate::log::read::lookup::Lookup;
use crate::log::read::scan::Scan;
use crate::log::read::start::{Start, beyond};
use futures::Stream;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A [`Stream`] of entries as they are committed, made by [`FasterLog::iterator`]. It begins where
/// the iterator of this name was completed.
///
/// Call [`complete_until`](Self::complete_until) after processing entries; the next commit keeps
/// the place. After a crash the iterator begins at its place in the newest commit. So every entry
/// is seen at least once, and entries completed after that commit are seen again.
///
/// # Cancel safety
/// An entry that was not returned is not lost.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct NamedIterator {
    scan: Scan,
    log: FasterLog,
    name: String,
    /// The address of the last returned entry, and the lowest address of the next entry.
    given: [Address; 2],
}

impl NamedIterator {
    /// Returns the name of the iterator.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Marks the entries below `address` as processed. Pass the [`next`](Entry::next) of an
    /// entry. The next commit keeps the place. An address lower than the current place changes
    /// nothing.
    ///
    /// It is ready at once for the entry that the iterator returned last. Otherwise it checks,
    /// maybe on the device, whether an entry begins at `address`.
    ///
    /// # Errors
    /// `InvalidArgument` for an address after the end of the log, or where no entry begins.
    /// `Corrupt`, `Io`, `Poisoned`, `Closed`. An error leaves the place as it was.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has changed nothing.
    pub async fn complete_until(&self, address: Address) -> Result<()> {
        self.check_place(address).await?;
        // A commit record holds the place, not its movement. So the place must not go back.
        let place = self.log.inner.iterators.advance(&self.name, address.inner());
        debug_assert!(
            place <= self.log.inner.view.end(),
            "an iterator completes entries of the log: {place:?}"
        );
        self.log.inner.committer.requests().change(|next| {
            let moved = next.iterators.entry(self.name.clone()).or_insert(Some(place));
            *moved = (*moved).max(Some(place));
        });
        Ok(())
    }

    /// Checks that the iterator may be completed up to `address`.
    async fn check_place(&self, address: Address) -> Result<()> {
        let view = &self.log.inner.view;
        view.check_wait()?;
        let at = address.inner();
        let is_given = self.given.contains(&address);
        if is_given || at <= view.range().begin() || view.is_boundary(at) {
            return Ok(());
        }
        let end = view.end();
        match at.cmp(&end) {
            Ordering::Greater => Err(beyond(at, end)),
            Ordering::Equal => Ok(()),
            Ordering::Less => Lookup::new(view).check_frame(at).await,
        }
    }

    /// Ends with an error of kind `Truncated` if entries were truncated before the iterator reached
    /// them; see [`Scan::fail_on_truncated`].
    pub fn fail_on_truncated(mut self) -> Self {
        self.scan.set_fail_on_truncated();
        self
    }

    /// Returns the number of bytes that the iterator skipped because they were truncated; see
    /// [`Scan::skipped`].
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.scan.skipped()
    }

    /// Returns whether the iterator has returned every entry that is committed now. Returned
    /// entries may still have to be [completed](Self::complete_until).
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.scan.is_caught_up()
    }

    /// Returns the number of bytes from the last returned entry to the end of the last committed
    /// entry; see [`Scan::lag`].
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.scan.lag()
    }

    /// Returns the address up to which entries are processed. If every committed entry is, this is
    /// the end of the newest commit, because commit records need no completion.
    #[must_use]
    pub fn completed_until(&self) -> Address {
        let places = self.log.inner.iterators.places();
        let place = places.get(&self.name).copied().unwrap_or_else(|| self.log.begin_address());
        self.log.inner.view.range().processed_until(place.inner()).into()
    }
}

impl Stream for NamedIterator {
    type Item = Result<Entry>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.scan).poll_next(context));
        if let Some(Ok(entry)) = &next {
            debug_assert!(
                this.given[1] <= entry.address,
                "entries are given in order: {:?}",
                this.given
            );
            this.given = [entry.address, entry.next];
        }
        Poll::Ready(next)
    }
}

impl Drop for NamedIterator {
    fn drop(&mut self) {
        self.log.inner.iterators.release(&self.name);
    }
}

impl FasterLog {
    /// Returns the iterator of this name. A new iterator begins with the first entry of the log.
    /// Each name has at most one iterator at a time.
    ///
    /// # Errors
    /// `Busy` if an iterator of that name is in use. `InvalidArgument` for a name that is empty or
    /// longer than 128 bytes.
    pub fn iterator(&self, name: &str) -> Result<NamedIterator> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            let bytes = name.len();
            return Err(Error::invalid(format!(
                "an iterator's name of {bytes} bytes: 1 to {LONGEST_NAME}"
            )));
        }
        let Some(place) = self.inner.iterators.take(name) else {
            let error = Error::busy(&format!("iterator {name:?} is in use"));
            return Err(error.with_way_out("drop it first, or take another name"));
        };
        let start = place.map_or(Start::First, |place| Start::Kept(place.inner()));
        let scan = self.read_on_from(start);
        let given = [Address::FIRST; 2];
        Ok(NamedIterator { scan, log: self.clone(), name: name.to_owned(), given })
    }

    /// Returns the iterators that have a place, with the addresses up to which they were completed.
    ///
    /// Each address is the last one given to [`NamedIterator::complete_until`], in use or not. To
    /// see whether everything is processed, compare it with the [`next`](Entry::next) of
    /// [`last`](Self::last). It stays below [`committed_until`](Self::committed_until), because
    /// commit records follow the last entry.
    #[must_use]
    pub fn iterators(&self) -> BTreeMap<String, Address> {
        self.inner.iterators.places()
    }

    /// Removes the place of an iterator with the next commit. Returns whether it had one.
    pub fn forget_iterator(&self, name: &str) -> bool {
        let had = self.inner.iterators.forget(name);
        if had {
            self.inner
                .committer
                .requests()
                .change(|next| _ = next.iterators.insert(name.to_owned(), None));
        }
        had
    }
}
