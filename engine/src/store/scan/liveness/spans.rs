//! Reads many places of the log on the device, neighbours together.
//!
//! Places are read in their order, as *spans* of units, several of them in flight. A span is within
//! one page. If the places are close to each other, the log is read from one end to the other in
//! large pieces. If they are far apart, only their units are read.

use super::places::Places;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::in_order::InOrder;
use crate::record::{Layout, Layouts, RecordInfo, StoredRecord, TableNumber, WORD};
use crate::store::inner::StoreInner;
use futures::stream::StreamExt;
use kvick_io::{AlignedBuf, BoxFuture};
use std::collections::VecDeque;
use std::ops::Range;

/// The limit of spans in flight. Their bytes together have the limit of all reads.
const SPANS: usize = 64;
/// The limits of the distance of places in a span. A buffer of 256 KiB suffices for the largest
/// spans.
const SPAN_BYTES: [u64; 2] = [32 << 10, 240 << 10];
/// The part of the bytes in flight that one span may take, unless it is small.
const SPAN_PART: usize = 8;
/// Places with this much between them are read apart.
const GAP_BYTES: u64 = 16 << 10;

/// A place on the device from which bytes are needed. The greatest one is read first.
pub(in crate::store) trait Place: Copy + Ord {
    /// Returns its address; `NONE` if nothing is needed any more, of this place and smaller ones.
    fn address(&self) -> Address;
    /// Returns the number of bytes that are needed, unless the page ends before.
    fn needed(&self) -> u64;
}

/// The reads of some places.
pub(in crate::store) struct SpanReads<'s, P> {
    store: &'s StoreInner,
    /// The places that are in no span yet.
    places: Places<P>,
    /// The spans of `reads`, and at most one more.
    spans: VecDeque<Span<P>>,
    reads: InOrder<BoxFuture<'s, Result<Payload>>>,
    /// The bytes in flight.
    bytes: usize,
    /// The ranges of spans that could not be read as a whole.
    damaged: Vec<Range<u64>>,
}

/// Units of one page, and the places in it.
struct Span<P> {
    places: Vec<P>,
    start: Address,
    /// The payload ends here.
    end: u64,
    units: usize,
}

/// The payload of a span.
pub(in crate::store) struct Payload {
    start: Address,
    bytes: AlignedBuf,
    length: usize,
}

impl<'s, P: Place> SpanReads<'s, P> {
    /// Reads `places`, which are on the device.
    pub(in crate::store) fn new(store: &'s StoreInner, places: Vec<P>) -> Self {
        let (places, spans) = (Places::new(places), VecDeque::new());
        let (reads, damaged) = (InOrder::new(), Vec::new());
        Self { store, places, spans, reads, bytes: 0, damaged }
    }

    /// Adds a place for one that was returned, to a span in flight if it is in one.
    pub(in crate::store) fn add(&mut self, place: P) {
        match self.spans.iter_mut().find(|span| span.holds(place)) {
            Some(span) => span.places.push(place),
            None if place.address() == Address::NONE => self.places.end(place),
            None => self.places.add(place),
        }
    }

    /// Returns the places of the next span, and its bytes. Returns `None` after the last one.
    ///
    /// The places of a span that cannot be read are read one by one. So a place fails only if its
    /// own bytes cannot be read.
    ///
    /// # Errors
    /// `Closed`. Within: `Corrupt` with file and offset, `Io`.
    pub(in crate::store) async fn next(&mut self) -> Result<Option<(Vec<P>, Result<Payload>)>> {
        loop {
            self.store.check_read()?;
            self.begin();
            let Some(payload) = self.reads.next().await else {
                return Ok(None);
            };
            let span = self.spans.pop_front().expect("each read has its span");
            self.bytes -= self.bytes_of(&span);
            if payload.is_ok() || span.places.len() == 1 {
                return Ok(Some((span.places, payload)));
            }
            self.damaged.push(span.start.raw()..span.end);
            for place in span.places {
                self.places.add(place);
            }
        }
    }

    /// Returns the lowest place that was not returned yet.
    pub(in crate::store) fn lowest(&self) -> Option<Address> {
        let in_flight = self.spans.iter().flat_map(|span| &span.places);
        in_flight.chain(self.places.iter()).map(Place::address).min()
    }

    /// Returns the places of which nothing is needed, after the last span.
    pub(in crate::store) fn into_rest(self) -> Vec<P> {
        debug_assert!(self.spans.is_empty(), "all spans were read");
        self.places.into_ended()
    }

