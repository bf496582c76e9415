//! One round of compaction.

use super::copies::{copy_live, held_up};
use super::counts::Round;
use super::filter::Filter;
use super::long_values::relocate;
use super::page::PageContents;
use super::uncertain::{Stopped, copy_uncertain};
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::{Event, yield_once};
use crate::base::weak_spot;
use crate::hybrid_log::{Claim, PagePayload, Show};
use crate::store::inner::StoreInner;
use crate::store::scan::{CopySizes, REACH, Uncertain};
use kvick_io::BoxFuture;
use std::time::Duration;

/// The number of buckets that are swept, or read, at once: some ten microseconds.
pub(super) const BUCKETS_AT_ONCE: u64 = 256;

/// Compacts page after page.
struct Source<'s> {
    store: &'s StoreInner,
    /// The end of the source.
    until: Address,
    /// Records that expire in this second or earlier have expired.
    second: u32,
    filter: &'s mut Option<Filter>,
    /// Everything live below is copied, or gathered.
    seen: Address,
    /// Everything live below is copied.
    done: Address,
    /// The records of the pages in between whose chains are on the device.
    uncertain: Uncertain<'s>,
    round: Round,
}

impl StoreInner {
    /// Copies what is live in the log below `until`, except what `filter` drops, and lets the log
    /// begin there. Everything below `until` has been flushed.
    ///
    /// After an error the log begins with the page that could not be compacted. A round whose
    /// copies have no more room within the budget ends early, and has no error if a page is done.
    /// So does a round over more than 32 GiB.
    ///
    /// # Errors
    /// `Busy` if there is a scan in progress, or one begins meanwhile, or if a reader of the log
    /// needs the oldest page, also one that begins meanwhile. `Corrupt` with file and offset, `Io`,
    /// `StorageFull`, `Poisoned`, `Closed`.
    pub(crate) async fn compact(
        &self,
        until: Address,
        filter: &mut Option<Filter>,
    ) -> Result<Round> {
        let (units, begin) = (self.log.file().units(), self.log.pages().begin());
        let first = units.start_of_page(begin);
        let until = units.start_of_page(until.min(Address::new(first.raw() + REACH)));
        if until <= begin {
            return Ok(Round::default());
        }
        self.check_scans()?;
        let until = self.limit_by_readers(until);
        if until <= begin {
            return Err(Error::busy("a reader of the log has not read its oldest part"));
        }
        assert!(until <= self.log.flushing().flushed(), "the source is on the device: {until:?}");
        // An entry of the write-ahead log may let a record live on that has expired by now.
        let is_repeating = self.wal.as_ref().is_some_and(|wal| !wal.is_live());
        // Before the drain: after it no operation is left that has read an earlier second, in which
        // it may renew what has expired.
        let second = if is_repeating { 0 } else { self.clock.now().second };
        self.log.begin_shift().retire(until).await;
        let mut source = Source::new(self, [begin, until], (second, filter));
        let read = self.log.scan().log([first, until], &mut source).await;
        // After an error too, so that the pages before it are done.
        let rest = source.copy_uncertain().await;
        let read = read.and(rest);
        let Source { done, mut round, filter, .. } = source;
        let done = if read.is_ok() { until } else { done };
        round.source_bytes = self.begin_at(done).await?;
        let begin = self.log.pages().begin();
        filter.iter_mut().for_each(|filter| filter.note_round(begin));
        if round.dropped_records > 0 {
            self.sweep().await;
        }
        match read {
            // The pages whose copies had room are done.
            Err(error) if round.source_bytes > 0 && self.lacks_room_for_copies(&error) => Ok(round),
            Ok(()) if round.source_bytes == 0 => {
                Err(Error::busy("a scan or a reader of the log has begun meanwhile"))
            }
            read => read.map(|()| round),
        }
    }

    /// Returns whether compaction has ended with `error` for want of room within the budget.
    pub(crate) fn lacks_room_for_copies(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::StorageFull && self.log.quota().pages_left(Claim::Copy) == 0
    }

    /// Removes the entries of dropped records from the index. It goes down from bucket to bucket,
    /// and so do entries when an index shrinks, which the sweep may cause.
    pub(crate) async fn sweep(&self) {
        let begin = self.log.pages().begin();
        let mut end = self.index.buckets();
        while end > 0 {
            let start = end.saturating_sub(BUCKETS_AT_ONCE);
            self.index.free_below(begin, start..end);
            end = start;
            yield_once().await;
        }
    }

    /// Returns whether a scan in progress holds compaction up.
    pub(crate) fn has_scan(&self) -> bool {
        self.scans.hold_up()
    }

    /// Notes that compaction waits for the scans in progress: one that is not polled holds it up
    /// for a minute from now on. Returns whether there are scans.
    pub(crate) fn press_scans(&self) -> bool {
        self.scans.press()
    }

    /// Refuses to compact while there are scans, and presses them.
    ///
    /// # Errors
    /// `Busy`.
    pub(crate) fn check_scans(&self) -> Result<()> {
        if self.press_scans() { Err(held_up()) } else { Ok(()) }
    }

