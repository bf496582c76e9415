//! A seat: the private state that one operation at a time needs.
//!
//! A session owns a seat; operations on the handle borrow a seat from a pool for each poll.
//!
//! # Counters
//! A seat has counters for each table on which it has worked. An operation, or a group of a batch,
//! begins by making the counters of its table the present ones, which they nearly always are. So it
//! counts through one pointer, and its counts are those of the table. The counts of the store are
//! the sums of all tables. Another table than before costs some nanoseconds.

mod scratch;

use crate::epoch::{Epoch, Guard, Participant};
use crate::record::TableNumber;
use crate::statistics::{Counter, Counters, Stats, TableStats};
use crate::store::operation::pending::NOTHING_PENDING;
use crate::store::operation::pending::PendingState;
use crate::store::sessions::serial_counter::SerialCounter;
use crate::store::sessions::state::SessionState;
use crossbeam_utils::CachePadded;
use kvick_io::sync::{Mutex, MutexGuard};
use scratch::Scratch;
use std::collections::BTreeMap;
use std::mem::{replace, take};
use std::sync::Arc;

/// The counters of a seat for one table, which the registry shares.
type SharedCounters = Arc<CachePadded<Counters>>;

/// The private state from which operations run, one at a time.
#[derive(Debug)]
pub(crate) struct ExecutionContext {
    // Owner only.
    participant: Participant,
    scratch: Scratch,
    until_yield: u32,
    /// Whether writes are ready when they are durable.
    is_durable: bool,
    /// The table of the last operation.
    table: TableNumber,
    /// The counters of other tables, by number.
    others: Vec<Option<SharedCounters>>,
    // Written by the owner, read by statistics.
    /// The counters of `table`.
    counters: SharedCounters,
    // Written by the owner, read by checkpoints.
    serial: Arc<CachePadded<SerialCounter>>,
    registry: Arc<ContextRegistry>,
    /// The place of the seat in the registry.
    place: usize,
    // `Some` only in the seat of a session.
    ledger: Option<Arc<SessionState>>,
}

/// The fields of a seat that an operation may use while protected.
#[derive(Debug)]
pub(crate) struct OperationContext<'s> {
    pub(crate) guard: &'s Guard<'s>,
    /// The counters of the table.
    pub(crate) counters: &'s Counters,
    pub(crate) serial: &'s SerialCounter,
    /// `Some` only in the seat of a session.
    pub(crate) ledger: &'s Option<Arc<SessionState>>,
    pub(crate) scratch: &'s mut Scratch,
    /// The results of earlier waits of the operation.
    pub(crate) pending: &'s PendingState,
    /// The session and the number of an operation that later ones have overtaken.
    pub(crate) deferred: Option<(&'s Arc<SessionState>, u64)>,
}

/// The guard and the session of an operation, for its entry in the write-ahead log.
#[derive(Clone, Copy)]
pub(in crate::store) struct Logger<'s> {
    pub(in crate::store) guard: &'s Guard<'s>,
    /// `Some` only in the seat of a session.
    pub(in crate::store) ledger: Option<&'s Arc<SessionState>>,
    /// The session and the number of an operation that later ones have overtaken.
    pub(in crate::store) deferred: Option<(&'s Arc<SessionState>, u64)>,
}

impl<'s> Logger<'s> {
    /// Returns the account of the session of the operation.
    pub(in crate::store) fn account(self) -> Option<&'s Arc<SessionState>> {
        self.deferred.map(|(ledger, _)| ledger).or(self.ledger)
    }
}

impl<'s> OperationContext<'s> {
    /// Returns the same tools, for the next operation under the same guard.
    #[inline(always)]
    pub(crate) fn again(&mut self) -> OperationContext<'_> {
        OperationContext { scratch: self.scratch, ..*self }
    }

    /// Returns what the write-ahead log needs.
    #[inline(always)]
    pub(in crate::store) fn logger(&self) -> Logger<'s> {
        let Self { guard, ledger, deferred, .. } = *self;
        Logger { guard, ledger: ledger.as_ref(), deferred }
    }
}

