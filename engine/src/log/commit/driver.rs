//! The driver of commits: one record, one flush and one sync serve all waiting tasks.
//!
//! The driver *issues* a commit in one step: it writes the record to the tail and pads the physical
//! block. So no entry lies between the record and the end of the flushed bytes. A commit is
//! *settled* (durable) when everything up to its end was written and a later sync has succeeded.
//! Several commits may be in flight; they become durable in order.

use super::record::CommitRecord;
use super::requests::Draft;
use crate::address::Address;
use crate::epoch::Guard;
use crate::error::{ErrorKind, Result};
use crate::hybrid_log::{Need, Position, Rest};
use crate::log::frame::format::{HEADER, Kind, frame_bytes};
use crate::log::inner::Core;
use crate::wait::{Told, listen};
use futures::future::{Either, pending, select};
use futures::stream::{FuturesOrdered, StreamExt};
use kvick_io::sync::atomic::Ordering;
use kvick_runtime::Sleep;
use std::pin::pin;
use std::time::Duration;

/// The largest size of a commit record.
const LONGEST_RECORD: u64 = 64 << 10;

/// The state that the driver keeps between its turns.
struct Turn {
    /// The end of the last issued commit. `issued_changes` and `issued_at` are its changes and its
    /// time.
    issued: Address,
    issued_changes: u64,
    issued_at: Duration,
    /// A record that found no space.
    draft: Option<Draft>,
    /// The timer runs while there are entries after `issued`.
    timer: Option<Sleep>,
    is_time: bool,
}

/// A commit in flight.
struct Issued {
    draft: Draft,
    /// The range of the commit's entries.
    entries: [Address; 2],
    until: Address,
}

impl Core {
    /// Makes the requested commits, and the automatic commits of the settings.
    pub(crate) async fn drive_commits(&self) -> Result<()> {
        let health = self.live().log.health();
        let issued = self.source.durable.load();
        let mut turn = Turn {
            issued,
            issued_changes: 0,
            issued_at: self.handle.now(),
            draft: None,
            timer: None,
            is_time: false,
        };
        let mut flights = FuturesOrdered::new();
        loop {
            let told = listen([&self.commits.demand, health.changed()]);
            if health.is_closed() || health.is_poisoned() {
                // No further commit becomes durable. The drivers of the hybrid log end the
                // operations in flight.
                return Ok(());
            }
            let appended = self.watch_tail(&mut turn);
            while flights.len() < self.config.commits_in_flight as usize
                && self.is_due(&turn)
                && let Some(issued) = self.issue(&mut turn).await?
            {
                flights.push_back(self.durable(issued));
            }
            let settled = async {
                match flights.next().await {
                    Some(settled) => settled,
                    None => pending().await,
                }
            };
            let appended = async {
                match appended {
                    Some(appended) => appended.await,
                    None => pending().await,
                }
            };
            let appended = pin!(appended);
            let demand = select(told, appended);
            let timer = async {
                match &mut turn.timer {
                    Some(timer) if !turn.is_time => timer.await,
                    _ => pending().await,
                }
            };
            match select(pin!(settled), select(demand, pin!(timer))).await {
                Either::Left((settled, _)) => self.settle(settled?),
                Either::Right((Either::Left(_), _)) => {}
                Either::Right((Either::Right(_), _)) => turn.is_time = true,
            }
        }
    }

    /// Checks whether the entries after the last commit make an automatic commit due. The listener
    /// hears of the next entry that may do so.
    fn watch_tail(&self, turn: &mut Turn) -> Option<Told> {
        let (every, bytes) = (self.config.commit_every, self.config.commit_bytes);
        let live = self.live();
        let set = |address: Address| live.alarm.set(address, &live.seats.epoch);
        let mut listener = None;
        if let Some(every) = every.filter(|_| turn.timer.is_none()) {
            listener = Some(set(turn.issued));
            if live.log.tail_address() > turn.issued {
                let since = self.handle.now().saturating_sub(turn.issued_at);
                turn.is_time |= since >= every;
                turn.timer = Some(self.handle.sleep(every.saturating_sub(since)));
                listener = None;
            }
        }
        if let (None, Some(bytes)) = (&listener, bytes) {
            let full = turn.issued.raw() + bytes.bytes();
            // A frame that ends at `full` reaches beyond the byte before it.
            listener = Some(set(Address::new(full - 1)));
            if live.log.tail_address().raw() >= full {
                turn.is_time = true;
                listener = None;
            }
        }
        listener
    }