    /// Begins reads, as many as there may be at once.
    fn begin(&mut self) {
        let limit = self.store.log.file().read_bytes();
        loop {
            if self.spans.len() == self.reads.len() {
                let Some(span) = self.take_span(limit) else {
                    return;
                };
                self.spans.push_back(span);
            }
            let span = self.spans.back().expect("there is one");
            let bytes = self.bytes + self.bytes_of(span);
            if !self.reads.is_empty() && (self.reads.len() == SPANS || bytes > limit) {
                return;
            }
            self.reads.push_back(Box::pin(Payload::read(self.store, span.start, span.units)));
            self.bytes = bytes;
        }
    }

    fn next_address(&self) -> Option<Address> {
        self.places.peek().map(Place::address)
    }

    /// Takes the first places that are neighbours.
    fn take_span(&mut self, limit: usize) -> Option<Span<P>> {
        let units = self.store.log.file().units();
        let first = self.next_address()?;
        let [least, most] = SPAN_BYTES;
        let largest = ((limit / SPAN_PART) as u64).clamp(least, most);
        if self.damaged.iter().any(|span| span.contains(&first.raw())) {
            return self.places.pop().map(|place| self.span_of(vec![place]));
        }
        let (mut places, mut last) = (Vec::new(), first);
        while let Some(at) = self.next_address() {
            let is_near = at.raw().abs_diff(last.raw()) <= GAP_BYTES;
            let is_small = at.raw().abs_diff(first.raw()) <= largest;
            if !is_near || !is_small || units.start_of_page(at) != units.start_of_page(first) {
                break;
            }
            last = at;
            places.extend(self.places.pop());
        }
        debug_assert!(!places.is_empty(), "a span has the place that it begins with");
        Some(self.span_of(places))
    }

    /// Returns the span of places in one page.
    fn span_of(&self, places: Vec<P>) -> Span<P> {
        let units = self.store.log.file().units();
        let flushed = self.store.log.flushing().flushed();
        let addresses = || places.iter().map(Place::address);
        let lowest = addresses().min().expect("a span has places");
        let highest = addresses().max().expect("a span has places");
        assert!(highest < flushed, "{highest:?} was written");
        let start = units.unit_start(lowest);
        let wanted = places.iter().map(|place| place.address().raw() + place.needed()).max();
        let page = units.start_of_page(start).raw();
        let end = (wanted.expect("a span has places") - page)
            .min(units.page_capacity())
            .min(flushed.raw() - page);
        let units_read = units.count(start, end);
        let end = start.raw() + units_read as u64 * units.payload();
        Span { places, start, end, units: units_read }
    }

    fn bytes_of(&self, span: &Span<P>) -> usize {
        span.units * self.store.log.file().units().unit_bytes()
    }
}

impl<P: Place> Span<P> {
    /// Returns whether the span has all bytes that a place needs.
    fn holds(&self, place: P) -> bool {
        let at = place.address();
        at > Address::NONE && self.start <= at && at.raw() + place.needed() <= self.end
    }
}

impl Payload {
    async fn read(store: &StoreInner, start: Address, units: usize) -> Result<Self> {
        let mut bytes = store.log.read_units(start, units).await?;
        let length = store.log.file().strip().open(start, &mut bytes)?;
        Ok(Self { start, bytes, length })
    }

    /// Returns the record at `address`, if the span has all of it.
    pub(in crate::store) fn record(
        &self,
        layouts: &Layouts,
        address: Address,
    ) -> Option<WholeRecord<'_>> {
        whole_record(layouts, self.from(address)?)
    }

    /// Returns the first address of the span, and its bytes.
    pub(in crate::store::scan) fn bytes(&self) -> (Address, &[u8]) {
        (self.start, &self.bytes[..self.length])
    }

    /// Returns the bytes from `address` on, if the span has any.
    pub(in crate::store) fn from(&self, address: Address) -> Option<&[u8]> {
        let within = address.raw().checked_sub(self.start.raw())?;
        let within = usize::try_from(within).ok()?;
        self.bytes[..self.length].get(within..).filter(|rest| !rest.is_empty())
    }
}

/// The table, the layout and all bytes of a record.
pub(in crate::store) type WholeRecord<'b> = (TableNumber, Layout, &'b [u8]);

/// Returns the record that begins `bytes`, if it is whole.
pub(in crate::store) fn whole_record<'b>(
    layouts: &Layouts,
    bytes: &'b [u8],
) -> Option<WholeRecord<'b>> {
    let info = RecordInfo::first_of(bytes.first_chunk::<WORD>()?);
    let layout = layouts.of(info)?;
    let record = bytes.get(..StoredRecord::header(bytes, layout)?)?;
    Some((info.table(), layout, record))
}
