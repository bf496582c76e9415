//! The end of the last committed entry, so that readers know when they have reached it.
//!
//! Commit records and padding follow the last entry of a log. So a reader that has returned every
//! entry stands before them, below the end of the newest commit. Therefore the log keeps the end of
//! the last entry, and the end of the last truncated entry.
//!
//! The end of the last entry is never too low. In two cases it is too high until the next entry is
//! committed. In the first, memory has evicted the bytes before a commit when the commit becomes
//! durable. In the second, an opening finds no entry in the last pages of the log.

use super::reader::{LogEntry, Reader, Terms};
use super::start::{Start, page_of};
use crate::address::Address;
use crate::error::Result;
use crate::log::frame::format::{Header, Kind, frame_bytes};
use crate::log::view::{Live, Source};
use kvick_io::sync::{Mutex, MutexGuard};
use std::future::poll_fn;
use std::sync::Arc;

/// The number of pages that an opening searches for the last entry.
const PAGES: usize = 8;

/// The ends of entries.
#[derive(Debug)]
pub(crate) struct LastEntry(Mutex<Ends>);

#[derive(Debug)]
struct Ends {
    /// The end of the last committed entry that was not taken back.
    last: Address,
    /// No entry that was truncated at the front ends after this address.
    gone: Address,
}

impl LastEntry {
    /// Returns the ends of a log from `begin` to `until`.
    pub(crate) fn new([begin, until]: [Address; 2]) -> Self {
        Self(Mutex::new(Ends { last: until, gone: begin }))
    }

    fn get(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().expect("nothing panics under it")
    }
}

impl Source {
    /// Returns the bytes from `at` to the end of the last committed entry; 0 if no entry is left.
    pub(crate) fn left_from(&self, at: Address) -> u64 {
        let seen = self.voids.clip(at.max(self.begin.load())).0;
        self.last_entry.get().last.raw().saturating_sub(seen.raw())
    }

    /// Returns the address up to which entries are processed, if they are processed below `place`.
    /// It is the end of the newest commit if only commit records follow `place`.
    pub(crate) fn done_until(&self, place: Address) -> Address {
        // Load `durable` first: a later commit moves the last entry before `durable`.
        let durable = self.durable.load();
        if self.left_from(place) == 0 { place.max(durable) } else { place }
    }

    /// Notes that entries below `begin` are truncated. Readers do not know it yet.
    pub(crate) fn note_front(&self, begin: Address) {
        let mut ends = self.last_entry.get();
        let is_known = begin <= self.durable.load();
        let gone = if is_known { begin.min(ends.last) } else { begin };
        ends.gone = ends.gone.max(gone);
    }

    /// Returns whether no entry at `at` or after it was truncated at the front.
    pub(crate) fn has_all_from(&self, at: Address) -> bool {
        self.last_entry.get().gone <= at
    }

    /// Notes a commit with the entries in `[start, record)`. Readers do not see it yet.
    pub(crate) fn note_commit(&self, [start, record]: [Address; 2]) {
        let mut ends = self.last_entry.get();
        if let Some(end) = self.last_end([start, record]) {
            ends.last = ends.last.max(end);
        }
    }

    /// Notes that a range of entries was taken back. Readers know it already. The entries before it
    /// end at `before`.
    pub(crate) fn note_void(&self, [start, end]: [Address; 2], before: Address) {
        let mut ends = self.last_entry.get();
        if start < ends.last && ends.last <= end {
            ends.last = before;
        }
    }

    /// Notes the end of the last committed entry, if it is known.
    pub(crate) fn note_last(&self, end: Address) {
        self.last_entry.get().last = end;
    }

    /// Looks for the end of the last committed entry, unless it is far from the end of the log.
    pub(crate) async fn look_for_last(self: &Arc<Self>) {
        let until = self.durable.load();
        let mut end = until;
        for _ in 0..PAGES {
            match self.last_in_page(end).await {
                Ok((_, Some(entry))) => return self.note_last(entry.next.inner()),
                Ok((from, None)) if from <= self.begin.load() => return self.note_last(from),
                Ok((from, None)) => end = from,
                // Readers that reach this place report the error.
                Err(_) => return,
            }
        }
    }

    /// Returns the last entry that begins below `end` and was not taken back, committed or not.
    pub(crate) async fn last_before(
        self: &Arc<Self>,
        mut end: Address,
    ) -> Result<Option<LogEntry>> {
        while end > self.begin.load() {
            let (from, last) = self.last_in_page(end).await?;
            if last.is_some() {
                return Ok(last);
            }
            end = from;
        }
        Ok(None)
    }

    /// Returns the last committed entry.
    pub(crate) async fn last(self: &Arc<Self>) -> Result<Option<LogEntry>> {
        let end = self.last_entry.get().last;
        self.last_before(end.min(self.durable.load())).await
    }

    /// Returns the start of the page before `end`, and the last entry in it that begins below
    /// `end`.
    async fn last_in_page(self: &Arc<Self>, end: Address) -> Result<(Address, Option<LogEntry>)> {
        let end = self.voids.void_before(end);
        if end <= Address::FIRST {
            return Ok((Address::FIRST, None));
        }
        let from = page_of(self, Address::new(end.raw() - 1));
        let terms = Terms { end, follow: false, uncommitted: true };
        let mut reader = Reader::new(Arc::clone(self), Start::Near(from), terms);
        let mut last = None;
        while let Some(entry) = poll_fn(|context| reader.poll_next(context)).await {
            last = Some(entry?);
        }
        Ok((from, last))
    }

    /// Returns the end of the last entry in `[start, record)`, all of which is written. Padding
    /// ends at the end of a page. So an entry ends right before a record that is not at the start
    /// of a page.
    fn last_end(&self, [start, record]: [Address; 2]) -> Option<Address> {
        let page_bits = self.framing.units.page_bits();
        let live = self.live.as_ref().filter(|_| start < record)?;
        if record.offset(page_bits) > 0 && !self.voids.reach_into([start, record]) {
            return Some(record);
        }
        let mut end = record;
        loop {
            let page = Address::new(end.raw() - 1).page(page_bits);
            let from = start.max(Address::at(page, 0, page_bits));
            match self.last_end_in_page(live, [from, end]) {
                None if from > start => end = from,
                found => return found,
            }
        }
    }

    fn last_end_in_page(&self, live: &Live, [from, end]: [Address; 2]) -> Option<Address> {
        live.seats.protected(|guard| {
            let (mut at, mut last) = (from, None);
            loop {
                at = self.voids.clip(at).0;
                if at >= end {
                    return last;
                }
                let is_there = at >= live.log.pages().head(guard);
                let header =
                    is_there.then(|| Header::load(&live.log.pages().words(at, guard)[0])).flatten();
                let Some(header) = header else {
                    // Memory has evicted it.
                    return Some(end);
                };
                let next = self.framing.behind(at, frame_bytes(header.length()));
                if !matches!(header.kind(), Some(Kind::Commit | Kind::Padding)) {
                    last = Some(next);
                }
                at = next;
            }
        })
    }
}