impl ExecutionContext {
    /// Runs `body` protected, for operations on one table.
    #[inline(always)]
    pub(crate) fn protected<R>(
        &mut self,
        table: TableNumber,
        body: impl FnOnce(OperationContext<'_>) -> R,
    ) -> R {
        // Before the body, where few words are in registers: a look after it slows reads down.
        if self.table != table {
            self.turn_to(table);
        }
        let Self { participant, scratch, counters, serial, ledger, .. } = self;
        let pending = &NOTHING_PENDING;
        // Inlined as every closure on the way of a hit: an attempt is one stretch of code.
        participant.protected(
            #[inline(always)]
            |guard| {
                let deferred = None;
                body(OperationContext {
                    guard,
                    counters,
                    serial,
                    ledger,
                    scratch,
                    pending,
                    deferred,
                })
            },
        )
    }

    /// Returns whether the counters of this table are the present ones.
    #[inline(always)]
    pub(crate) fn is_on(&self, table: TableNumber) -> bool {
        self.table == table
    }

    /// Runs `body` protected, for work that counts nothing.
    pub(crate) fn guarded<R>(&mut self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        self.participant.protected(body)
    }

    /// Makes the counters of `table` the present ones.
    #[cold]
    #[inline(never)]
    fn turn_to(&mut self, table: TableNumber) {
        let known = self.others.get_mut(table.index()).and_then(Option::take);
        let next = known.unwrap_or_else(|| self.registry.counters(self.place, table));
        let last = replace(&mut self.table, table).index();
        if self.others.len() <= last {
            self.others.resize(last + 1, None);
        }
        self.others[last] = Some(replace(&mut self.counters, next));
    }

    /// Returns whether the seat's task has had its turn, with operations on `keys` more keys. That
    /// is true once in about `every` keys.
    #[inline(always)]
    pub(crate) fn should_yield(&mut self, keys: u32, every: u32) -> bool {
        if self.until_yield >= keys {
            self.until_yield -= keys;
            return false;
        }
        self.until_yield = turn(every);
        every > 0
    }

    /// Returns whether `should_yield` would return false for one more key.
    #[inline(always)]
    pub(crate) fn is_in_turn(&self) -> bool {
        self.until_yield > 0
    }

    /// Counts one key of a task that is in its turn.
    #[inline(always)]
    pub(crate) fn count_key(&mut self) {
        self.until_yield -= 1;
    }

    /// Returns whether writes are ready when they are durable.
    #[inline(always)]
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    pub(crate) fn set_durable(&mut self, is_durable: bool) {
        self.is_durable = is_durable;
    }

    /// Returns the counter that numbers the operations of a session.
    pub(crate) fn serial(&self) -> &Arc<CachePadded<SerialCounter>> {
        &self.serial
    }

    /// Assigns the seat to a session.
    pub(crate) fn set_ledger(&mut self, ledger: Arc<SessionState>) {
        assert!(self.ledger.is_none(), "a seat has one session");
        self.ledger = Some(ledger);
    }

    pub(crate) fn ledger(&self) -> Option<Arc<SessionState>> {
        self.ledger.clone()
    }

    /// Counts an event of an operation on `table`.
    #[cold]
    pub(crate) fn count(&mut self, table: TableNumber, counter: Counter) {
        if self.table != table {
            self.turn_to(table);
        }
        self.counters.add(counter, 1);
    }
}

impl ExecutionContext {
    /// The memory of a seat, in bytes: itself, its serial number, its place among the participants,
    /// the buffer that it keeps, and what allocations add.
    pub(crate) const BYTES: usize = size_of::<Self>()
        + Scratch::KEPT
        + size_of::<CachePadded<SerialCounter>>()
        + 2 * size_of::<CachePadded<u64>>();
    /// The memory of the counters of a seat for one table, in bytes, with what an allocation adds.
    pub(crate) const COUNTERS_BYTES: usize =
        size_of::<CachePadded<Counters>>() + size_of::<CachePadded<u64>>();
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        self.registry.retire(self.place);
    }
}

/// Returns the number of keys until the next yield, after the first key of a turn of `every` keys.
/// A task that need not yield has turns as long as there are.
#[inline(always)]
fn turn(every: u32) -> u32 {
    every.wrapping_sub(1)
}

/// All seats of a store, for statistics.
#[derive(Debug, Default)]
pub(crate) struct ContextRegistry {
    // Under its lock.
    seats: Mutex<Seats>,
}