    /// Returns `until`, the start of a page, or an earlier page that a reader of the log needs. A
    /// reader that is not polled needs it for a minute.
    pub(crate) fn limit_by_readers(&self, until: Address) -> Address {
        let needs = self.readers.hold_up(until);
        needs.map_or(until, |needs| self.log.file().units().start_of_page(needs))
    }

    /// Returns the event of readers of the log that were in the way of compaction.
    pub(crate) fn reader_moved(&self) -> &Event {
        self.readers.moved()
    }

    /// Returns the event of scans that have ended.
    pub(crate) fn scan_ended(&self) -> &Event {
        self.scans.ended()
    }

    /// Returns the number of readers of the log, and what they still need.
    pub(crate) fn reader_needs(&self) -> (usize, Option<Address>) {
        self.readers.needs()
    }

    /// Returns the time since which one of the scans in progress was not used, the earliest one, as
    /// far as this call and earlier ones have seen it.
    pub(crate) fn scans_still_since(&self, now: Duration) -> Option<Duration> {
        self.scans.still_since(now)
    }

    /// Sets whether new scans wait for compaction.
    pub(crate) fn hold_back_scans(&self, are_held_back: bool) {
        self.scans.hold_back(are_held_back);
    }

    /// Lets the log begin at `until`, or at the first record that a scan or a reader needs.
    /// Everything live below is copied, except in a cache. Returns the number of bytes that went.
    pub(super) async fn begin_at(&self, until: Address) -> Result<u64> {
        let begin = self.log.pages().begin();
        // What is below is dead, so no memory is lost by it.
        self.log.flushing().evict(until).await?;
        // A reader that found an entry before the last copy was linked may be about to compare its
        // address with the begin. After the drain, no such reader is left.
        if !weak_spot::begins_without_drain() {
            self.log.drain().await;
        }
        let units = self.log.file().units();
        let raise = |needs: [Option<Address>; 2]| {
            let needs = needs.into_iter().flatten().map(|needs| units.start_of_page(needs));
            let until = needs.min().map_or(until, |needs| needs.min(until));
            if until > begin {
                self.log.begin_shift().transition_to(until);
            }
            until.max(begin)
        };
        let moved = self
            .scans
            .raise_begin(|scans| self.readers.raise_begin(|readers| raise([scans, readers])));
        // The frames get this memory back.
        self.governor.limit_superseded(|limit| {
            self.superseded.forget_below(units, moved);
            self.superseded.limit_to(limit)
        });
        Ok(moved.raw() - begin.raw())
    }
}

impl<'s> Source<'s> {
    fn new(
        store: &'s StoreInner,
        [begin, until]: [Address; 2],
        (second, filter): (u32, &'s mut Option<Filter>),
    ) -> Self {
        let first = store.log.file().units().start_of_page(begin);
        let uncertain = Uncertain::above(first).within(&store.governor);
        let round = Round::default();
        let (seen, done) = (begin, begin);
        Self { store, until, second, filter, seen, done, uncertain, round }
    }

    async fn compact(&mut self, page: &PagePayload) -> Result<()> {
        if self.is_room_short() {
            self.copy_uncertain().await?;
        }
        let range = [page.start, self.until];
        let Self { store, uncertain, filter, round, .. } = self;
        let contents = PageContents::of(store, range, &page.bytes, (self.second, round)).await?;
        copy_live(store, &contents.candidates, uncertain, filter, round).await?;
        for long in &contents.long {
            let bounds = (self.until, self.second);
            relocate(self.store, long, bounds, self.filter, &mut self.round).await?;
        }
        let page_bits = self.store.log.file().units().page_bits();
        self.seen = Address::at(page.start.page(page_bits) + 1, 0, page_bits);
        if self.uncertain.len() == 0 || self.uncertain.is_full() {
            self.copy_uncertain().await?;
        }
        Ok(())
    }

    /// Returns whether the copies of gathered records may not fit in the pages that the budget has
    /// for copies, if those of a further page come first. They are of the oldest pages, which must
    /// be done, or else no space is made.
    fn is_room_short(&self) -> bool {
        let Some(sizes) = self.store.space.sizes() else {
            return false;
        };
        let CopySizes { sum, largest } = self.uncertain.copies();
        let pages = sizes.pages_filled(sum, largest) + sizes.pages_of_copies(1);
        sum > 0 && self.store.log.quota().pages_left(Claim::Copy) < pages
    }

    /// Copies the live ones of the records that were gathered. Then all pages so far are done.
    async fn copy_uncertain(&mut self) -> Result<()> {
        let Self { store, uncertain, filter, round, .. } = self;
        match copy_uncertain(store, uncertain, filter, round).await {
            Ok(()) => {
                self.done = self.seen;
                Ok(())
            }
            Err(Stopped { at, error }) => {
                // The round ends here. Records that could not be copied are not gathered any more,
                // so no later attempt may count the pages from here on as done.
                self.uncertain = Uncertain::above(self.done);
                self.done = self.store.log.file().units().start_of_page(at).max(self.done);
                self.seen = self.done;
                Err(error)
            }
        }
    }
}

impl Show for Source<'_> {
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.compact(page))
    }
}
