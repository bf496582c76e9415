//! The driver of compaction: one round at a time, in the maintenance task.

use super::Compacted;
use super::hold_back::HoldBack;
use super::looks::Looks;
use super::pace::Pace;
use super::relief::Relief;
use super::rounds::Rounds;
use super::wish::{Outcome, Wish};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::{Event, wait_either};
use crate::checkpoint::{Answer, Checkpoints, Reply};
use crate::statistics::SpaceStats;
use crate::store::{Filter, Round};
use futures::future::{Either, select};
use kvick_io::sync::Mutex;
use std::fmt;
use std::future::pending;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

/// The number of rounds for a whole log.
const ROUNDS: u64 = 16;
/// The time after which a full device is written again, and a checkpoint is tried again without
/// which no file goes.
const RETRY: Duration = Duration::from_millis(500);
/// The least rest after tasks were refused, before compaction tries again for later ones.
const REST_MIN: Duration = Duration::from_millis(10);

/// The compaction of one store.
pub(crate) struct Compaction {
    // Each with its own rules.
    rounds: Rounds,
    // Under its lock: the callers that wait for a round that begins after they asked.
    waiting: Mutex<Vec<(Wish, Reply<Outcome>)>>,
    demand: Event,
}

/// The next thing to do.
enum Next {
    End,
    /// Callers wait for a round.
    Asked,
    /// A round up to this address is due.
    Due(Address),
    /// The device of a cache is full, which drops its log up to this address.
    Full(Address),
    /// Rounds make no space before a checkpoint lets files go.
    Stalled,
    /// Tasks wait for space.
    Pressed,
    /// A due round waits for scans.
    ScansInTheWay,
    /// Keys are removed.
    Removals,
}