    fn is_due(&self, turn: &Turn) -> bool {
        let intent = self.commits.intent();
        self.commits.requested.load() > turn.issued
            || intent.requested_changes > turn.issued_changes
            || !intent.distinct.is_empty()
            || turn.draft.is_some()
            || turn.is_time
    }

    /// Writes the record of the next commit and requests a flush up to its end. Returns `None` if
    /// there is no space because the device is full.
    async fn issue(&self, turn: &mut Turn) -> Result<Option<Issued>> {
        let log = &self.live().log;
        let room = self.plan.inline.min(LONGEST_RECORD) - HEADER as u64;
        let room = usize::try_from(room).expect("small");
        let draft = match turn.draft.take() {
            Some(draft) => draft,
            None => self.commits.intent().draft(self.source.durable.load(), room),
        };
        let bytes = draft.record.encode();
        loop {
            let written = self.live().seats.protected(|guard| self.append_record(&bytes, guard));
            if let Some([record, until]) = written {
                let entries = [turn.issued, record];
                log.flushing().want_flushed(until);
                turn.issued = until;
                turn.issued_changes = turn.issued_changes.max(draft.changes);
                (turn.timer, turn.is_time) = (None, false);
                turn.issued_at = self.handle.now();
                return Ok(Some(Issued { draft, entries, until }));
            }
            match log.allocator().room_for_pages(Need::commit()).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    turn.draft = Some(draft);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends a record and pads the rest of its block, in one step. Returns the end of the entries
    /// before the record, and the end of the commit.
    fn append_record(&self, record: &[u8], guard: &Guard<'_>) -> Option<[Address; 2]> {
        let bytes = frame_bytes(record.len()) as u64;
        let (capacity, block) = (self.plan.capacity, self.source.framing.units.block_payload());
        let place = |from: Position| match from {
            Position { offset, .. } if offset + bytes <= capacity => from,
            Position { page, .. } => Position { page: page + 1, offset: 0 },
        };
        let [from, to] = self.live().log.allocator().take_with(
            Need::commit(),
            |from| {
                let Position { page, offset } = place(from);
                let is_last = !self.live().log.end().takes_records(page);
                let offset = (offset + bytes).next_multiple_of(block);
                let offset = if is_last { capacity } else { offset };
                Some(Position { page, offset })
            },
            guard,
        )?;
        let at = place(from);
        if at != from && from.offset < capacity {
            self.pad(Rest { start: self.at(from), bytes: capacity - from.offset }, guard);
        }
        self.write(self.at(at), Kind::Commit, record, guard);
        let behind = at.offset + bytes;
        if behind < to.offset {
            let start = self.at(Position { page: at.page, offset: behind });
            self.pad(Rest { start, bytes: to.offset - behind }, guard);
        }
        Some([from, to].map(|position| self.source.framing.units.settle(self.at(position))))
    }

    async fn durable(&self, issued: Issued) -> Result<Issued> {
        let log = &self.live().log;
        log.flushing().stored_some_time(issued.until).await?;
        log.flushing().sync().await?;
        Ok(issued)
    }

    fn settle(&self, Issued { draft, entries, until }: Issued) {
        let Draft { record, changes } = draft;
        {
            let mut settled = self.commits.settled();
            settled.0.apply(&record, until);
            settled.1 = settled.1.max(changes);
        }
        let CommitRecord { number, completed, .. } = record;
        tracing::trace!(target: "kvick::commit", number, until = until.raw(), "committed");
        self.source.note_commit(entries);
        self.source.durable.raise(until);
        if completed {
            // Release: pairs with the Acquire in `Source::is_completed`. A reader that sees it also
            // sees the final `durable`.
            self.source.completed.store(true, Ordering::Release);
        }
        self.source.moved.notify(usize::MAX);
    }
}
