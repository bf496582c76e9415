//! Writes frames into allocated space of the pages in memory.

use crate::base::address::Address;
use crate::epoch::Guard;
use crate::hybrid_log::{Need, PageRemainder, Position};
use crate::log::LogAddress;
use crate::log::frame::format::{Framing, Header, Kind, frame_bytes};
use crate::log::frame::layout::{EntryLayout, Placed};
use crate::log::memory::LogMemory;
use crate::record::WORD;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The writer of the frames of one log.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    memory: Arc<LogMemory>,
    framing: Framing,
    layout: EntryLayout,
}

/// A frame that lacks its header.
#[must_use]
pub(crate) struct FilledFrame<'g> {
    word: &'g AtomicU64,
    header: Header,
}

impl FilledFrame<'_> {
    /// Shows the frame to readers.
    #[inline(always)]
    pub(crate) fn show(self) {
        self.header.release(self.word);
    }
}

impl FrameWriter {
    pub(crate) fn new(memory: Arc<LogMemory>, framing: Framing, layout: EntryLayout) -> Self {
        assert_eq!(layout.capacity, framing.units.page_capacity(), "both know the same pages");
        assert!(layout.inline <= layout.capacity, "a whole entry fits in a page");
        assert!(layout.capacity.is_multiple_of(WORD as u64), "a page holds whole words");
        assert!(
            layout.capacity.is_multiple_of(framing.units.block_payload()),
            "a page holds whole physical blocks, so a padded commit ends in its page"
        );
        Self { memory, framing, layout }
    }

    #[inline(always)]
    pub(crate) fn memory(&self) -> &Arc<LogMemory> {
        &self.memory
    }

    #[inline(always)]
    pub(crate) fn layout(&self) -> EntryLayout {
        self.layout
    }

    /// Writes a frame into space that was allocated under this guard.
    #[inline]
    pub(crate) fn write(&self, address: Address, kind: Kind, payload: &[u8], guard: &Guard<'_>) {
        self.fill(address, kind, payload, guard).show();
    }

