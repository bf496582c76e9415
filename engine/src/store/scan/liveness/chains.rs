//! Walks along chains on the device, for many records at once.
//!
//! The walks of a round are sorted by the address that each must read next. Neighbours are read
//! together, as one *span* of units, and several spans are in flight. A walk goes on within its
//! span as long as its chain does. The walks that leave their spans make the next round, at lower
//! addresses.

use super::candidate::{Candidate, Live, Pending, Walk};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::hybrid_log::LogFile;
use crate::record::{RecordInfo, StoredRecord, WORD};
use crate::store::inner::StoreInner;
use futures::stream::{FuturesUnordered, TryStreamExt};
use kvick_io::AlignedBuf;

/// The limit of spans in flight. Their bytes together have the limit of all reads.
const SPANS: usize = 64;
/// The limit of the payload of a span, unless a record is longer.
const SPAN_BYTES: u64 = 32 << 10;
/// Records with this much between them are read apart.
const GAP_BYTES: u64 = 4 << 10;

/// Walks that go on in some units of one page.
struct Span<'w, 'p> {
    walks: &'w [Pending<'p>],
    start: Address,
    units: usize,
}

/// The payload of a span.
struct Payload {
    start: Address,
    bytes: AlignedBuf,
    length: usize,
}

/// A walk that went as far as its span has bytes.
enum Step {
    Walked(Walk),
    /// The record at this address ends after the span.
    TooShort(Address),
}

/// Walks until every candidate is live or dead.
pub(in crate::store::scan) async fn walk_on_device<'p>(
    store: &StoreInner,
    mut pending: Vec<Pending<'p>>,
    end: Address,
    live: &mut Vec<Live<'p>>,
) -> Result<()> {
    while !pending.is_empty() {
        store.check_read()?;
        pending.sort_unstable_by_key(|walk| walk.from);
        let file = store.log.file();
        let (limit, unit_bytes) = (file.read_bytes(), file.units().unit_bytes());
        let mut spans = spans(store, &pending).peekable();
        let mut reads = FuturesUnordered::new();
        let (mut next, mut in_flight) = (Vec::new(), 0);
        loop {
            // Most spans are a unit or two, so many of them fit into little memory.
            while let Some(span) = spans.next_if(|span| {
                let bytes = in_flight + span.units * unit_bytes;
                reads.is_empty() || reads.len() < SPANS && bytes <= limit
            }) {
                in_flight += span.units * unit_bytes;
                reads.push(walk_span(store, span, end));
            }
            debug_assert!(reads.len() <= 1 || in_flight <= limit, "{in_flight} bytes in flight");
            let Some((units, walked)) = reads.try_next().await? else {
                break;
            };
            in_flight -= units * unit_bytes;
            for (Pending { candidate, entry, .. }, walk) in walked {
                match walk {
                    Walk::Live => live.push(Live { candidate, entry }),
                    Walk::Dead => {}
                    Walk::GoesOn(from) => next.push(Pending { candidate, entry, from }),
                }
            }
        }
        drop((reads, spans));
        pending = next;
    }
    Ok(())
}

/// Divides sorted walks into spans.
fn spans<'w, 'p>(
    store: &'w StoreInner,
    walks: &'w [Pending<'p>],
) -> impl Iterator<Item = Span<'w, 'p>> {
    let units = store.log.file().units();
    let mut rest = walks;
    std::iter::from_fn(move || {
        let first = rest.first()?.from;
        let mut last = first;
        let belongs = |walk: &&Pending<'_>| {
            let from = walk.from;
            let is_near = from.raw() - last.raw() <= GAP_BYTES;
            let is_small = from.raw() - first.raw() <= SPAN_BYTES;
            last = from;
            is_near && is_small && units.start_of_page(from) == units.start_of_page(first)
        };
        let count = rest.iter().take_while(belongs).count();
        debug_assert!(count > 0, "a span has the walk that it begins with");
        let (walks, others) = rest.split_at(count);
        rest = others;
        Some(Span::of(store, walks))
    })
}

