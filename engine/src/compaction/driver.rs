//! The driver of compaction: one round at a time, in the maintenance task.

use super::Compacted;
use super::policy::{LogMarks, Policy};
use super::wish::{Outcome, Wish};
use crate::base::address::Address;
use crate::base::error::{ErrorKind, Result};
use crate::base::wait::wait_either;
use crate::checkpoint::{Answer, CheckpointPlan, Checkpoints, Reply};
use crate::statistics::SpaceStats;
use crate::store::{Filter, Round, StoreInner};
use event_listener::Event;
use kvick_io::sync::Mutex;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use tracing::Instrument as _;

/// The number of rounds for a whole log.
const ROUNDS: u64 = 16;

/// The compaction of one store.
pub(crate) struct Compaction {
    // Fixed after opening.
    checkpoints: Arc<Checkpoints>,
    // Under its lock: the callers that wait for a round that begins after they asked.
    waiting: Mutex<Vec<(Wish, Reply<Outcome>)>>,
    // Under its lock.
    done: Mutex<Done>,
    demand: Event,
}

/// The rounds since the store was opened.
#[derive(Clone, Copy, Default)]
struct Done {
    rounds: u64,
    failed: u64,
    all: Round,
}

/// The next thing to do.
enum Next {
    End,
    /// Callers wait for a round.
    Asked,
    /// A round up to this address is due.
    Due(Address),
}

impl Compaction {
    pub(crate) fn new(checkpoints: Arc<Checkpoints>) -> Self {
        let (waiting, done) = (Mutex::default(), Mutex::default());
        Self { checkpoints, waiting, done, demand: Event::new() }
    }

    /// Compacts, and passes on the panic of a filter.
    pub(crate) async fn compact(&self, wish: Wish) -> Result<Compacted> {
        let span = tracing::info_span!(target: "kvick::compaction", "compact");
        let outcome = async { self.start(wish)?.await }.instrument(span).await?;
        match outcome.panic {
            Some(panic) => resume_unwind(panic),
            None => outcome.compacted,
        }
    }

    /// Asks for rounds over the log. Returns their answer.
    ///
    /// # Errors
    /// `Poisoned`, `Closed`.
    fn start(&self, wish: Wish) -> Result<Answer<Outcome>> {
        let core = self.core();
        core.log.health().check_process()?;
        core.log.health().check_write()?;
        let (reply, answer) = Reply::new(core);
        self.waiting.lock().expect("nothing panics under it").push((wish, reply));
        self.demand.notify(usize::MAX);
        if core.log.health().check_write().is_err() {
            // The driver may have left before it saw the request.
            self.abandon();
        }
        Ok(answer)
    }

    /// Runs rounds until the store is closed: for callers, and as the policy wants.
    pub(crate) async fn drive(&self) {
        let log = &self.core().log;
        // A cache has a driver of its own.
        let disk = self.core().config.disk.filter(|_| !self.core().config.cache);
        let mut policy = disk.map(|disk| Policy::new(disk.bytes()));
        // Without a policy the log itself is of no interest.
        let of_log = [log.turned(), log.flushing().became_stored()];
        let [turned, stored] =
            of_log.map(|event| if disk.is_some() { event } else { &self.demand });
        let scan_ended = self.core().scan_ended();
        let events = [&self.demand, turned, stored, scan_ended, log.health().changed()];
        loop {
            let next = wait_either(events, || {
                if log.health().is_closed() {
                    return Some(Next::End);
                }
                if self.has_waiting() {
                    return Some(Next::Asked);
                }
                policy.as_ref().and_then(|policy| self.due(policy)).map(Next::Due)
            });
            match next.await {
                Next::End => return self.abandon(),
                Next::Asked => self.compact_asked().await,
                Next::Due(until) => self.compact_some(until, &mut policy).await,
            }
        }
    }

    /// Makes the rounds that callers wait for. Those with the same wish have the same rounds.
    async fn compact_asked(&self) {
        let mut waiting = self.take_waiting();
        while let Some((wish, reply)) = waiting.pop() {
            let (bytes, mut filter) = (wish.bytes, wish.filter);
            let mut replies = vec![reply];
            if filter.is_none() {
                let same = |(wish, _): &mut (Wish, _)| wish.bytes == bytes && wish.filter.is_none();
                replies.extend(waiting.extract_if(.., same).map(|(_wish, reply)| reply));
            }
            let compacted = self.compact_oldest(bytes, &mut filter).await;
            let mut panic = filter.and_then(Filter::into_panic);
            for reply in replies {
                let (compacted, panic) = (compacted.clone(), panic.take());
                reply.send(Ok(Outcome { compacted, panic }));
            }
        }
    }