/// The counters of all seats. Each seat has its own place until it is dropped.
#[derive(Debug, Default)]
struct Seats {
    /// The counters of a seat for each table on which it has worked.
    places: Vec<Vec<(TableNumber, SharedCounters)>>,
    free: Vec<usize>,
    /// The number of counters in all places.
    counters: usize,
    /// The sums of dropped seats.
    retired: BTreeMap<TableNumber, Counters>,
}

impl ContextRegistry {
    /// Returns a new seat, whose first operation is likely to be on `table`.
    pub(crate) fn seat(
        self: &Arc<Self>,
        epoch: &Epoch,
        yield_every: u32,
        table: TableNumber,
    ) -> ExecutionContext {
        let place = self.seats().enter();
        ExecutionContext {
            participant: epoch.register(),
            scratch: Scratch::default(),
            until_yield: turn(yield_every).saturating_add(1),
            is_durable: false,
            place,
            table,
            others: Vec::new(),
            counters: self.counters(place, table),
            serial: Arc::default(),
            registry: Arc::clone(self),
            ledger: None,
        }
    }

    /// Returns the new counters of a seat for a table on which it has not worked before.
    fn counters(&self, place: usize, table: TableNumber) -> SharedCounters {
        let (counters, mut seats) = (SharedCounters::default(), self.seats());
        seats.places[place].push((table, Arc::clone(&counters)));
        seats.counters += 1;
        counters
    }

    fn retire(&self, place: usize) {
        let mut seats = self.seats();
        let ended = take(&mut seats.places[place]);
        seats.counters -= ended.len();
        for (table, counters) in ended {
            seats.retired.entry(table).or_default().absorb(&counters);
        }
        seats.free.push(place);
    }

    /// Adds all counts to `stats`.
    pub(crate) fn count(&self, stats: &mut Stats) {
        let seats = self.seats();
        seats.each(|_, counters| stats.count(counters));
        stats.seats = seats.in_use();
    }

    /// Returns the counts of one table.
    pub(crate) fn count_table(&self, table: TableNumber) -> TableStats {
        self.count_where(|number| number == table)
    }

    /// Returns the counts of all tables together.
    pub(crate) fn count_tables(&self) -> TableStats {
        self.count_where(|_number| true)
    }

    fn count_where(&self, is_counted: impl Fn(TableNumber) -> bool) -> TableStats {
        let mut stats = TableStats::default();
        self.seats().each(|number, counters| {
            if is_counted(number) {
                stats.count(counters);
            }
        });
        stats
    }

    /// Returns the number of seats, and the number of their counters.
    pub(crate) fn in_use(&self) -> (usize, usize) {
        let seats = self.seats();
        (seats.in_use(), seats.counters)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().expect("nothing panics under it")
    }
}

impl Seats {
    /// Returns the place of a new seat.
    fn enter(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(Vec::new());
            self.places.len() - 1
        })
    }

    fn in_use(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Calls `count` with all counters, those of dropped seats too.
    fn each(&self, mut count: impl FnMut(TableNumber, &Counters)) {
        self.retired.iter().for_each(|(table, counters)| count(*table, counters));
        let seated = self.places.iter().flatten();
        seated.for_each(|(table, counters)| count(*table, counters));
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_seat_counts_for_the_table_of_each_operation() {
        let (registry, epoch) = (Arc::new(ContextRegistry::default()), Epoch::new());
        let [first, second] = [3, 1].map(|number| TableNumber::new(number).expect("small"));
        let counts = || {
            [first, second].map(|table| {
                let stats = registry.count_table(table);
                (stats.operations.reads, stats.suspensions)
            })
        };
        let mut seat = registry.seat(&epoch, 0, first);
        for table in [first, second, second, first, second] {
            seat.protected(table, |tools| tools.counters.add(Counter::Reads, 1));
        }
        seat.count(first, Counter::Suspensions);
        assert_eq!(counts(), [(2, 1), (3, 0)]);
        assert_eq!(registry.in_use(), (1, 2), "a seat has one set of counters for a table");
        drop(seat);
        assert_eq!((counts(), registry.in_use()), ([(2, 1), (3, 0)], (0, 0)));
        let mut seat = registry.seat(&epoch, 0, second);
        seat.protected(second, |tools| tools.counters.add(Counter::Reads, 1));
        assert_eq!(counts(), [(2, 1), (4, 0)], "the place of a dropped seat is used again");
    }
}