    /// Writes a frame without its header. Until it is shown, it may be filled with another payload
    /// of the same length.
    #[inline]
    pub(crate) fn fill<'g>(
        &'g self,
        address: Address,
        kind: Kind,
        payload: &[u8],
        guard: &'g Guard<'_>,
    ) -> FilledFrame<'g> {
        let words = self.memory.log().pages().words(address, guard);
        let (word, rest) = words.split_first().expect("a frame has a header");
        debug_assert!(Header::load(word).is_none(), "{address:?} is written once");
        self.check_writable(address, guard);
        fill(rest, payload);
        FilledFrame { word, header: self.framing.header(address, kind, payload) }
    }

    /// Writes entries into the space from `from` to `to`, which was allocated for them under this
    /// guard. Calls `written` with the address of each.
    pub(crate) fn write_entries<E: AsRef<[u8]>>(
        &self,
        [from, to]: [Position; 2],
        entries: &[E],
        mut written: impl FnMut(LogAddress),
        guard: &Guard<'_>,
    ) {
        let lengths = entries.iter().map(|entry| entry.as_ref().len());
        let end = self.layout.lay(from, lengths, |placed| match placed {
            Placed::Padding { at, bytes } => {
                self.pad(PageRemainder { start: self.at(at), bytes }, guard);
            }
            Placed::Piece { at, kind, item, range } => {
                let address = self.at(at);
                debug_assert!(address < self.at(to), "a frame is in the allocated space");
                if matches!(kind, Kind::Whole | Kind::First) {
                    written(address.into());
                }
                self.write(address, kind, &entries[item].as_ref()[range], guard);
            }
        });
        assert_eq!(end, to, "the entries fill the allocated space");
        self.memory.notify_written(self.at(to));
    }

    /// Returns the address of an entry of `bytes` bytes in the space from `from` on.
    pub(crate) fn first_of_entry(&self, from: Position, bytes: usize) -> Address {
        let mut first = None;
        self.layout.lay(from, [bytes], |placed| {
            if let Placed::Piece { at, .. } = placed {
                first.get_or_insert(at);
            }
        });
        self.at(first.expect("an entry has a frame"))
    }

    /// Writes the padding frame of space that no entry uses.
    pub(crate) fn pad(&self, rest: PageRemainder, guard: &Guard<'_>) {
        let bytes = usize::try_from(rest.bytes).expect("within a page");
        let header = self.framing.padding(rest.start, bytes);
        let word = &self.memory.log().pages().words(rest.start, guard)[0];
        debug_assert!(Header::load(word).is_none(), "{:?} is written once", rest.start);
        self.check_writable(rest.start, guard);
        header.release(word);
        self.memory.notify_written(Address::new(rest.start.raw() + rest.bytes));
    }

    /// Asserts that a frame may be written at `address`.
    #[inline(always)]
    fn check_writable(&self, address: Address, guard: &Guard<'_>) {
        debug_assert!(address.raw().is_multiple_of(WORD as u64), "a frame begins at a word");
        debug_assert!(
            address >= self.memory.log().pages().immutable_below(guard),
            "no byte that a flush may read is written: {address:?}"
        );
    }

    /// Appends the record of a commit and pads the rest of its block, in one step. Returns the end
    /// of the entries before the record, and the end of the commit; `None` if there is no space.
    pub(crate) fn append_record(&self, record: &[u8], guard: &Guard<'_>) -> Option<[Address; 2]> {
        let log = self.memory.log();
        let bytes = frame_bytes(record.len()) as u64;
        let (capacity, block) = (self.layout.capacity, self.framing.units.block_payload());
        assert!(bytes <= capacity, "the record of a commit fits in a page: {bytes} bytes");
        let place = |from: Position| match from {
            Position { offset, .. } if offset + bytes <= capacity => from,
            Position { page, .. } => Position { page: page + 1, offset: 0 },
        };
        let [from, to] = log.allocator().allocate_with(
            Need::commit(),
            |from| {
                let Position { page, offset } = place(from);
                let is_last = !log.end().takes_records(page);
                let offset = (offset + bytes).next_multiple_of(block);
                let offset = if is_last { capacity } else { offset };
                Some(Position { page, offset })
            },
            guard,
        )?;
        let at = place(from);
        if at != from && from.offset < capacity {
            self.pad(PageRemainder { start: self.at(from), bytes: capacity - from.offset }, guard);
        }
        self.write(self.at(at), Kind::Commit, record, guard);
        let end = at.offset + bytes;
        assert!(
            at.page == to.page && end <= to.offset && to.offset <= capacity,
            "a commit and its block end in one page: {at:?}, {bytes} bytes, {to:?}"
        );
        if end < to.offset {
            let start = self.at(Position { page: at.page, offset: end });
            self.pad(PageRemainder { start, bytes: to.offset - end }, guard);
        }
        Some([from, to].map(|position| self.framing.units.align_up(self.at(position))))
    }

    /// Pads the block of the tail, if it has bytes. Returns the address at which later frames
    /// begin, at the start of a block.
    pub(crate) fn close_block(&self, guard: &Guard<'_>) -> Address {
        let (log, block) = (self.memory.log(), self.framing.units.block_payload());
        let mut end = Position { page: 0, offset: 0 };
        let taken = log.allocator().allocate_with(
            Need::commit(),
            |Position { page, offset }| {
                end = Position { page, offset: offset.next_multiple_of(block) };
                (end.offset > offset).then_some(end)
            },
            guard,
        );
        if let Some([from, to]) = taken {
            let bytes = to.offset - from.offset;
            self.pad(PageRemainder { start: self.at(from), bytes }, guard);
        }
        self.framing.units.align_up(self.at(end))
    }

    /// Returns the address after the entry of `bytes` bytes at `address`.
    pub(crate) fn end_of_entry(&self, address: Address, bytes: usize) -> Address {
        let bits = self.framing.units.page_bits();
        let from = Position { page: address.page(bits), offset: address.offset(bits) };
        debug_assert!(from.offset < self.layout.capacity, "an entry begins in a payload");
        // The entry lies where the layout put it, so the same layout returns its end.
        let end = self.framing.units.align_up(self.at(self.layout.lay(from, [bytes], |_| {})));
        debug_assert!(end > address, "an entry has a header: {address:?} to {end:?}");
        end
    }

    #[inline]
    pub(crate) fn at(&self, position: Position) -> Address {
        Address::at(position.page, position.offset, self.framing.units.page_bits())
    }
}

/// Stores `payload` in words that no reader looks at yet. The rest of the last word stays zero.
#[inline(always)]
fn fill(words: &[AtomicU64], payload: &[u8]) {
    debug_assert!(payload.len() <= words.len() * WORD, "a payload ends in its page");
    let (whole, rest) = payload.as_chunks::<WORD>();
    let (front, back) = words.split_at(whole.len());
    for (word, bytes) in front.iter().zip(whole) {
        // Relaxed: the Release of the header publishes them.
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        back[0].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}
