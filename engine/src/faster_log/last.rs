//! Where the last committed entry ends, so that readers can tell when they have come to it.
//!
//! Behind the last entry a log has records of its own commits, and padding: a reader that has been
//! given every entry stands before them, and below the end of the newest commit. So that end is
//! kept, and so is that of the last entry that was truncated. It is exact, with two exceptions in
//! which it is too high until the next entry is committed: memory has no more what lies before a
//! commit when it settles, or an opening finds no entry in the last pages of the log. It is never
//! too low.

use super::entry::{Header, Kind, frame_bytes};
use super::reader::{LogEntry, Reader, Terms};
use super::source::{Live, Source};
use super::start::{Start, page_of};
use crate::address::Address;
use crate::error::Result;
use kvick_io::sync::{Mutex, MutexGuard};
use std::future::poll_fn;
use std::sync::Arc;

/// Pages that an opening looks at for the last entry.
const PAGES: usize = 8;

/// Where entries end.
#[derive(Debug)]
pub(super) struct LastEntry(Mutex<Ends>);

#[derive(Debug)]
struct Ends {
    /// The end of the last committed entry that was not taken back.
    last: Address,
    /// No entry that was truncated, of the oldest, ends behind.
    gone: Address,
}

impl LastEntry {
    /// Of a log from `begin` to `until`.
    pub(super) fn new([begin, until]: [Address; 2]) -> Self {
        Self(Mutex::new(Ends { last: until, gone: begin }))
    }

    fn get(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().expect("nothing panics under it")
    }
}

impl Source {
    /// Bytes from `at` to the end of the last committed entry; nothing if no entry is left.
    pub(super) fn left_from(&self, at: Address) -> u64 {
        let seen = self.voids.clip(at.max(self.begin.load())).0;
        self.last_entry.get().last.raw().saturating_sub(seen.raw())
    }

    /// How far everything is done with if that is so below `place`: as far as the log is committed
    /// if it has nothing but its own records from there on.
    pub(super) fn done_until(&self, place: Address) -> Address {
        // First: what is committed later moves the last entry before this.
        let durable = self.durable.load();
        if self.left_from(place) == 0 { place.max(durable) } else { place }
    }

    /// Notes that entries below `begin` are truncated; readers do not know it yet.
    pub(super) fn note_front(&self, begin: Address) {
        let mut ends = self.last_entry.get();
        let is_known = begin <= self.durable.load();
        let gone = if is_known { begin.min(ends.last) } else { begin };
        ends.gone = ends.gone.max(gone);
    }

    /// Whether no entry at `at` or behind was truncated.
    pub(super) fn has_all_from(&self, at: Address) -> bool {
        self.last_entry.get().gone <= at
    }

    /// Notes a commit, whose entries lie in `[start, record)`; readers do not see it yet.
    pub(super) fn note_commit(&self, [start, record]: [Address; 2]) {
        let mut ends = self.last_entry.get();
        if let Some(end) = self.last_end([start, record]) {
            ends.last = ends.last.max(end);
        }
    }

    /// Notes that entries were taken back, of which readers know, and where those before end.
    pub(super) fn note_void(&self, [start, end]: [Address; 2], before: Address) {
        let mut ends = self.last_entry.get();
        if start < ends.last && ends.last <= end {
            ends.last = before;
        }
    }

    /// Notes where the last committed entry ends, if it is known.
    pub(super) fn note_last(&self, end: Address) {
        self.last_entry.get().last = end;
    }

    /// Looks where the last entry ends of what is committed, unless it is far from the end.
    pub(super) async fn look_for_last(self: &Arc<Self>) {
        let until = self.durable.load();
        let mut end = until;
        for _ in 0..PAGES {
            match self.last_in_page(end).await {
                Ok((_, Some(entry))) => return self.note_last(entry.next.inner()),
                Ok((from, None)) if from <= self.begin.load() => return self.note_last(from),
                Ok((from, None)) => end = from,
                // Readers that come there will say so.
                Err(_) => return,
            }
        }
    }

    /// The last entry that begins below `end` and was not taken back, committed or not.
    pub(super) async fn last_before(
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

    /// The last committed entry.
    pub(super) async fn last(self: &Arc<Self>) -> Result<Option<LogEntry>> {
        let end = self.last_entry.get().last;
        self.last_before(end.min(self.durable.load())).await
    }

    /// The last entry that begins below `end`, if it does so in the page before; and where that
    /// page begins.
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

    /// The end of the last entry in `[start, record)`, all of which was written. Padding ends where
    /// a page does, and so an entry ends right before a record that is not at the start of one.
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
                let is_there = at >= live.log.head(guard);
                let header =
                    is_there.then(|| Header::load(&live.log.words(at, guard)[0])).flatten();
                let Some(header) = header else {
                    // Memory has it no more.
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
