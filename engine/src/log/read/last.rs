//! Looking for the last entry of a log, or of a range.

use super::entry::Entry;
use super::options::ScanOptions;
use super::reader::Reader;
use super::start::Start;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::log::frame::format::{Kind, frame_bytes};
use crate::log::memory::LogMemory;
use crate::log::view::LogView;
use std::future::poll_fn;
use std::sync::Arc;

/// The number of pages that an opening searches for the last entry.
const PAGES: usize = 8;

/// Looks for the end of the last committed entry, unless it is far from the end of the log.
pub(crate) async fn find(view: &Arc<LogView>) {
    let range = view.range();
    let mut end = range.committed().until();
    for _ in 0..PAGES {
        match last_in_page(view, end).await {
            Ok((_, Some(entry))) => return range.last_entry().set(entry.next.inner()),
            Ok((from, None)) if from <= range.begin() => return range.last_entry().set(from),
            Ok((from, None)) => end = from,
            // Readers that reach this place report the error.
            Err(_) => return,
        }
    }
}

/// Returns the last committed entry.
pub(crate) async fn last(view: &Arc<LogView>) -> Result<Option<Entry>> {
    let end = view.range().last_entry().end();
    let last = last_before(view, end.min(view.range().committed().until())).await?;
    debug_assert!(
        last.as_ref().is_none_or(|last| last.next.inner() <= view.range().committed().until()),
        "an entry that begins before the end of a commit is committed"
    );
    Ok(last)
}

/// Returns the last entry that begins below `end` and was not taken back, committed or not.
pub(crate) async fn last_before(view: &Arc<LogView>, mut end: Address) -> Result<Option<Entry>> {
    while end > view.range().begin() {
        let (from, last) = last_in_page(view, end).await?;
        if last.is_some() {
            return Ok(last);
        }
        end = from;
    }
    Ok(None)
}

/// Returns the start of the page before `end`, and the last entry in it that begins below `end`.
async fn last_in_page(view: &Arc<LogView>, end: Address) -> Result<(Address, Option<Entry>)> {
    let end = view.range().holes().hole_before(end);
    if end <= Address::FIRST {
        return Ok((Address::FIRST, None));
    }
    let from = view.first_in_page(Address::new(end.raw() - 1));
    let options = ScanOptions { end, follow: false, uncommitted: true };
    let mut reader = Reader::new(Arc::clone(view), Start::Near(from), options);
    let mut last = None;
    while let Some(entry) = poll_fn(|context| reader.poll_next(context)).await {
        let entry = entry?;
        debug_assert!(entry.address.inner() < end, "a reader ends before {end:?}");
        last = Some(entry);
    }
    Ok((from, last))
}

/// Returns the end of the last entry in `[start, record)`, all of which is written. Padding ends at
/// the end of a page. So an entry ends right before a record that is not at the start of a page.
pub(crate) fn end_of_last_entry(view: &LogView, [start, record]: [Address; 2]) -> Option<Address> {
    let page_bits = view.units().page_bits();
    debug_assert!(start <= record, "entries come before their record: {start:?}, {record:?}");
    let memory = view.memory().filter(|_| start < record)?;
    if record.offset(page_bits) > 0 && !view.range().holes().reach_into([start, record]) {
        return Some(record);
    }
    let mut end = record;
    loop {
        let page = Address::new(end.raw() - 1).page(page_bits);
        let from = start.max(Address::at(page, 0, page_bits));
        match end_in_page(view, memory, [from, end]) {
            None if from > start => end = from,
            found => {
                debug_assert!(
                    found.is_none_or(|found| start < found && found <= record),
                    "the end is in the commit: {start:?}, {found:?}, {record:?}"
                );
                return found;
            }
        }
    }
}

fn end_in_page(view: &LogView, memory: &LogMemory, [from, end]: [Address; 2]) -> Option<Address> {
    debug_assert!(from < end, "a part of a page has bytes: {from:?} to {end:?}");
    memory.protected(|guard| {
        let (mut at, mut last) = (from, None);
        loop {
            at = view.range().holes().clip(at).0;
            if at >= end {
                return last;
            }
            let Some(header) = memory.header(at, guard) else {
                // Memory has evicted it.
                return Some(end);
            };
            let next = view.framing().behind(at, frame_bytes(header.length()));
            if !matches!(header.kind(), Some(Kind::Commit | Kind::Padding)) {
                last = Some(next);
            }
            at = next;
        }
    })
}
