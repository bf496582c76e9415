//! A seat: the private state that one operation at a time needs.
//!
//! A session owns a seat; operations on the handle borrow a seat from a pool for each poll.

use crate::epoch::{Epoch, Guard, Participant};
use crate::statistics::{Counter, Counters, Stats};
use crate::store::operation::pending::NOTHING_PENDING;
use crate::store::operation::pending::PendingState;
use crate::store::sessions::state::SessionState;
use crossbeam_utils::CachePadded;
use kvick_io::sync::{Mutex, MutexGuard};
use std::sync::Arc;

/// The private state from which operations run, one at a time.
#[derive(Debug)]
pub(crate) struct ExecutionContext {
    // Owner only.
    participant: Participant,
    scratch: Vec<u8>,
    until_yield: u32,
    // Written by the owner, read by statistics.
    counters: Arc<CachePadded<Counters>>,
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
    pub(crate) counters: &'s Counters,
    /// `Some` only in the seat of a session.
    pub(crate) ledger: &'s Option<Arc<SessionState>>,
    /// Empty at first. Its capacity is kept from one operation to the next.
    pub(crate) scratch: &'s mut Vec<u8>,
    /// The results of earlier waits of the operation.
    pub(crate) pending: &'s PendingState,
}

impl OperationContext<'_> {
    /// Returns the same tools, for the next operation under the same guard.
    #[inline(always)]
    pub(crate) fn again(&mut self) -> OperationContext<'_> {
        self.scratch.clear();
        OperationContext { scratch: self.scratch, ..*self }
    }
}

impl ExecutionContext {
    #[inline(always)]
    pub(crate) fn protected<R>(&mut self, body: impl FnOnce(OperationContext<'_>) -> R) -> R {
        let Self { participant, scratch, counters, ledger, .. } = self;
        participant.protected(|guard| {
            scratch.clear();
            body(OperationContext { guard, counters, ledger, scratch, pending: &NOTHING_PENDING })
        })
    }

    /// Returns whether the seat's task has had its turn, with operations on `keys` more keys. That
    /// is true once in about `every` keys.
    #[inline(always)]
    pub(crate) fn should_yield(&mut self, keys: u32, every: u32) -> bool {
        if self.until_yield >= keys {
            self.until_yield -= keys;
            return false;
        }
        self.until_yield = every.saturating_sub(1);
        every > 0
    }

    /// Returns the words that number and count the operations of a session.
    pub(crate) fn counters(&self) -> &Arc<CachePadded<Counters>> {
        &self.counters
    }

    /// Assigns the seat to a session.
    pub(crate) fn set_ledger(&mut self, ledger: Arc<SessionState>) {
        assert!(self.ledger.is_none(), "a seat has one session");
        self.ledger = Some(ledger);
    }

    pub(crate) fn ledger(&self) -> Option<Arc<SessionState>> {
        self.ledger.clone()
    }

    #[cold]
    pub(crate) fn count(&self, counter: Counter) {
        self.counters.add(counter, 1);
    }
}

impl ExecutionContext {
    /// The memory of a seat, in bytes: itself, its counters, its place among the participants, and
    /// what allocations add.
    pub(crate) const BYTES: usize =
        size_of::<Self>() + size_of::<CachePadded<Counters>>() + 2 * size_of::<CachePadded<u64>>();
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        self.registry.retire(self.place, &self.counters);
    }
}

/// All seats of a store, for statistics.
#[derive(Debug, Default)]
pub(crate) struct ContextRegistry {
    // Under its lock.
    seats: Mutex<Seats>,
    // Any thread, atomic.
    retired: Counters,
}

/// The counters of all seats. Each seat has its own place until it is dropped.
#[derive(Debug, Default)]
struct Seats {
    places: Vec<Option<Arc<CachePadded<Counters>>>>,
    free: Vec<usize>,
}

impl ContextRegistry {
    pub(crate) fn seat(self: &Arc<Self>, epoch: &Epoch, yield_every: u32) -> ExecutionContext {
        let counters = Arc::new(CachePadded::default());
        ExecutionContext {
            participant: epoch.register(),
            scratch: Vec::new(),
            until_yield: yield_every,
            place: self.seats().enter(Arc::clone(&counters)),
            counters,
            registry: Arc::clone(self),
            ledger: None,
        }
    }

    fn retire(&self, place: usize, counters: &Counters) {
        let mut seats = self.seats();
        self.retired.absorb(counters);
        seats.places[place] = None;
        seats.free.push(place);
    }

    /// Adds all counts to `stats`.
    pub(crate) fn count(&self, stats: &mut Stats) {
        let seats = self.seats();
        stats.count(&self.retired);
        for counters in seats.places.iter().flatten() {
            stats.count(counters);
        }
        stats.seats = seats.places.len() - seats.free.len();
    }

    /// Returns the number of seats.
    pub(crate) fn seats_in_use(&self) -> usize {
        let seats = self.seats();
        seats.places.len() - seats.free.len()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().expect("nothing panics under it")
    }
}

impl Seats {
    fn enter(&mut self, counters: Arc<CachePadded<Counters>>) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(counters);
        place
    }
}