/// Reads a span, and walks along its chains. Returns the number of its units, too.
async fn walk_span<'p>(
    store: &StoreInner,
    span: Span<'_, 'p>,
    end: Address,
) -> Result<(usize, Vec<(Pending<'p>, Walk)>)> {
    let payload = Payload::read(store, &span).await?;
    let mut walked = Vec::with_capacity(span.walks.len());
    for pending in span.walks {
        let Pending { candidate, from, .. } = pending;
        let walk = match payload.walk(store.log.file(), candidate, *from, end)? {
            Step::Walked(walk) => walk,
            Step::TooShort(address) => walk_past(store, candidate, address, end).await?,
        };
        walked.push((*pending, walk));
    }
    Ok((span.units, walked))
}

/// Reads the record at `address` as a whole, and walks past it.
async fn walk_past(
    store: &StoreInner,
    candidate: &Candidate<'_>,
    address: Address,
    end: Address,
) -> Result<Walk> {
    let layouts = store.tables.layouts();
    let record = store.log.reader().fetch(layouts, candidate.layout, address).await?;
    let info = record.info();
    if candidate.may_be_newer(address, info, end) && record.key(candidate.layout) == candidate.key()
    {
        return Ok(Walk::Dead);
    }
    if info.previous() >= address {
        return Err(store.log.file().not_a_record(address));
    }
    Ok(candidate.walk_at(info.previous()))
}

impl<'w, 'p> Span<'w, 'p> {
    /// Returns the span of the records at which these walks go on. They are in one page, and on the
    /// device.
    fn of(store: &StoreInner, walks: &'w [Pending<'p>]) -> Self {
        let (first, last) = (walks[0], walks[walks.len() - 1]);
        let (file, flushed) = (store.log.file(), store.log.flushing().flushed());
        let units = file.units();
        assert!(last.from < flushed, "{:?} was written", last.from);
        let start = units.unit_start(first.from);
        let hint = file.counters().record_bytes_hint(last.candidate.layout).max(WORD);
        let wanted = last.from.offset(units.page_bits()) + hint as u64;
        let written = flushed.raw() - units.start_of_page(start).raw();
        let end = wanted.min(units.page_capacity()).min(written);
        Self { walks, start, units: units.count(start, end) }
    }
}

impl Payload {
    async fn read(store: &StoreInner, span: &Span<'_, '_>) -> Result<Self> {
        let start = span.start;
        let mut bytes = store.log.read_units(start, span.units).await?;
        let length = store.log.file().strip().open(start, &mut bytes)?;
        Ok(Self { start, bytes, length })
    }

    /// Walks along a chain from `from` on, as far as it stays in this span.
    fn walk(
        &self,
        file: &LogFile,
        candidate: &Candidate<'_>,
        from: Address,
        end: Address,
    ) -> Result<Step> {
        let mut address = from;
        loop {
            let Some(rest) = self.from(address) else {
                return Ok(Step::Walked(Walk::GoesOn(address)));
            };
            let info = RecordInfo::first_of(rest);
            if !info.is_present() || info.previous() >= address {
                return Err(file.not_a_record(address));
            }
            if candidate.may_be_newer(address, info, end) {
                let layout = candidate.layout;
                let whole = StoredRecord::header(rest, layout);
                let Some(record) = whole.and_then(|whole| rest.get(..whole)) else {
                    return Ok(Step::TooShort(address));
                };
                if StoredRecord::key_in(record, layout) == candidate.key() {
                    return Ok(Step::Walked(Walk::Dead));
                }
            }
            match candidate.walk_at(info.previous()) {
                Walk::GoesOn(previous) => address = previous,
                walk => return Ok(Step::Walked(walk)),
            }
        }
    }

    /// Returns the bytes from `address` on, if the span has them.
    fn from(&self, address: Address) -> Option<&[u8]> {
        let within = address.raw().checked_sub(self.start.raw())?;
        let within = usize::try_from(within).ok()?;
        self.bytes[..self.length].get(within..).filter(|rest| rest.len() >= WORD)
    }
}
