//! Epoch protection: when an operation may safely read memory, and when a driver may reuse it.
//!
//! # Terms
//! * The *current epoch* is a counter.
//! * A [`Participant`] is one task's place in the table: a word that holds 0, or the epoch at which
//!   its owner became *protected*.
//! * A [`Guard`] proves protection. It is reached only through [`Participant::protected`], whose
//!   closure is synchronous. Its body cannot contain `.await`, so protection never outlives a poll.
//! * [`Epoch::bump`] moves the counter and returns the new epoch. That epoch is *drained* once no
//!   participant is protected at an older epoch.
//!
//! # Invariants
//! 1. A protected task sees every change published before the bump whose epoch it announces, or the
//!    drain of that bump waits for the task. The fence between announcing and reading is required:
//!    without it a processor may read first and announce later.
//! 2. A parked, leaked or dropped task holds 0: it delays no drain.
//! 3. No task waits while it is protected.
//!
//! # Access rules
//! Only its owner writes the word of a participant; each drain reads it. `places` describes where
//! the word is. Registering costs the same for any number of participants.
//!
//! # A drain visits the participants once
//! A drain stops at a participant that is protected at an older epoch, and continues from there
//! when that participant has left. It does not check earlier participants again. It saw each of
//! them without an older guard after the fence of the bump. So each of their later guards sees the
//! published change, at any epoch that it announces. So waiting for one guard reads one word per
//! check, for any number of participants.
//!
//! # Difference from the paper
//! The paper queues *trigger actions* with a bump. Here the work after the drain is the rest of the
//! `async fn` that awaits [`Epoch::drained`]. So no list can overflow, and no action runs on the
//! thread of an unrelated caller. No progress depends on the next operation of another task.
//!
//! Source: Chandramouli et al., "FASTER: A Concurrent Key-Value Store with In-Place Updates",
//! SIGMOD 2018, section 2.

mod clock;
mod fence;
mod participant;
mod places;
mod slot;

pub use participant::{Guard, Participant};

use crate::base::wait::backoff::Backoff;
use crate::base::wait::yield_once;
use clock::Clock;
use kvick_io::sync::{Arc, hint::spin_loop};
use kvick_runtime::Handle;
use places::Drain;
use std::time::Duration;

/// The longest pause between two checks of an unfinished drain.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// The number of checks before the first pause: a microsecond or two.
const LOOKS: usize = 64;
/// The number of turns of other tasks before the first pause.
const TURNS: usize = 64;
/// A drain that has waited this long logs a warning.
const LATE: Duration = Duration::from_secs(1);
/// The first pause; each later pause is twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);

/// A clock of protection shared by the tasks of one store.
///
/// ```
/// use kvick::epoch::Epoch;
///
/// let epoch = Epoch::new();
/// let mut participant = epoch.register();
/// participant.protected(|_guard| {
///     let retired = epoch.bump();
///     assert!(!epoch.is_drained(retired)); // this very participant may still look
/// });
/// let retired = epoch.bump();
/// assert!(epoch.is_drained(retired));
/// ```
#[derive(Clone, Debug)]
pub struct Epoch {
    clock: Arc<Clock>,
}

impl Epoch {
    /// Creates an epoch clock without participants.
    pub fn new() -> Self {
        Self { clock: Arc::new(Clock::new()) }
    }

    /// Creates a participant. Each task that needs protection has its own. Dropping it frees its
    /// place.
    pub fn register(&self) -> Participant {
        Participant::new(Arc::clone(&self.clock), self.clock.places.take())
    }

    /// Starts a new epoch and returns it.
    ///
    /// Publish a change *before* this call. Every participant has seen it once the returned epoch
    /// is drained.
    pub fn bump(&self) -> u64 {
        self.clock.bump()
    }

    /// Runs the fence between the writes of a participant and its next reads. Pairs with
    /// [`fence_heavily`](Self::fence_heavily).
    #[inline(always)]
    pub(crate) fn fence_lightly(&self) {
        self.clock.fences.light();
    }

    /// Runs the fence between writes for participants and reads of the participants' writes.
    ///
    /// Each participant sees the writes after its light fence, or its earlier writes are seen here.
    /// Pairs with [`fence_lightly`](Self::fence_lightly).
    #[cold]
    pub(crate) fn fence_heavily(&self) {
        self.clock.fences.heavy();
    }

    /// Returns whether no participant is protected at an epoch older than `epoch`.
    ///
    /// `epoch` comes from [`Epoch::bump`]; the result for any other epoch means nothing.
    pub fn is_drained(&self, epoch: u64) -> bool {
        self.clock.places.go_on(&mut Drain::new(epoch))
    }

    /// Waits until every participant that is protected now has left.
    pub(crate) async fn drain(&self, handle: &Handle) {
        let epoch = self.bump();
        self.drained(epoch, handle).await;
    }

    /// Waits until `epoch` is drained.
    ///
    /// Protection lasts for less than a poll, so this takes microseconds. It takes longer if the
    /// operating system has suspended a protected thread, or if a closure of an operation blocks.
    /// After a second a warning names the place that the drain waits for. The `Debug` output of the
    /// session or participant at that place shows it, too.
    ///
    /// # Cancel safety
    /// The future holds nothing and can be dropped at any time.
    pub async fn drained(&self, epoch: u64, handle: &Handle) {
        let mut drain = Drain::new(epoch);
        // Most often the last participant leaves within the time that going to sleep would take.
        for _ in 0..LOOKS {
            if self.clock.places.go_on(&mut drain) {
                return;
            }
            spin_loop();
        }
        // The shortest sleep of some runtimes is a millisecond. So other tasks first get their turn
        // without a sleep.
        for _ in 0..TURNS {
            if self.clock.places.go_on(&mut drain) {
                return;
            }
            yield_once().await;
        }
        let (began, mut is_told) = (handle.now(), false);
        let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
        while !self.clock.places.go_on(&mut drain) {
            if !is_told && handle.now().saturating_sub(began) >= LATE {
                is_told = true;
                tell_late(&drain);
            }
            backoff.pause(handle).await;
        }
    }

    /// Returns the largest number of places that were in use at once. Free places are used again.
    pub fn participants(&self) -> usize {
        self.clock.places.most_taken()
    }
}

#[cold]
fn tell_late(drain: &Drain) {
    tracing::warn!(
        target: "kvick::epoch",
        place = drain.place(),
        "one step of an operation has taken a second: a closure blocks, or waits for the store"
    );
}

impl Default for Epoch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
