//! Epoch protection: when is it safe?
//!
//! # Terms
//! * The *current epoch* is a counter.
//! * A [`Participant`] is one task's place in the table: a word that holds 0, or the epoch at which
//!   its owner became *protected*.
//! * A [`Guard`] proves protection. It is reached only through [`Participant::protected`], whose
//!   closure is synchronous: its body cannot contain `.await`, so protection never outlives a poll.
//! * [`Epoch::bump`] moves the counter and returns the new epoch; that epoch is *drained* once no
//!   participant is protected at an older one.
//!
//! # Invariants
//! 1. Whoever is protected sees every change published before the bump whose epoch it announces,
//!    or is waited for by that bump's drain. (The fence between announcing and reading is required:
//!    without it a processor may read first and announce later.)
//! 2. A parked, leaked or dropped task holds 0: it delays no drain.
//! 3. Nothing waits while it is protected.
//!
//! # Who may touch what
//! A participant's word is written by its owner alone and read by each drain; `places` says where
//! it lies. Registering costs the same however many participants there are.
//!
//! # A drain goes through the participants once
//! It stops at one that is protected at an older epoch, and goes on from there when that one has
//! left. Those before it are not looked at again: each was seen without an older guard after the
//! fence of the bump, so every later guard of it sees the published change, whatever epoch it
//! announces. So waiting for one guard costs one word a look, however many participants there are.
//!
//! # Difference from the paper
//! The paper queues *trigger actions* with a bump. Here whatever must happen after the drain is the
//! rest of the `async fn` that awaits [`Epoch::drained`]: there is no list to overflow, no action
//! that runs on an innocent caller's thread, and no progress that depends on somebody's next
//! operation.
//!
//! Source: Chandramouli et al., "FASTER: A Concurrent Key-Value Store with In-Place Updates",
//! SIGMOD 2018, section 2.

mod clock;
mod fence;
mod participant;
mod places;
mod slot;

pub use participant::{Guard, Participant};

use crate::backoff::Backoff;
use crate::wait::yield_once;
use clock::Clock;
use kvick_io::sync::{Arc, hint::spin_loop};
use kvick_runtime::Handle;
use places::Drain;
use std::time::Duration;

/// The longest pause between two looks of a drain that has not finished.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// Looks before the first pause: a microsecond or two.
const LOOKS: usize = 64;
/// Turns of others before the first pause.
const TURNS: usize = 64;
/// A drain that has waited for so long is told of.
const LATE: Duration = Duration::from_secs(1);
/// The first pause; each next one is twice as long.
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
    /// A new epoch clock with no participants.
    pub fn new() -> Self {
        Self { clock: Arc::new(Clock::new()) }
    }

    /// A new participant: one per task that wants protection. Dropping it frees its place.
    pub fn register(&self) -> Participant {
        Participant::new(Arc::clone(&self.clock), self.clock.places.take())
    }

    /// Starts a new epoch and returns it. Publish the change that others must see *before* this;
    /// it has been seen by everyone once the returned epoch is drained.
    pub fn bump(&self) -> u64 {
        self.clock.bump()
    }

    /// Between what a participant wrote and what it looks at next. Pairs with
    /// [`fence_heavily`](Self::fence_heavily).
    #[inline(always)]
    pub(crate) fn fence_lightly(&self) {
        self.clock.fences.light();
    }

    /// Between what was written for participants to see and looking at what they wrote: each of
    /// them sees it after its light fence, or what it wrote before that is seen here.
    #[cold]
    pub(crate) fn fence_heavily(&self) {
        self.clock.fences.heavy();
    }

    /// Whether nobody is protected at an epoch older than `epoch`.
    ///
    /// `epoch` comes from [`Epoch::bump`]; asking for another one tells nothing.
    pub fn is_drained(&self, epoch: u64) -> bool {
        self.clock.places.go_on(&mut Drain::new(epoch))
    }

    /// Waits until `epoch` is drained. Since protection lasts for less than a poll this takes
    /// microseconds, unless the operating system has put a protected thread aside, or a closure of
    /// an operation blocks. After a second a warning names the place that is waited for, which the
    /// `Debug` of the session or participant that has it shows, too.
    ///
    /// # Cancel safety
    /// Holds nothing; can be dropped at any time.
    pub async fn drained(&self, epoch: u64, handle: &Handle) {
        let mut drain = Drain::new(epoch);
        // Most often the last one leaves within the time that going to sleep would take.
        for _ in 0..LOOKS {
            if self.clock.places.go_on(&mut drain) {
                return;
            }
            spin_loop();
        }
        // The shortest sleep of some runtimes is a millisecond: others get their turn without it.
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

    /// How many places the table has; idle ones are used again.
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