    /// Returns the address up to which a round is due.
    fn due(&self, policy: &Policy) -> Option<Address> {
        let log = &self.core().log;
        let begin = log.pages().begin();
        let flushed = log.flushing().flushed();
        let tail = log.tail_address();
        let marks = LogMarks { begin: begin.raw(), flushed: flushed.raw(), tail: tail.raw() };
        let until = log.file().units().start_of_page(Address::new(policy.due(marks)?));
        let may_write = log.health().check_write().is_ok();
        (until > begin && may_write && !self.core().has_scan()).then_some(until)
    }

    /// Makes a round that the policy wants.
    async fn compact_some(&self, until: Address, policy: &mut Option<Policy>) {
        let made = self.round(until, &mut None).await;
        let tail = self.core().log.tail_address().raw();
        if let Some(policy) = policy {
            // A failed round is not repeated at once either.
            let nothing = Round { copied_bytes: u64::MAX, ..Round::default() };
            policy.note(*made.as_ref().unwrap_or(&nothing), tail);
        }
        let freed = match made {
            Ok(round) => self.free(round.source_bytes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = freed {
            tracing::warn!(target: "kvick::compaction", %error, "a round of compaction failed");
        }
    }

    /// Compacts the oldest `bytes` bytes that are in the log now, in several rounds: an end in
    /// between loses only the work of one.
    async fn compact_oldest(&self, bytes: u64, filter: &mut Option<Filter>) -> Result<Compacted> {
        let log = &self.core().log;
        log.health().check_write()?;
        if self.core().config.cache {
            return Ok(Compacted::default());
        }
        // Before anything becomes immutable for it.
        self.core().check_scans()?;
        let until = log.flushing().flush().await?;
        let (units, first) = (log.file().units(), log.pages().begin());
        let until = Address::new(until.raw().min(first.raw().saturating_add(bytes)));
        let until = units.start_of_page(until);
        if let Some(filter) = filter {
            filter.set_end(until);
        }
        let step = (until.raw().saturating_sub(first.raw()) / ROUNDS).max(1 << units.page_bits());
        let mut all = Round::default();
        let mut result = Ok(());
        let mut next = first;
        while next < until && result.is_ok() {
            next = units.start_of_page(Address::new(next.raw() + step)).min(until);
            match self.round(next, filter).await {
                Ok(round) => all.add(round),
                Err(error) => result = Err(error),
            }
        }
        self.free(all.source_bytes).await?;
        let removed = filter.as_ref().map_or(0, Filter::removed);
        result.map(|()| Compacted { removed_keys: removed, ..Compacted::of(all) })
    }

    /// Makes a round.
    async fn round(&self, until: Address, filter: &mut Option<Filter>) -> Result<Round> {
        let made = self.core().compact(until, filter).await;
        self.note(&made);
        tracing::debug!(target: "kvick::compaction", ?made, "compacted");
        made
    }

    /// Takes a checkpoint if the begin has moved by some bytes, so that files can go.
    async fn free(&self, bytes: u64) -> Result<()> {
        if bytes > 0 {
            let plan = CheckpointPlan::full(self.checkpoints.kind());
            self.checkpoints.start_in_turn(plan).await?;
        }
        Ok(())
    }

    fn note(&self, made: &Result<Round>) {
        let mut done = self.done.lock().expect("nothing panics under it");
        match made {
            Ok(round) => {
                done.rounds += 1;
                done.all.add(*round);
            }
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(_) => done.failed += 1,
        }
    }

    /// Returns the space of the log, and the rounds since the store was opened.
    pub(crate) fn stats(&self) -> SpaceStats {
        let Done { rounds, failed, all } = *self.done.lock().expect("nothing panics under it");
        let Round { source_bytes, copied_records, copied_bytes, dropped_records } = all;
        let needed = self.checkpoints.log_needed_from();
        let pinned_bytes = self.core().log.pages().begin().raw().saturating_sub(needed.raw());
        let compacted_bytes = source_bytes;
        SpaceStats {
            pinned_bytes,
            rounds,
            failed,
            compacted_bytes,
            copied_records,
            copied_bytes,
            dropped_records,
            evicted_bytes: 0,
        }
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.lock().expect("nothing panics under it").is_empty()
    }

    /// Drops the requests that wait. The drop answers the callers with the reason.
    fn abandon(&self) {
        drop(self.take_waiting());
    }

    fn take_waiting(&self) -> Vec<(Wish, Reply<Outcome>)> {
        std::mem::take(&mut *self.waiting.lock().expect("nothing panics under it"))
    }

    fn core(&self) -> &Arc<StoreInner> {
        self.checkpoints.core()
    }
}

impl fmt::Debug for Compaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compaction").finish_non_exhaustive()
    }
}