impl Compaction {
    pub(crate) fn new(checkpoints: Arc<Checkpoints>) -> Self {
        let rounds = Rounds::new(checkpoints);
        Self { rounds, waiting: Mutex::default(), demand: Event::new() }
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
    /// `Unsupported` in a cache; `Poisoned`, `Closed`.
    fn start(&self, wish: Wish) -> Result<Answer<Outcome>> {
        let core = self.rounds.core();
        if core.config.cache {
            return Err(Error::unsupported("a compaction of a cache, which drops its oldest part"));
        }
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

    /// Runs rounds until the store is closed: for callers, for tasks that wait for space, and as
    /// the policy wants.
    pub(crate) async fn drive(&self) {
        let handle = self.rounds.handle();
        let core = self.rounds.core();
        let mut rest_until = Duration::ZERO;
        let (mut hold_back, mut pace) = (HoldBack::default(), Pace::default());
        let mut looks = Looks::default();
        if self.rounds.has_ratio() {
            core.removals.want();
        }
        loop {
            self.look_at_removals(&mut looks).await;
            let now = handle.now();
            let look_at = if self.rounds.wanted().is_some() {
                (!hold_back.is_idle()).then(|| hold_back.look(core, now))
            } else {
                hold_back.end(core);
                None
            };
            let is_rested = rest_until <= now;
            let rest = (!is_rested).then_some(rest_until);
            let look_at = rest.into_iter().chain(look_at).chain(looks.next_at()).min();
            let rest_is_over = async {
                match look_at {
                    // A look may have become due since its own view of the time.
                    Some(at) => handle.sleep(at.saturating_sub(now)).await,
                    None => pending().await,
                }
            };
            let next = pin!(self.next(is_rested, hold_back.is_idle(), looks.is_idle()));
            // After a rest everything is looked at again.
            let Either::Left((next, _)) = select(next, pin!(rest_is_over)).await else {
                continue;
            };
            match next {
                Next::End => return self.abandon(),
                Next::Asked => self.compact_asked().await,
                Next::Removals => {}
                Next::ScansInTheWay => _ = hold_back.look(core, handle.now()),
                Next::Due(until) => {
                    // Scans that are held back begin when no further round is due.
                    self.compact_in_turn(until, &mut pace, hold_back.is_idle()).await;
                    self.end_look(&mut looks).await;
                    if self.rounds.is_stalled() {
                        rest_until = handle.now() + RETRY;
                    }
                }
                Next::Full(until) => {
                    _ = self.compact_some(until).await;
                    rest_until = handle.now() + RETRY;
                }
                Next::Stalled => {
                    self.rounds.free_after_round().await.unwrap_or_else(|error| warn_of(&error));
                    rest_until = handle.now() + RETRY;
                }
                Next::Pressed => {
                    hold_back.end(core);
                    let is_asked = || self.has_waiting();
                    if let Some(worked) = Relief::new(&self.rounds, &is_asked).run().await {
                        // Laps work no more than half of the time if nothing changes.
                        rest_until = handle.now() + worked.max(REST_MIN);
                    }
                }
            }
        }
    }

    /// Looks at what is live if removals have stopped, and tries again what was held up.
    async fn look_at_removals(&self, looks: &mut Looks) {
        let (rounds, watch) = (&self.rounds, &self.rounds.core().removals);
        if !rounds.has_ratio() {
            return;
        }
        let now = rounds.handle().now();
        let is_quiet = looks.step(watch, rounds.removals(), now);
        if !is_quiet && !looks.is_again_due(now) {
            return;
        }
        // Again, if the last one failed. Otherwise none is due.
        if let Err(error) = rounds.look().await {
            warn_of(&error);
            return looks.note(false, rounds.handle().now());
        }
        rounds.try_look_again();
        self.end_look(looks).await;
    }

    /// Ends the last look, if its rounds have ended.
    async fn end_look(&self, looks: &mut Looks) {
        if !self.rounds.has_ratio() {
            return;
        }
        let is_over = self.rounds.free_after_look().await;
        let is_over = is_over.inspect_err(warn_of).unwrap_or(false);
        looks.note(is_over, self.rounds.handle().now());
    }

    /// Waits for the next thing to do. Scans in the way count only if they are not known, and
    /// removals, too.
    async fn next(&self, is_rested: bool, scans_count: bool, removals_count: bool) -> Next {
        let core = self.rounds.core();
        let (log, quota, has_policy) = (&core.log, core.log.quota(), self.rounds.has_policy());
        // Without a policy the log itself is of no interest.
        let of_log = [log.turned(), log.evicted(), log.flushing().became_stored(), quota.demand()];
        let [turned, evicted, stored, waits] =
            of_log.map(|event| if has_policy { event } else { &self.demand });
        let [scan_ended, reader_moved] = [core.scan_ended(), core.reader_moved()];
        let [demand, closed, removed] =
            [&self.demand, log.health().changed(), core.removals.told()];
        let events =
            [demand, turned, evicted, stored, waits, scan_ended, reader_moved, closed, removed];
        wait_either(events, || {
            if log.health().is_closed() {
                return Some(Next::End);
            }
            if self.has_waiting() {
                return Some(Next::Asked);
            }
            // On a full device the tasks get another error.
            if is_rested && quota.is_pressed() && log.health().check_room().is_ok() {
                return Some(Next::Pressed);
            }
            if self.rounds.is_stalled() {
                let may_end = is_rested && self.rounds.may_end_stall();
                return may_end.then_some(Next::Stalled);
            }
            let wanted = self.rounds.wanted();
            // Only then: scans that are pressed may expire.
            let has_scan = wanted.is_some() && core.press_scans();
            let due = wanted.filter(|_| !has_scan).map(Next::Due);
            let full = || self.rounds.due_on_full_device().filter(|_| is_rested).map(Next::Full);
            let in_the_way = (has_scan && scans_count).then_some(Next::ScansInTheWay);
            let is_removed = removals_count && self.rounds.has_ratio() && core.removals.is_told();
            due.or_else(full).or(in_the_way).or(is_removed.then_some(Next::Removals))
        })
        .await
    }

    /// Makes rounds as long as the policy wants one and nothing else comes first; a single one if
    /// scans are held back, for which only the caller looks. Writers within a budget have a pace
    /// meanwhile.
    async fn compact_in_turn(&self, until: Address, pace: &mut Pace, scans_begin: bool) {
        let core = self.rounds.core();
        let (quota, handle) = (core.log.quota(), self.rounds.handle());
        let mut due = Some(until);
        while let Some(until) = due {
            let round = self.compact_some(until);
            match self.rounds.paced_space() {
                Some(space) => pace.during((space, handle), round).await,
                None => _ = round.await,
            }
            let comes_first = self.has_waiting() || quota.is_pressed() || core.has_scan();
            due = self.rounds.wanted().filter(|_| scans_begin && !comes_first);
        }
        pace.end(quota);
    }

    /// Makes a round that the policy wants. Returns what it did, if its files went or may go.
    async fn compact_some(&self, until: Address) -> Option<Round> {
        let made = match self.rounds.round(until, &mut None).await {
            Ok(round) if round.source_bytes > 0 => match self.rounds.free_after_round().await {
                Ok(()) => self.rounds.free_for_writers().await.map(|()| Some(round)),
                Err(error) => Err(error),
            },
            made => made.map(|_nothing| None),
        };
        made.unwrap_or_else(|error| {
            warn_of(&error);
            None
        })
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

    /// Compacts the oldest `bytes` bytes that are in the log now, in several rounds: an end in
    /// between loses only the work of one.
    async fn compact_oldest(&self, bytes: u64, filter: &mut Option<Filter>) -> Result<Compacted> {
        let log = &self.rounds.core().log;
        log.health().check_write()?;
        // Before anything becomes immutable for it.
        self.rounds.core().check_scans()?;
        let until = log.flushing().flush().await?;
        let (units, first) = (log.file().units(), log.pages().begin());
        let until = Address::new(until.raw().min(first.raw().saturating_add(bytes)));
        let until = units.start_of_page(until);
        if let Some(filter) = filter {
            filter.set_end(until);
        }
        let step = until.raw().saturating_sub(first.raw()) / ROUNDS;
        let mut all = Round::default();
        let mut result = Ok(());
        let mut next = first;
        while next < until && result.is_ok() {
            next = self.rounds.reach(next, until, step);
            match self.rounds.round(next, filter).await {
                Ok(round) => {
                    all.add(round);
                    if round.source_bytes > 0 {
                        // Before the wanted end if the copies had no more room.
                        next = log.pages().begin();
                    }
                    result = self.rounds.free_for_copies().await;
                }
                Err(error) => result = Err(error),
            }
        }
        self.free(all.source_bytes).await?;
        let removed = filter.as_ref().map_or(0, Filter::removed);
        result.map(|()| Compacted { removed_keys: removed, ..Compacted::of(all) })
    }

    /// Takes a checkpoint if the begin has moved by some bytes, so that files can go.
    async fn free(&self, bytes: u64) -> Result<()> {
        if bytes > 0 {
            self.rounds.checkpoint().await?;
        }
        Ok(())
    }

    /// Returns the space of the store, and the rounds since it was opened.
    pub(crate) fn stats(&self) -> SpaceStats {
        self.rounds.stats()
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
}

fn warn_of(error: &Error) {
    tracing::warn!(target: "kvick::compaction", %error, "a round of compaction failed");
}

impl fmt::Debug for Compaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compaction").finish_non_exhaustive()
    }
}
